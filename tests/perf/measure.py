"""`make perf`: what one 720p30 session with three layers costs, and how late its pictures are.

Prints CPU seconds per second and PSS of server and worker with all layers watched and with nobody watching, the latency
from push to decoded picture, and, from the same run, the steal time of the host and the cost of the same graph in bare
GStreamer. docs/performance.md explains the figures.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/e2e"))

from harness import broadcast, meters, sources, wait  # noqa: E402
from harness.clip import Clip  # noqa: E402
from harness.stack import Stack  # noqa: E402
from harness.subscriber import Subscriber  # noqa: E402

FPS = 30
# Left out after each change: encoders, bitrate control and jitter buffers settle.
SETTLE_FRAMES = 10 * FPS
# livekit-server lets layers go 5 s after their last viewer.
PAUSED_S = 30
# The sound of an unwatched session, and nothing else.
SOUND_ONLY_BPS = 160_000


def watched(stack: Stack, pusher, viewer: Subscriber, seconds: int) -> None:
    viewer.wait_frame(60, viewer.mark(), count=SETTLE_FRAMES)
    window, mark = start(stack), viewer.mark()
    pusher.wait("sent", seconds + 10, since=pusher.mark(), count=seconds * FPS)
    usage, seen = window.end(), meters.latency(pusher, viewer.frames(mark))
    print(f"watched          {usage}\n                 {seen}", flush=True)


def unwatched(stack: Stack, pusher, seconds: int) -> None:
    meter = meters.Incoming(stack.livekit)
    wait.until(lambda: meter.bps() < SOUND_ONLY_BPS, PAUSED_S, "the layers are paused")
    window = start(stack)
    pusher.wait("sent", seconds + 10, since=pusher.mark(), count=seconds * FPS)
    print(f"nobody watching  {window.end()}", flush=True)


def start(stack: Stack) -> meters.Window:
    server = stack.sluicegate
    return meters.Window([server.process.pid, *server.busy_workers()])


def measure(stack: Stack, clip: Path, seconds: int) -> None:
    stack.start().start_sluicegate()
    cast = broadcast.make(stack, "perf")
    pusher = sources.Pusher(cast.url, clip, stack.logs)
    stack.started.append(pusher)
    pusher.wait_started()
    cast.wait_tracks()
    token = stack.api.viewer_token(cast.room, "viewer")
    viewer = Subscriber(stack.livekit.url, token, stack.logs)
    stack.started.append(viewer)
    watched(stack, pusher, viewer, seconds)
    viewer.leave()
    unwatched(stack, pusher, seconds)
    pusher.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="release", help="the cargo profile whose binaries are measured")
    parser.add_argument("--seconds", type=int, default=40, help="length of each measurement")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    os.environ.setdefault("SLUICEGATE_BIN_DIR", str(target / options.profile))
    clip = Clip().file(REPO / ".cache/media")
    for _ in range(options.runs):
        print(f"bare GStreamer   {meters.bare_graph(clip)}", flush=True)
        with tempfile.TemporaryDirectory() as logs, Stack(Path(logs)) as stack:
            measure(stack, clip, options.seconds)


if __name__ == "__main__":
    main()
