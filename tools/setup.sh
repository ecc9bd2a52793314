#!/usr/bin/env bash
# Installs what building, the demo and the tests need, and only what is missing.
#
#   tools/setup.sh demo     what `make demo` needs
#   tools/setup.sh test     the same, browsers for the tests of pages, and GStreamer's WebRTC for Debian's Python
#
# Debian 12 and 13, Ubuntu 24.04; root, or sudo. Rust and Go have to be there.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/env.sh
want=${1:-test}

say() { printf 'setup: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

PACKAGES=(
  build-essential pkg-config                                        # C parts of Rust crates
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev              # sluicegate-worker
  libsrt-gnutls-dev                                                 # sluicegate-srt; the flavour that FFmpeg and GStreamer bring along
  gstreamer1.0-tools gstreamer1.0-libav gstreamer1.0-x fonts-dejavu-core   # -x: text on the test picture
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  redis-server ffmpeg openssl iproute2 binutils curl ca-certificates
  python3 python3-venv
)

# A WHIP publisher of the tests: webrtcbin, driven by /usr/bin/python3.
WEBRTC_PACKAGES=(python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice)

# An RTSP server that the tests pull from, driven likewise.
SERVER_PACKAGES=(gir1.2-gst-rtsp-server-1.0)

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "not root and no sudo: as root, run: $*"; fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Debian has Chromium and Firefox as packages. Ubuntu has them only as snaps, which cannot be driven headless from a test.
add_browsers() {
  if [ "$(. /etc/os-release && echo "$ID")" != debian ]; then return; fi
  if [ -z "${CHROMIUM:-}" ] && ! command -v google-chrome >/dev/null; then PACKAGES+=(chromium chromium-driver); fi
  if [ -z "${FIREFOX:-}" ]; then PACKAGES+=(firefox-esr); fi
}

apt_packages() {
  command -v apt-get >/dev/null || die "no apt-get here: install by hand: ${PACKAGES[*]}"
  command -v npm >/dev/null || PACKAGES+=(nodejs npm)
  local missing=() name
  for name in "${PACKAGES[@]}"; do installed "$name" || missing+=("$name"); done
  if [ ${#missing[@]} = 0 ]; then return; fi
  say "apt-get install ${missing[*]}"
  as_root apt-get -q update </dev/null || die "apt-get update failed: is the network there?"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}" </dev/null \
    || die "apt-get could not install: ${missing[*]}"
}

toolchains() {
  command -v cargo >/dev/null || die "cargo is missing: install Rust with rustup, see the rust-version line of Cargo.toml"
  [ -x "$LIVEKIT_SERVER" ] || command -v go >/dev/null \
    || die "neither livekit-server nor go is on PATH: install Go, or set LIVEKIT_SERVER to a livekit-server $LIVEKIT_VERSION"
}

livekit_server() {
  if [ -x "$LIVEKIT_SERVER" ]; then return; fi
  say "building livekit-server $LIVEKIT_VERSION, once, into $SLUICEGATE_CACHE/bin (some minutes)"
  local bin
  mkdir -p "$SLUICEGATE_CACHE/bin"
  bin=$(mktemp -d "$SLUICEGATE_CACHE/bin/build.XXXXXX")
  GOBIN=$bin go install "github.com/livekit/livekit-server/cmd/server@$LIVEKIT_VERSION" \
    || die "go could not build livekit-server: see its message above, or set LIVEKIT_SERVER to a binary of $LIVEKIT_VERSION"
  mv "$bin/server" "$SLUICEGATE_CACHE/bin/livekit-server"
  rmdir "$bin"
}

# A stamp holds the hash of what was installed, so that nothing is asked of a registry when nothing changed.
fresh() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

python_packages() {
  local stamp=$VENV/.installed sum
  sum=$(sha256sum tests/e2e/requirements.txt | cut -d' ' -f1)
  if fresh "$stamp" "$sum" && "$VENV/bin/python" -c '' 2>/dev/null; then return; fi
  say "Python packages into $VENV"
  python3 -m venv --clear "$VENV" || /usr/bin/python3 -m venv --clear "$VENV" || die "python3 -m venv failed: is python3-venv installed?"
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check -r tests/e2e/requirements.txt \
    || die "pip could not install tests/e2e/requirements.txt"
  echo "$sum" >"$stamp"
}

npm_packages() {
  local stamp=web/node_modules/.installed sum
  sum=$(sha256sum web/package-lock.json | cut -d' ' -f1)
  if fresh "$stamp" "$sum"; then return; fi
  say "npm packages into web/node_modules"
  npm --prefix web ci --no-audit --no-fund --loglevel=error </dev/null || die "npm ci failed in web/"
  echo "$sum" >"$stamp"
}

browser_or_advice() {
  if [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v google-chrome >/dev/null; then return; fi
  say "no Chromium with H.264 here; for the tests of the page run '$VENV/bin/playwright install chrome', or set CHROMIUM=/path/to/it"
}

if [ "$want" = test ]; then
  add_browsers
  PACKAGES+=("${WEBRTC_PACKAGES[@]}" "${SERVER_PACKAGES[@]}")
fi
apt_packages
toolchains
livekit_server
python_packages
npm_packages
if [ "$want" = test ]; then browser_or_advice; fi
say "all there"
