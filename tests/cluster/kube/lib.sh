# lib.sh: what up.sh and node.sh share. Sourced, with BIN and RUN set and the
# holder's process id in `holder`.
began=$(date +%s%N)
say() { echo "$(( ($(date +%s%N) - began) / 1000000 )) ms: $*"; }
give_up() { echo "$(basename "$0"): $1" >&2; tail -n 20 "$RUN"/log/* >&2 || true; exit 1; }
inside() { nsenter -t "$holder" -m -n -p --wdns=/ -- "$@"; }
kubectl() { inside env HOME="$RUN" "$BIN/kubectl" --kubeconfig "$RUN/pki/admin.kubeconfig" "$@"; }

# start NAME COMMAND...: in the background, inside, output to log/NAME. How it was
# started stays in start/NAME, and its process id inside in pid/NAME: a test ends
# and starts a component again by them.
start() {
  local name=$1; shift
  mkdir -p "$RUN/start" "$RUN/pid"
  printf '#!/bin/sh\necho $$ > %q\nexec %s >> %q 2>&1 < /dev/null\n' "$RUN/pid/$name" "$(printf '%q ' "$@")" "$RUN/log/$name" > "$RUN/start/$name"
  chmod +x "$RUN/start/$name"
  setsid nsenter -t "$holder" -m -n -p --wdns=/ -- "$RUN/start/$name" < /dev/null > /dev/null 2>&1 &
  started+=("$!")
}
started=()

wait_for() { # wait_for SECONDS WHAT COMMAND...: or until a started program ends
  local end=$(( SECONDS + $1 )) what=$2; shift 2
  until "$@" > /dev/null 2>&1; do
    kill -0 "${started[@]}" 2>/dev/null || give_up "a program ended before: $what"
    (( SECONDS < end )) || give_up "not in time: $what"
    sleep 0.1
  done
  say "$what"
}
