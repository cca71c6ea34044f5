// registrar offers a CSI driver to kubelet: what the driver's chart has the
// node-driver-registrar for, which the package registries do not have. It asks
// the driver its name and serves kubelet's plugin registration beside it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

type server struct {
	registration.UnimplementedRegistrationServer

	name, endpoint string
	refused        chan string
}

// GetInfo tells kubelet where the driver's socket is, as kubelet sees it.
func (s *server) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: s.name, Endpoint: s.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus hears kubelet's verdict. After a refusal the process
// ends, so that its container starts again and asks again.
func (s *server) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.GetPluginRegistered() {
		s.refused <- status.GetError()
	}
	return new(registration.RegistrationStatusResponse), nil
}

func main() {
	// The flags are those of the sidecar that the driver's chart uses.
	address := flag.String("csi-address", "/csi/csi.sock", "the driver's socket as seen here")
	endpoint := flag.String("kubelet-registration-path", "", "the driver's socket as kubelet sees it")
	folder := flag.String("plugin-registration-path", "/registration", "kubelet's plugins_registry as seen here")
	flag.Parse()
	if err := run(*address, *endpoint, *folder); err != nil {
		fmt.Fprintln(os.Stderr, "registrar:", err)
		os.Exit(1)
	}
}

func run(address, endpoint, folder string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	name, err := driverName(ctx, address)
	if err != nil {
		return err
	}
	socket := filepath.Join(folder, name+"-reg.sock")
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := &server{name: name, endpoint: endpoint, refused: make(chan string, 1)}
	kubelet := grpc.NewServer()
	registration.RegisterRegistrationServer(kubelet, s)
	ended := make(chan error, 1)
	go func() { ended <- kubelet.Serve(listener) }()
	fmt.Println("offering", name, "at", endpoint)
	select {
	case <-ctx.Done():
		kubelet.Stop() // closes the listener, which removes the socket
		return nil
	case reason := <-s.refused:
		return fmt.Errorf("kubelet refused the driver: %s", reason)
	case err := <-ended:
		return err
	}
}

// driverName asks the driver, which may still be starting.
func driverName(ctx context.Context, address string) (string, error) {
	connection, err := grpc.NewClient("unix:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	info, err := csi.NewIdentityClient(connection).GetPluginInfo(ctx, new(csi.GetPluginInfoRequest), grpc.WaitForReady(true))
	if err != nil {
		return "", fmt.Errorf("the driver does not answer on %s: %w", address, err)
	}
	return info.GetName(), nil
}
