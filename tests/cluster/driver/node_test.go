package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// publishRequest is complete, but for a class: it gets no further than that.
func publishRequest(target string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId: "v", TargetPath: target, Readonly: true,
		VolumeCapability: &csi.VolumeCapability{},
		VolumeContext:    map[string]string{namespaceKey: "shop", podNameKey: "web"},
	}
}

func TestRequestsThatLackSomething(t *testing.T) {
	for wanted, spoil := range map[string]func(*csi.NodePublishVolumeRequest){
		"Volume capability missing in request": func(r *csi.NodePublishVolumeRequest) { r.VolumeCapability = nil },
		"Volume ID missing in request":         func(r *csi.NodePublishVolumeRequest) { r.VolumeId = "" },
		"Target path missing in request":       func(r *csi.NodePublishVolumeRequest) { r.TargetPath = "" },
		"Volume attributes missing in request": func(r *csi.NodePublishVolumeRequest) { r.VolumeContext = nil },
	} {
		request := publishRequest(filepath.Join(t.TempDir(), "mount"))
		spoil(request)
		_, err := (&nodeServer{metrics: new(metrics)}).NodePublishVolume(context.Background(), request)
		if status.Code(err) != codes.InvalidArgument || !strings.HasSuffix(err.Error(), wanted) {
			t.Errorf("%v, wanted %s", err, wanted)
		}
	}
}

func TestABareFolderThatIsYoungCountsAsMounted(t *testing.T) {
	for _, c := range []struct {
		name     string
		rotation bool
		age      time.Duration
		skipped  bool
	}{
		{"young", true, 0, line.rotatesByRepublish},
		{"old", true, 2 * time.Hour, false},
		{"young, without rotation", false, 0, false},
	} {
		target, counted := t.TempDir(), new(metrics)
		then := time.Now().Add(-c.age)
		if err := os.Chtimes(target, then, then); err != nil {
			t.Fatal(err)
		}
		node := &nodeServer{metrics: counted, rotation: c.rotation, interval: time.Hour}
		_, err := node.NodePublishVolume(context.Background(), publishRequest(target))
		if c.skipped && err != nil {
			t.Errorf("%s: the pod would start with an empty volume: %v", c.name, err)
		}
		if !c.skipped && (err == nil || err.Error() != "secretProviderClass is not set") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTheTargetIsMadeIfItIsMissing(t *testing.T) {
	p := &publication{target: filepath.Join(t.TempDir(), "mount")}
	if err := ensureTarget(p); err != nil || p.mounted {
		t.Fatal(err)
	}
	if info, err := os.Stat(p.target); err != nil || info.Mode().Perm() != 0o750 {
		t.Error(err)
	}
}

func TestAFirstMountPassesTheProvidersCodeOnAndARepublishHidesIt(t *testing.T) {
	cause := status.Error(codes.Unauthenticated, "token refused")
	p := &publication{request: publishRequest("/t")}
	err := mask(p, cause, "failed to mount secrets store objects for pod %s, err: %w")
	seen, _ := status.FromError(err) // as the gRPC server turns it into an answer
	wanted := "failed to mount secrets store objects for pod shop/web, err: rpc error: code = Unauthenticated desc = token refused"
	if seen.Code() != codes.Unauthenticated || seen.Message() != wanted || p.masked {
		t.Errorf("%v", seen)
	}
	p.republish = true
	if err := mask(p, cause, "%s%w"); err != nil || !p.masked {
		t.Error(err)
	}
}

func TestPublishesAreCounted(t *testing.T) {
	counted := new(metrics)
	node := &nodeServer{metrics: counted}
	node.finish(&publication{provider: "phase", republish: true}, nil)
	node.finish(&publication{provider: "phase", reason: reasonWrite, republish: true, masked: true}, nil)
	node.finish(&publication{reason: reasonMount}, os.ErrInvalid)
	for _, series := range []string{
		`node_publish_total{os_type="linux",provider="phase"}`,
		`rotation_reconcile_total{os_type="linux",provider="phase",rotated="true"}`,
		`node_publish_error_total{error_type="FileWriteError",os_type="linux",provider="phase"}`,
		`rotation_reconcile_error_total{error_type="FileWriteError",os_type="linux",provider="phase",rotated="true"}`,
		`node_publish_error_total{error_type="FailedToMount",os_type="linux",provider=""}`,
	} {
		if counted.counts[series] != 1 {
			t.Errorf("%s: %v", series, counted.counts)
		}
	}
}

func TestUnpublishingWhatIsNotThereIsNoError(t *testing.T) {
	request := &csi.NodeUnpublishVolumeRequest{VolumeId: "v", TargetPath: filepath.Join(t.TempDir(), "mount")}
	if err := unpublish(request); err != nil {
		t.Error(err)
	}
}

func TestThisLineHasItsOwnGRPC(t *testing.T) {
	if err := line.check(); err != nil {
		t.Error(err)
	}
	other := personality{version: "x", grpc: "0"}
	if err := other.check(); err == nil || !strings.Contains(err.Error(), grpc.Version) {
		t.Error(err)
	}
}
