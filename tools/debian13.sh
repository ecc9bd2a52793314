#!/usr/bin/env bash
# Runs a program of this project with Debian 13's libraries and programs (GStreamer 1.26) instead of this machine's.
#
#   tools/debian13.sh COMMAND [ARGUMENT..]
#
# The first time it makes that system, in a folder of $SLUICEGATE_CACHE (some minutes, 1.2 GB). Needs root: chroot, and a
# mount namespace that ends with the command. The process that is started becomes the command: its pid, signals and exit
# code are the command's.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
source "$top/tools/env.sh"
system=$SLUICEGATE_CACHE/debian13

die() { printf 'debian13: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "not root: a system in a folder needs chroot"

PACKAGES=(
  libsrt1.5-gnutls gstreamer1.0-tools gstreamer1.0-libav gstreamer1.0-x fonts-dejavu-core
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  ffmpeg openssl ca-certificates
)

make_system() {
  local part=$system.$$
  command -v debootstrap >/dev/null || apt-get -qy install --no-install-recommends debootstrap </dev/null \
    || die "no debootstrap here, and apt-get could not install it"
  mkdir -p "$SLUICEGATE_CACHE"
  debootstrap --variant=minbase trixie "$part" </dev/null || die "debootstrap failed: is Debian's archive reachable?"
  cp /etc/resolv.conf /etc/hosts "$part/etc/"
  # Packages start no services in there.
  printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d"
  chmod +x "$part/usr/sbin/policy-rc.d"
  chroot "$part" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${PACKAGES[@]}" </dev/null \
    || die "apt-get could not install there: ${PACKAGES[*]}"
  chroot "$part" apt-get clean
  mv "$part" "$system"
}

[ -d "$system" ] || make_system >&2
for folder in /proc /sys /dev /tmp "$top"; do mkdir -p "$system$folder"; done
# shellcheck disable=SC2016 # expanded by the shell inside.
exec unshare --mount sh -c '
  system=$1 top=$2 here=$3; shift 3
  for folder in /proc /sys /dev /tmp "$top"; do mount --rbind "$folder" "$system$folder" || exit 125; done
  exec chroot "$system" env -C "$here" -- "$@"
' debian13 "$system" "$top" "$PWD" "$@"
