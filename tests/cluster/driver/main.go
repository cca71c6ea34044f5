// driver is a stand-in for the Secrets Store CSI Driver in tests, for machines
// that cannot have the real one. Towards a provider, a pod's volume and the
// API server it does what the real driver does, with the same gRPC library;
// each place says in a comment which behaviour it reproduces. Built against
// grpc-go 1.79.3 it is like driver 1.6.0; built with the tag grpc156 against
// grpc-go 1.56.3 it is like 1.5.6. It mounts for real and wants root.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// options are the real driver's flags, by the same names and defaults.
type options struct {
	endpoint, driverName, node     string
	providerVolume, additionalDirs string
	metricsAddress                 string
	kubeconfig                     string
	rotation, healthCheck, version bool
	rotationInterval               time.Duration
	healthInterval                 time.Duration
	maxReceive                     int
}

func parseFlags() *options {
	o := new(options)
	klog.InitFlags(nil)
	flag.StringVar(&o.endpoint, "endpoint", "unix://tmp/csi.sock", "CSI socket to serve")
	flag.StringVar(&o.driverName, "drivername", "secrets-store.csi.k8s.io", "name of the driver")
	flag.StringVar(&o.node, "nodeid", "", "name of the node")
	flag.StringVar(&o.providerVolume, "provider-volume", "/var/run/secrets-store-csi-providers", "folder of providers' sockets")
	flag.StringVar(&o.additionalDirs, "additional-provider-volume-paths", "/etc/kubernetes/secrets-store-csi-providers", "folders that are searched first, with commas")
	flag.StringVar(&o.metricsAddress, "metrics-addr", ":8095", "address of /metrics")
	flag.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "how to reach the API server")
	flag.BoolVar(&o.rotation, "enable-secret-rotation", false, "rotate mounted content")
	flag.DurationVar(&o.rotationInterval, "rotation-poll-interval", 2*time.Minute, "pace of rotation")
	flag.IntVar(&o.maxReceive, "max-call-recv-msg-size", 4<<20, "largest response of a provider, in bytes")
	flag.BoolVar(&o.healthCheck, "provider-health-check", false, "ask providers for their version")
	flag.DurationVar(&o.healthInterval, "provider-health-check-interval", 2*time.Minute, "pace of the health check")
	flag.BoolVar(&o.version, "version", false, "print the version and exit")
	flag.Parse()
	return o
}

func main() {
	o := parseFlags()
	if o.version {
		fmt.Printf("double of driver %s, grpc-go %s\n", line.version, grpc.Version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "driver double: %v\n", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, o *options) error {
	if err := line.check(); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	// What controller-runtime gives the real driver, in both of its lines. client-go's
	// own limit, a quarter of it, delays mounts on a node with twenty volumes.
	config.QPS, config.Burst = 20, 30
	cluster, err := newCluster(config, o.node)
	if err != nil {
		return err
	}
	syncer, err := newSyncer(cluster, o.driverName)
	if err != nil {
		return err
	}
	if err := cluster.run(ctx); err != nil {
		return err
	}
	counters := new(metrics)
	providers := newProviders(o.additionalDirs, o.providerVolume, o.maxReceive)
	defer providers.close()
	go syncer.run(ctx)
	go syncer.runOwners(ctx)
	if o.rotation && !line.rotatesByRepublish {
		go newRotator(cluster, providers, counters, o.driverName).run(ctx, o.rotationInterval)
	}
	if o.healthCheck {
		go every(ctx, o.healthInterval, providers.checkHealth)
	}
	if err := serveMetrics(ctx, o.metricsAddress, counters); err != nil {
		return err
	}
	return serve(ctx, o.endpoint, &identityServer{driver: o.driverName}, &nodeServer{
		node: o.node, cluster: cluster, providers: providers, metrics: counters,
		rotation: o.rotation, interval: o.rotationInterval,
	})
}

func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do(ctx)
		}
	}
}

func serveMetrics(ctx context.Context, address string, counters *metrics) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", counters)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return nil
}

// serve serves CSI on the socket: a file that is there is removed, and what
// comes after unix:// gets a leading slash.
func serve(ctx context.Context, endpoint string, identity csi.IdentityServer, node csi.NodeServer) error {
	path, found := strings.CutPrefix(endpoint, "unix://")
	if !found || path == "" {
		return fmt.Errorf("invalid endpoint: %v", endpoint)
	}
	path = "/" + path
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logCall))
	csi.RegisterIdentityServer(server, identity)
	csi.RegisterNodeServer(server, node)
	context.AfterFunc(ctx, server.GracefulStop)
	klog.InfoS("listening for connections", "address", path)
	return server.Serve(listener)
}

// logCall logs every call at verbosity 5, without secrets and without tokens.
func logCall(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	began := time.Now()
	if publish, ok := request.(*csi.NodePublishVolumeRequest); ok {
		attributes := maps.Clone(publish.GetVolumeContext())
		if _, ok := attributes[tokensKey]; ok {
			attributes[tokensKey] = "***stripped***"
		}
		klog.V(5).InfoS("request", "method", info.FullMethod, "targetPath", publish.GetTargetPath(), "volumeContext", attributes)
	}
	response, err := handle(ctx, request)
	s, _ := status.FromError(err)
	klog.V(5).InfoS("response", "method", info.FullMethod, "took", time.Since(began), "code", s.Code(), "message", s.Message())
	return response, err
}
