//go:build grpc156

package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// line is what drivers up to 1.5.6 do where the driver lines differ.
var line = personality{version: "1.5.6", grpc: "1.56.3"}

// dial reaches a provider as drivers up to 1.5.6 do: the bare path is the
// target and a dialler opens it, so that the path becomes the :authority.
func dial(socket string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	options = append(options,
		grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	return grpc.Dial(socket, options...)
}
