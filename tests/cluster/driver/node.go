package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
)

const (
	podNameKey   = "csi.storage.k8s.io/pod.name"
	namespaceKey = "csi.storage.k8s.io/pod.namespace"
	podUIDKey    = "csi.storage.k8s.io/pod.uid"
	accountKey   = "csi.storage.k8s.io/serviceAccount.name"
	tokensKey    = "csi.storage.k8s.io/serviceAccount.tokens"
	classKey     = "secretProviderClass"

	// filePermission is sent as a JSON number: "420", which is 0644.
	filePermission = 0o644
)

// nodeServer is the CSI node service.
type nodeServer struct {
	csi.UnimplementedNodeServer

	node      string
	cluster   *cluster
	providers *providers
	metrics   *metrics
	// rotation is whether --enable-secret-rotation is on; interval is the
	// least age of the volume's last write before the provider is asked again
	rotation bool
	interval time.Duration
}

// publication is one NodePublishVolume call under way.
type publication struct {
	request *csi.NodePublishVolumeRequest
	target  string
	began   time.Time

	provider string
	reason   string
	// mounted: a tmpfs is on the target. republish: it was there already.
	mounted, republish bool
	// skipped: nothing was done. masked: it failed, but kubelet is told OK.
	skipped, masked bool
}

func (p *publication) context(key string) string { return p.request.GetVolumeContext()[key] }

// pod names the pod in messages.
func (p *publication) pod() string { return p.context(namespaceKey) + "/" + p.context(podNameKey) }

// NodePublishVolume mounts a volume and fills it, or fills it again.
func (n *nodeServer) NodePublishVolume(ctx context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	p := &publication{request: request, target: request.GetTargetPath(), began: time.Now(), reason: reasonMount}
	err := n.publish(ctx, p)
	n.finish(p, err)
	if err != nil {
		return nil, err
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// publish goes through the steps in the driver's order, which decides what
// state a failure leaves behind.
func (n *nodeServer) publish(ctx context.Context, p *publication) error {
	if err := checkPublish(p.request); err != nil {
		return err
	}
	// The age check comes before anything is known of the mount: a bare
	// directory that a failed first mount left behind also counts as written,
	// and the pod then starts with an empty volume.
	if n.rotation && line.rotatesByRepublish && n.isFresh(p) {
		p.skipped = true
		return nil
	}
	if err := ensureTarget(p); err != nil {
		return err
	}
	if p.republish && !(n.rotation && line.rotatesByRepublish) {
		klog.InfoS("target path is already mounted", "targetPath", p.target, "pod", p.pod())
		p.skipped = true
		return nil
	}
	request, err := n.mountRequest(p)
	if err != nil {
		return err
	}
	if !p.republish {
		if err := mountTmpfs(p.target); err != nil {
			return err
		}
	}
	p.mounted = true
	versions, err := n.fill(ctx, p, request)
	if err != nil {
		return mask(p, err, "failed to mount secrets store objects for pod %s, err: %w")
	}
	err = n.cluster.recordMount(ctx, mounted{
		namespace: p.context(namespaceKey), pod: p.context(podNameKey), podUID: p.context(podUIDKey),
		class: p.context(classKey), targetPath: p.target, versions: versions,
	})
	if err != nil {
		return mask(p, err, "failed to create secret provider class pod status for pod %s, err: %w")
	}
	klog.InfoS("node publish volume complete", "targetPath", p.target, "pod", p.pod(), "took", time.Since(p.began))
	return nil
}

// checkPublish refuses a call that lacks what CSI demands.
func checkPublish(request *csi.NodePublishVolumeRequest) error {
	switch {
	case request.GetVolumeCapability() == nil:
		return status.Error(codes.InvalidArgument, "Volume capability missing in request")
	case request.GetVolumeId() == "":
		return status.Error(codes.InvalidArgument, "Volume ID missing in request")
	case request.GetTargetPath() == "":
		return status.Error(codes.InvalidArgument, "Target path missing in request")
	case len(request.GetVolumeContext()) == 0:
		return status.Error(codes.InvalidArgument, "Volume attributes missing in request")
	}
	return nil
}

// isFresh tells whether the target directory was modified within the interval.
func (n *nodeServer) isFresh(p *publication) bool {
	info, err := os.Stat(p.target)
	return err == nil && p.began.Before(info.ModTime().Add(n.interval))
}

// ensureTarget makes the target directory and finds out whether it is mounted:
// kubelet makes only the directory above it.
func ensureTarget(p *publication) error {
	mounted, err := isMounted(p.target)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(p.target, 0o750); err != nil {
			return status.Errorf(codes.Internal, "failed to create target path %s, err: %v", p.target, err)
		}
		return nil
	}
	if err != nil {
		p.reason = reasonEnsure
		return status.Errorf(codes.Internal, "failed to check if target path %s is mount point, err: %v", p.target, err)
	}
	p.mounted, p.republish = mounted, mounted
	return nil
}

// mountRequest puts together what the provider receives: the class's
// parameters, over them the volume's attributes, over them kubelet's tokens.
func (n *nodeServer) mountRequest(p *publication) (*mountRequest, error) {
	if p.context(classKey) == "" {
		return nil, errors.New("secretProviderClass is not set")
	}
	namespace, name := p.context(namespaceKey), p.context(classKey)
	class, err := n.cluster.class(namespace, name)
	if err != nil {
		p.reason = reasonClass
		return nil, fmt.Errorf("failed to get secretproviderclass %s/%s, error: %w", namespace, name, err)
	}
	if class.Spec.Provider == "" {
		return nil, fmt.Errorf("provider not set in %s/%s", namespace, name)
	}
	p.provider = class.Spec.Provider
	if len(class.Spec.Parameters) == 0 {
		return nil, fmt.Errorf("parameters not set in %s/%s", namespace, name)
	}
	attributes := maps.Clone(class.Spec.Parameters)
	maps.Copy(attributes, p.request.GetVolumeContext())
	// From Kubernetes 1.35 tokens can come among the secrets. They are copied
	// into the attributes and also stay where they are.
	if tokens := p.request.GetSecrets()[tokensKey]; tokens != "" && line.rotatesByRepublish {
		attributes[tokensKey] = tokens
	}
	if !p.request.GetReadonly() {
		return nil, status.Error(codes.InvalidArgument, "Readonly is not true in request")
	}
	return encodeRequest(attributes, p.request.GetSecrets(), p.target)
}

// encodeRequest encodes as the driver does, with Go's JSON: sorted keys, the
// characters <, > and & escaped, and the text null for secrets that are absent.
func encodeRequest(attributes, secrets map[string]string, target string) (*mountRequest, error) {
	var texts [3]string
	for i, value := range []any{attributes, secrets, filePermission} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	return &mountRequest{attributes: texts[0], secrets: texts[1], permission: texts[2], targetPath: target}, nil
}

// fill asks the provider and writes its files.
func (n *nodeServer) fill(ctx context.Context, p *publication, request *mountRequest) (map[string]string, error) {
	client, err := n.providers.get(p.provider)
	if err != nil {
		p.reason = "" // counted without a reason
		return nil, fmt.Errorf("error connecting to provider %q: %w", p.provider, err)
	}
	klog.InfoS("using gRPC client", "provider", p.provider, "pod", p.context(podNameKey))
	versions, reason, err := mountContent(ctx, client, request)
	p.reason = reason
	return versions, err
}

// mask turns a failed republish into a success: no event reaches the user and
// the old files stay. The failure of a first mount is passed on, with its code.
func mask(p *publication, err error, format string) error {
	klog.ErrorS(err, "failed to mount or to record the mount", "pod", p.pod(), "isRemountRequest", p.republish)
	if p.republish {
		p.masked = true
		return nil
	}
	return fmt.Errorf(format, p.pod(), err)
}

// finish counts a call, and takes a mount away that this call made in vain.
func (n *nodeServer) finish(p *publication, err error) {
	failed := err != nil || p.masked
	rotated := p.republish && !p.skipped
	if failed && p.mounted && !p.republish {
		klog.InfoS("unmounting target path as node publish volume failed", "targetPath", p.target, "pod", p.pod())
		if err := unmount(p.target); err != nil {
			klog.ErrorS(err, "failed to unmount target path", "targetPath", p.target)
		}
	}
	switch {
	case failed:
		n.metrics.count("node_publish_error_total", "provider", p.provider, "error_type", p.reason)
		if rotated {
			n.metrics.count("rotation_reconcile_error_total", "provider", p.provider, "error_type", p.reason, "rotated", "true")
		}
	default:
		n.metrics.count("node_publish_total", "provider", p.provider)
		if rotated {
			n.metrics.count("rotation_reconcile_total", "provider", p.provider, "rotated", "true")
		}
	}
}

// NodeUnpublishVolume empties and unmounts a volume, hidden entries too, and
// removes its directory. The provider is not told.
func (n *nodeServer) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	err := unpublish(request)
	if err != nil {
		n.metrics.count("node_unpublish_error_total")
		return nil, err
	}
	n.metrics.count("node_unpublish_total")
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func unpublish(request *csi.NodeUnpublishVolumeRequest) error {
	target := request.GetTargetPath()
	switch {
	case request.GetVolumeId() == "":
		return status.Error(codes.InvalidArgument, "Volume ID missing in request")
	case target == "":
		return status.Error(codes.InvalidArgument, "Target path missing in request")
	}
	entries, err := os.ReadDir(target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return status.Error(codes.Internal, err.Error())
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(target, entry.Name())); err != nil {
			klog.ErrorS(err, "failed to delete file from target path", "targetPath", target)
		}
	}
	if err := cleanTarget(target); err != nil {
		klog.ErrorS(err, "failed to clean and unmount target path", "targetPath", target)
		return status.Error(codes.Internal, err.Error())
	}
	klog.InfoS("node unpublish volume complete", "targetPath", target)
	return nil
}

// NodeGetInfo names the node.
func (n *nodeServer) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.node}, nil
}

// NodeGetCapabilities is asked by kubelet before every mount: whether a volume
// takes a group, which it does not. Staging is claimed, and does nothing.
func (n *nodeServer) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	stage := &csi.NodeServiceCapability_RPC{Type: csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME}
	capability := &csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{Rpc: stage}}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{capability}}, nil
}

// NodeStageVolume does nothing: what there is to do is done by publishing.
func (n *nodeServer) NodeStageVolume(context.Context, *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	return &csi.NodeStageVolumeResponse{}, nil
}

// NodeUnstageVolume does nothing, either.
func (n *nodeServer) NodeUnstageVolume(context.Context, *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	return &csi.NodeUnstageVolumeResponse{}, nil
}
