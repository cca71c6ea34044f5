package main

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// identityServer is the CSI identity service.
type identityServer struct {
	csi.UnimplementedIdentityServer

	driver string
}

// GetPluginInfo names the driver; the version says that it is a double.
func (i *identityServer) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: i.driver, VendorVersion: "double-of-" + line.version}, nil
}

// GetPluginCapabilities is empty: there is a node service and nothing else.
func (i *identityServer) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

// Probe answers at once.
func (i *identityServer) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}
