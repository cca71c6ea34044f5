#!/usr/bin/env bash
# up.sh: starts etcd and kube-apiserver in mount, network and process namespaces
# of their own, so that nothing of them touches the machine.
#   BIN   folder with the programs      RUN   folder for all state
#   NODE  non-empty: for a whole node of this name, which node.sh then starts
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BIN:?folder with the built programs}" "${RUN:?folder for all state}"
NODE=${NODE:-}
[[ ! -e $RUN/holder.pid ]] || { echo "up.sh: already up, see $RUN/holder.pid; run down.sh first" >&2; exit 1; }
mkdir -p "$RUN/log"
. "$here/lib.sh"

# The holder is process 1 of the new process namespace: when it ends, the
# kernel ends everything in it, and the mounts go with the mount namespace.
# Until up.sh is through, any way out ends unshare itself, which takes its
# child along (--kill-child): nothing is left when the start fails.
setsid unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
  "$BIN/kube" hold < /dev/null > "$RUN/log/holder" 2>&1 &
outer=$!
trap 'kill -KILL "$outer" 2>/dev/null || true; rm -f "$RUN/holder.pid" "$RUN/unshare.pid"' EXIT
echo "$outer" > "$RUN/unshare.pid"

holder=
for _ in $(seq 250); do
  kill -0 "$outer" 2>/dev/null || give_up "unshare ended: namespaces need root with CAP_SYS_ADMIN"
  holder=$(tr -d ' ' < "/proc/$outer/task/$outer/children" 2>/dev/null || true)
  [[ -n $holder && $(readlink "/proc/$holder/exe") = "$(readlink -f "$BIN/kube")" ]] && break
  holder=
  sleep 0.02
done
[[ -n $holder ]] || give_up "the holder did not start"
echo "$holder" > "$RUN/holder.pid"

address=10.99.0.1 # of the node, and what the API server advertises: no loopback address
inside mount --make-rprivate /
inside ip link set lo up
inside ip address add "$address/32" dev lo
# Where a test's own Phase listens: here, too, but no address that the node calls its own.
inside ip address add 10.99.1.1/32 dev lo
"$here/certs.sh" "$RUN/pki" $NODE
start etcd "$BIN/etcd" --data-dir "$RUN/etcd" --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
  --unsafe-no-fsync --log-level warn
pki=$RUN/pki
if [[ -n $NODE ]]; then
  mode=(--bind-address 0.0.0.0 --authorization-mode "Node,RBAC" --enable-admission-plugins NodeRestriction --allow-privileged
    --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" --kubelet-preferred-address-types InternalIP)
else
  # No controller runs here: a namespace's ServiceAccount "default", which pods
  # need, is made by hand.
  mode=(--bind-address 127.0.0.1 --authorization-mode RBAC --endpoint-reconciler-type none)
fi
start kube-apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
  --advertise-address "$address" --secure-port 6443 --cert-dir "$RUN/apiserver" \
  --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
  --service-account-issuer https://kubernetes.default.svc --service-account-signing-key-file "$pki/sa.key" \
  --service-account-key-file "$pki/sa.key" --service-cluster-ip-range 10.96.0.0/16 "${mode[@]}"
wait_for 180 "kube-apiserver ready" kubectl get --raw /readyz
inside "$BIN/kubectl" --kubeconfig "$pki/admin.kubeconfig" apply -f "$here/crds.yaml" > /dev/null
wait_for 60 "both kinds established" kubectl wait --for=condition=Established --all crd --timeout=1s
trap - EXIT
