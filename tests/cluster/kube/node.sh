#!/usr/bin/env bash
# node.sh: makes a whole node of what up.sh started with NODE: containerd, the
# controllers, the scheduler, kubelet and kube-proxy. Their usual paths work and
# nothing of them stays on the machine: /var and /etc are overlays, /run is empty.
#   BIN     folder with the programs      RUN   folder for all state
#   NODE    the node's name               SYNC  kubelet's syncFrequency (default 2s)
#   IMAGES  archives of images to import, with blanks between them
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BIN:?folder with the built programs}" "${RUN:?folder for all state}" "${NODE:?name of the node}"
SYNC=${SYNC:-2s} IMAGES=${IMAGES:-}
holder=$(cat "$RUN/holder.pid")
. "$here/lib.sh"
pki=$RUN/pki

inside mount --make-rshared / # or what a driver mounts in its container is not seen by others
mkdir -p "$RUN"/{layers/{var,var-work,etc,etc-work},cni,kubelet}
for folder in var etc; do
  inside mount -t overlay overlay \
    -o "lowerdir=/$folder,upperdir=$RUN/layers/$folder,workdir=$RUN/layers/$folder-work" "/$folder"
done
inside mount -t tmpfs -o mode=755 tmpfs /run
# kubelet's own folder is no overlay: it makes mounts in it.
inside sh -ec "rm -rf /var/lib/kubelet /var/lib/cni; mkdir -p /var/lib/kubelet; mount --bind '$RUN/kubelet' /var/lib/kubelet; mount --make-rshared /var/lib/kubelet"
inside sh -ec 'echo 1 > /proc/sys/net/ipv4/ip_forward'

# Control groups are the machine's: ours have a root of their own, to be removed by name.
group=pcsi-$holder
echo "$group" > "$RUN/cgroup"
for root in /sys/fs/cgroup /sys/fs/cgroup/*/; do
  [[ ! -e $root/cgroup.procs ]] || mkdir -p "$root/$group"
done

cat > "$RUN/containerd.toml" <<END
version = 2
root = "$RUN/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE no oom_score_adj may go below our own: runc dies of it.
  restrict_oom_score_adj = true
  sandbox_image = "localhost/pause:1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/cni"
END
cat > "$RUN/cni/10-pods.conflist" <<'END'
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {"type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
END
cat > "$RUN/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$group
failCgroupV1: false # since 1.35 the default refuses such a host
failSwapOn: false
resolvConf: ""
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi}
oomScoreAdj: 0 # the default, -999, needs CAP_SYS_RESOURCE
maxPods: 200
syncFrequency: $SYNC # also the pace at which volumes are published again
# The suite starts many pods at once, and reads its own events.
eventRecordQPS: 0
registryPullQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
END

start containerd containerd --config "$RUN/containerd.toml" --log-level warn
start controllers "$BIN/kube-controller-manager" --kubeconfig "$pki/controllers.kubeconfig" \
  --authentication-kubeconfig "$pki/controllers.kubeconfig" --authorization-kubeconfig "$pki/controllers.kubeconfig" \
  --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" --use-service-account-credentials \
  --leader-elect=false --bind-address 127.0.0.1 --cert-dir "$RUN/controllers"
start scheduler "$BIN/kube-scheduler" --kubeconfig "$pki/scheduler.kubeconfig" \
  --authentication-kubeconfig "$pki/scheduler.kubeconfig" --authorization-kubeconfig "$pki/scheduler.kubeconfig" \
  --leader-elect=false --bind-address 127.0.0.1 --cert-dir "$RUN/scheduler"
wait_for 60 "containerd" inside ctr version
for archive in $IMAGES; do
  inside ctr -n k8s.io images import "$archive" > /dev/null
done
say "images imported"
start kubelet "$BIN/kubelet" --config "$RUN/kubelet.yaml" --kubeconfig "$pki/kubelet.kubeconfig" \
  --hostname-override "$NODE" --node-ip 10.99.0.1 --cert-dir "$RUN/kubelet-certs"
start proxy "$BIN/kube-proxy" --kubeconfig "$pki/proxy.kubeconfig" --hostname-override "$NODE" \
  --proxy-mode iptables --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
  --conntrack-tcp-timeout-close-wait 0 --metrics-bind-address 127.0.0.1:10249
wait_for 120 "node Ready" kubectl wait --for=condition=Ready "node/$NODE" --timeout=1s
wait_for 60 "default service account" kubectl get serviceaccount default
