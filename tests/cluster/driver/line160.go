//go:build !grpc156

package main

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// line is what driver 1.6.0 does where the driver lines differ.
var line = personality{
	version:            "1.6.0",
	grpc:               "1.79.3",
	rotatesByRepublish: true,
	overwritesSecrets:  true,
}

// dial reaches a provider as driver 1.6.0 does: by a unix: target, with
// localhost as :authority, and on a client that goes idle when unused.
func dial(socket string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	options = append(options,
		grpc.WithAuthority("localhost"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	return grpc.NewClient("unix:"+socket, options...)
}
