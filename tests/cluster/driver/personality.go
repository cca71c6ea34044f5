package main

import (
	"fmt"

	"google.golang.org/grpc"
)

// personality is what differs between the driver lines, apart from how they
// dial. Which one this program has is decided when it is built.
type personality struct {
	// version of the driver that is imitated
	version string
	// grpc is the version of grpc-go that driver is built with
	grpc string
	// rotatesByRepublish: a second NodePublishVolume of a mounted volume asks
	// the provider again. Otherwise it changes nothing and a loop of the
	// driver's own rotates.
	rotatesByRepublish bool
	// overwritesSecrets: an existing Secret of a synced name is overwritten at
	// every reconcile. Otherwise it is left alone, and rotation patches its data.
	overwritesSecrets bool
}

// check makes sure that this line talks through its own grpc-go: the library
// decides what a provider sees.
func (p personality) check() error {
	if grpc.Version != p.grpc {
		return fmt.Errorf("driver %s needs grpc-go %s, this program has %s", p.version, p.grpc, grpc.Version)
	}
	return nil
}
