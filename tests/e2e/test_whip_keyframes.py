"""Browsers send key pictures only when they are asked for them: so they are, where a worker needs one."""

import signal

from harness import broadcast, proc, wait
from harness.subscriber import outlived

# With nobody watching the layers are paused 10 s after the start, and requests come each two seconds or so.
ASKED_S = 30
FIRST_PICTURE_S = 1
# faults.md, row 32.
BACK_S = 2


def test_a_transcoded_browser_is_asked_for_key_pictures(roomy_stack, room, join, publish):
    stack = roomy_stack
    cast = broadcast.make_whip(stack, room, transcode=True, preset="H264_720P_30FPS_1_LAYER")
    client = publish(cast, "chromium", codec="vp8")
    client.wait_started()
    cast.wait_live()

    def asked() -> int:
        return sum(layer["pli"] for layer in client.stats()["layers"].values())

    before = asked()
    wait.until(lambda: asked() >= before + 3, ASKED_S, lambda: f"three requests; there were {asked() - before}")
    viewer = join(stack, room)
    subscribed = viewer.track("video")["t"]
    shown = viewer.wait_moving(10)["at"] - subscribed
    print(f"a picture {1000 * shown:.0f} ms after subscribing")
    assert shown <= FIRST_PICTURE_S

    viewer.wait_frame(10, viewer.mark(), count=60)
    worker = max(stack.sluicegate.workers(), key=proc.cpu_seconds)
    assert outlived(viewer, worker, signal.SIGKILL) <= BACK_S
