# Paths that the Makefile, .ci/run and the tools share. Source it from the top folder of the project.

# The release that the bus facts and the end-to-end tests were written against.
LIVEKIT_VERSION=v1.13.5

VENV=.cache/venv
SLUICEGATE_CACHE=${SLUICEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate}

# One that the caller names wins, then one on PATH, then the one that tools/setup.sh builds.
LIVEKIT_SERVER=${LIVEKIT_SERVER:-$(command -v livekit-server || echo "$SLUICEGATE_CACHE/bin/livekit-server")}
export LIVEKIT_SERVER
