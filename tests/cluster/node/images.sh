#!/usr/bin/env bash
# images.sh: makes the images of the node suite, each FROM scratch, since none can
# be pulled. They differ from a user's in nothing but where they come from.
#   BIN       folder with the built programs    OUT   folder for the archives
#   DRIVER    the CSI driver's program          EMULATOR  phase-emulator's program
#   CLIENT    the suite's sync-client
set -euo pipefail
: "${BIN:?}" "${OUT:?}" "${DRIVER:?}" "${EMULATOR:?}" "${CLIENT:?}"
mkdir -p "$OUT"
buildah=(buildah --storage-driver vfs --root "$OUT/storage" --runroot "$OUT/runroot")
busybox=$(command -v busybox)

# image NAME ENTRYPOINT PROGRAM...: PROGRAM is PATH, or NAME=PATH to rename it. A
# program that is linked dynamically brings its libraries along.
image() {
  local name=$1 entrypoint=$2; shift 2
  local folder=$OUT/$name program path
  rm -rf "$folder"
  mkdir -p "$folder"/root/{bin,etc,tmp,proc,sys,dev,var/run}
  chmod 1777 "$folder/root/tmp"
  echo 'root:x:0:0:root:/:/bin/sh' > "$folder/root/etc/passwd"
  for program; do
    path=${program#*=}
    cp -L "$path" "$folder/root/bin/$(basename "${program%%=*}")"
    { ldd "$path" 2>/dev/null | grep -o '/[^ ]*' || true; } | sort -u |
      while read -r library; do install -D "$library" "$folder/root$library"; done
  done
  if [[ -e $folder/root/bin/busybox ]]; then
    "$busybox" --list | while read -r applet; do
      [[ $applet = busybox ]] || ln -s busybox "$folder/root/bin/$applet"
    done
  fi
  printf 'FROM scratch\nCOPY root /\nENV PATH=/bin\nENTRYPOINT %s\n' "$entrypoint" > "$folder/Dockerfile"
  "${buildah[@]}" bud --isolation chroot --timestamp 0 --quiet -t "localhost/$name:1" "$folder" > /dev/null
  rm -f "$OUT/$name.tar"
  "${buildah[@]}" push --quiet "localhost/$name:1" "docker-archive:$OUT/$name.tar:localhost/$name:1"
  rm -rf "$folder"
}

image pause '["/bin/busybox", "sleep", "infinity"]' "$busybox"
image workload '["/bin/busybox", "sleep", "infinity"]' "$busybox"
image registrar '["/bin/registrar"]' "$BIN/registrar"
image driver '["/bin/driver"]' "driver=$DRIVER" "$busybox" # it calls mount and umount
image sync-client '["/bin/sync-client"]' "$CLIENT"
image emulator '["/bin/phase-emulator"]' "$EMULATOR"
rm -rf "$OUT/storage" "$OUT/runroot"
