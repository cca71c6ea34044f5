#!/usr/bin/env bash
# build.sh: builds the Go programs of the cluster suite. Run again, it costs seconds.
#   BIN   folder for the programs (default: target/cluster/bin)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${BIN:-$(cd "$here/../../.." && pwd)/target/cluster/bin}
mkdir -p "$bin"
export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false -trimpath"

kubernetes=$(cd "$here" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${kubernetes#v1.} minor=${minor%%.*}
version=k8s.io/component-base/version
(cd "$here" && go build -o "$bin/kube" -ldflags "-s -w -X $version.gitVersion=$kubernetes \
  -X $version.gitMajor=1 -X $version.gitMinor=$minor -X $version.gitTreeState=clean" .)
for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do ln -sfn kube "$bin/$name"; done

# The driver double, once for each driver line: only the gRPC library differs.
driver=$here/../driver
(cd "$driver" && go build -ldflags "-s -w" -o "$bin/driver-1.6.0" .)
(cd "$driver" && go build -ldflags "-s -w" -modfile=old.mod -tags grpc156 -o "$bin/driver-1.5.6" .)

# Offers the driver to kubelet, on a whole node.
(cd "$here/../registrar" && go build -ldflags "-s -w" -o "$bin/registrar" .)
