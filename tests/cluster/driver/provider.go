package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
)

// serviceConfig is what the driver's client asks of gRPC: calls wait until the
// connection is ready, and UNAVAILABLE is tried three times, from 1 s to 10 s
// apart by a factor of 1.1.
const serviceConfig = `{"methodConfig": [{
	"name": [{"service": "v1alpha1.CSIDriverProvider"}],
	"waitForReady": true,
	"retryPolicy": {
		"maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "10s", "backoffMultiplier": 1.1,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

// syncLimit is the largest Kubernetes Secret. A larger response is only logged.
const syncLimit = 1 << 20

var (
	providerName = regexp.MustCompile(`^[a-zA-Z0-9_-]{0,30}$`)

	errInvalidProvider  = errors.New("invalid provider")
	errProviderNotFound = errors.New("provider not found")
	errMissingVersions  = errors.New("missing object versions")
)

// providers finds providers' sockets and keeps one client for each name for the
// life of the process: a provider that moves its socket to another directory
// stays unseen until the driver restarts.
type providers struct {
	// folders are searched in this order: the additional paths come first
	folders  []string
	maxBytes int

	mutex   sync.RWMutex
	clients map[string]*grpc.ClientConn
}

func newProviders(additional, main string, maxBytes int) *providers {
	folders := append(strings.Split(strings.TrimSpace(additional), ","), main)
	return &providers{folders: folders, maxBytes: maxBytes, clients: map[string]*grpc.ClientConn{}}
}

// get returns the client of a provider, made at its first use.
func (p *providers) get(name string) (*grpc.ClientConn, error) {
	p.mutex.RLock()
	client, known := p.clients[name]
	p.mutex.RUnlock()
	if known {
		return client, nil
	}
	if !providerName.MatchString(name) {
		return nil, fmt.Errorf("%w: provider %q", errInvalidProvider, name)
	}
	socket, found := p.find(name)
	if !found {
		return nil, fmt.Errorf("%w: provider %q", errProviderNotFound, name)
	}
	client, err := dial(socket,
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(p.maxBytes), grpc.ForceCodec(contractCodec{})))
	if err != nil {
		return nil, err
	}
	return p.keep(name, client), nil
}

// find takes the first folder that has the socket file, alive or stale: it is
// a plain stat, nothing is dialled.
func (p *providers) find(name string) (string, bool) {
	for _, folder := range p.folders {
		socket := filepath.Join(folder, name+".sock")
		if _, err := os.Stat(socket); err == nil {
			return socket, true
		}
	}
	return "", false
}

// keep remembers a client, unless a parallel call was first.
func (p *providers) keep(name string, client *grpc.ClientConn) *grpc.ClientConn {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if first, known := p.clients[name]; known {
		_ = client.Close()
		return first
	}
	p.clients[name] = client
	return client
}

func (p *providers) close() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, client := range p.clients {
		_ = client.Close()
	}
}

// checkHealth asks every provider in use for its version, with 5 s each. The
// result is only logged. It holds the lock meanwhile, so that a provider that
// hangs delays the first mount of another.
func (p *providers) checkHealth(ctx context.Context) {
	p.mutex.RLock()
	defer p.mutex.RUnlock()
	for name, client := range p.clients {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		version, err := callVersion(call, client)
		cancel()
		if err != nil {
			klog.V(4).ErrorS(err, "provider health check failed", "provider", name)
			continue
		}
		klog.V(4).InfoS("provider is healthy", "provider", name, "runtimeVersion", version.runtimeVersion)
	}
}

// mountContent calls the provider and writes what it answers into the volume.
// It returns the objects' versions; on an error also the reason for metrics.
func mountContent(ctx context.Context, client *grpc.ClientConn, request *mountRequest) (map[string]string, string, error) {
	response, err := callMount(ctx, client, request)
	if err != nil {
		if isTooLarge(err) {
			klog.ErrorS(err, "a larger response needs a larger --max-call-recv-msg-size, in bytes")
		}
		return nil, reasonProvider, err
	}
	versions, reason, err := response.check()
	if err != nil {
		return nil, reason, err
	}
	if response.size > syncLimit {
		klog.InfoS("the response is larger than 1 MiB: syncing it to a Secret may fail", "size", response.size)
	}
	if len(response.files) == 0 {
		// Taken for an old provider that writes its own files: success, and
		// nothing in the volume is written or removed.
		klog.V(5).InfoS("no files in the response: the provider may write its own")
		return versions, "", nil
	}
	if err := writeVolume(request.targetPath, response.files); err != nil {
		return nil, reasonWrite, err
	}
	return versions, "", nil
}

// check refuses a response in the driver's order: a code of the provider's
// first (its text replaces any other), then missing versions. Missing files
// are no error. Of two versions with one id the last wins.
func (r *mountResponse) check() (map[string]string, string, error) {
	if r.errorCode != "" {
		return nil, r.errorCode, fmt.Errorf("mount request failed with provider error code %s", r.errorCode)
	}
	if len(r.versions) == 0 {
		return nil, reasonProvider, errMissingVersions
	}
	versions := make(map[string]string, len(r.versions))
	for _, v := range r.versions {
		versions[v.id] = v.version
	}
	return versions, "", nil
}

// isTooLarge tells a response above the receive limit from the other causes of
// the same code.
func isTooLarge(err error) bool {
	text := err.Error()
	return status.Code(err) == codes.ResourceExhausted &&
		strings.Contains(text, "grpc: received message larger than max") &&
		!strings.Contains(text, "larger than max length allowed on current machine")
}
