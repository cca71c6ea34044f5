#!/usr/bin/env bash
# up.sh: starts etcd and kube-apiserver in mount, network and process namespaces
# of their own, so that nothing of them touches the machine.
#   BIN   folder with the programs      RUN   folder for all state
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BIN:?folder with the built programs}" "${RUN:?folder for all state}"
[[ ! -e $RUN/holder.pid ]] || { echo "up.sh: already up, see $RUN/holder.pid; run down.sh first" >&2; exit 1; }
mkdir -p "$RUN/log"
began=$(date +%s%N)
say() { echo "$(( ($(date +%s%N) - began) / 1000000 )) ms: $*"; }
give_up() { echo "up.sh: $1" >&2; tail -n 20 "$RUN"/log/* >&2 || true; exit 1; }

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

started=()
inside() { nsenter -t "$holder" -m -n -p --wdns=/ -- "$@"; }
start() { # start NAME COMMAND...: in the background, inside, output to a file
  local name=$1; shift
  setsid nsenter -t "$holder" -m -n -p --wdns=/ -- "$@" < /dev/null >> "$RUN/log/$name" 2>&1 &
  started+=("$!")
}
wait_for() { # wait_for SECONDS WHAT COMMAND...: or until a started program ends
  local end=$(( SECONDS + $1 )) what=$2; shift 2
  until "$@" > /dev/null 2>&1; do
    kill -0 "${started[@]}" 2>/dev/null || give_up "a program ended before: $what"
    (( SECONDS < end )) || give_up "not in time: $what"
    sleep 0.1
  done
  say "$what"
}
kubectl() { inside env HOME="$RUN" "$BIN/kubectl" --kubeconfig "$RUN/pki/admin.kubeconfig" "$@"; }

inside mount --make-rprivate /
inside ip link set lo up
inside ip address add 10.99.0.1/32 dev lo # an address that is not a loopback one, for the API server to advertise
"$here/certs.sh" "$RUN/pki"
start etcd "$BIN/etcd" --data-dir "$RUN/etcd" --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
  --unsafe-no-fsync --log-level warn
pki=$RUN/pki
# No controller runs here: a namespace's ServiceAccount "default", which pods
# need, is made by hand.
start kube-apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
  --bind-address 127.0.0.1 --advertise-address 10.99.0.1 --secure-port 6443 --cert-dir "$RUN/apiserver" \
  --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
  --service-account-issuer https://kubernetes.default.svc --service-account-signing-key-file "$pki/sa.key" \
  --service-account-key-file "$pki/sa.key" --service-cluster-ip-range 10.96.0.0/16 \
  --authorization-mode RBAC --endpoint-reconciler-type none
wait_for 180 "kube-apiserver ready" kubectl get --raw /readyz
inside "$BIN/kubectl" --kubeconfig "$pki/admin.kubeconfig" apply -f "$here/crds.yaml" > /dev/null
wait_for 60 "both kinds established" kubectl wait --for=condition=Established --all crd --timeout=1s
trap - EXIT
