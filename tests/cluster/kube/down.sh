#!/usr/bin/env bash
# down.sh: ends the namespaces that up.sh made, and removes all state.
#   RUN   folder for all state          KEEP  non-empty: the logs stay
set -uo pipefail
: "${RUN:?folder for all state}"
for name in holder unshare; do
  pid=$(cat "$RUN/$name.pid" 2>/dev/null) || continue
  # Only what up.sh started: the number may belong to somebody else by now.
  program=$(readlink "/proc/$pid/exe" 2>/dev/null) || continue
  case $program in
  */kube | */unshare)
    kill -KILL "$pid" 2>/dev/null
    for _ in $(seq 200); do [[ -e /proc/$pid/ns/pid ]] || break; sleep 0.05; done
    ;;
  esac
done
rm -f "$RUN/holder.pid" "$RUN/unshare.pid"
# A node's control groups outlive its namespaces; node.sh gave them a root of their own.
if group=$(cat "$RUN/cgroup" 2>/dev/null); then
  find /sys/fs/cgroup -mindepth 1 -type d -path "*/$group*" -depth -exec rmdir {} + 2>/dev/null
fi
[[ -n ${KEEP:-} ]] || rm -rf "$RUN"
