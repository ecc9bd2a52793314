"""Layers that nobody watches cost nothing, and are back at once when somebody does."""

from harness import broadcast, meters, wait

# livekit-server tells the publisher 5 s after the last viewer left, and 10 s after the start if nobody came.
PAUSED_S = 25
RESUMED_S = 2
# Sound alone is 96 kb/s; the smallest video layer would add 230 kb/s, all three 2.8 Mb/s.
SOUND_ONLY_BPS = 160_000
LOW_ONLY_BPS = 700_000


def test_unwatched_layers_are_paused_and_resumed(own_stack, room, join, push):
    stack = own_stack
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280)
    meter = meters.Incoming(stack.livekit)

    viewer.set_quality("low")
    viewer.wait_frame(10, w=320)
    wait.until(lambda: meter.bps() < LOW_ONLY_BPS, PAUSED_S, "only the low layer is sent")

    mark = viewer.mark()
    viewer.set_quality("high")
    asked = viewer.wait("quality", 5, since=mark)["t"]
    shown = viewer.wait_frame(10, mark, w=1280)["at"]
    print(f"paused layer on screen after {1000 * (shown - asked):.0f} ms")
    assert shown - asked <= RESUMED_S

    viewer.leave()
    meter = meters.Incoming(stack.livekit)
    wait.until(lambda: meter.bps() < SOUND_ONLY_BPS, PAUSED_S, "no video is sent to an empty room")

    again = join(stack, room)
    subscribed = again.track("video")["t"]
    shown = again.wait_moving(10)["at"]
    print(f"first viewer of a paused session sees it move after {1000 * (shown - subscribed):.0f} ms")
    assert shown - subscribed <= RESUMED_S
