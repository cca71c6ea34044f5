#!/usr/bin/env bash
# inside.sh COMMAND...: runs a command in the cluster's namespaces.
#   RUN   folder of the running cluster
set -euo pipefail
: "${RUN:?folder of the running cluster}"
export KUBECONFIG=$RUN/pki/admin.kubeconfig
exec nsenter -t "$(cat "$RUN/holder.pid")" -m -n -p --wdns="$PWD" -- "$@"
