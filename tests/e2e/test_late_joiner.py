"""Who comes later sees a picture at once, because a keyframe is made for it."""

from harness import broadcast

# From the request to subscribe to the first decoded frame (issue 3).
FIRST_PICTURE_S = 0.5
JOINERS = 4
# The SFU asks for at most one keyframe of the top layer a second: each joiner comes that much later.
APART_FRAMES = 60


def test_late_joiner_sees_a_picture_within_half_a_second(stack, room, join, push):
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    early = join(stack, room)
    early.wait_moving(20)
    delays = []
    for _ in range(JOINERS):
        late = join(stack, room, manual=True)
        late.wait("published", 10, lambda e: e["kind"] == "video")
        early.wait_frame(20, early.mark(), count=APART_FRAMES)
        late.subscribe(True)
        asked = late.wait("asked_to_subscribe", 5)["t"]
        delays.append(late.wait_frame(10)["at"] - asked)
        late.leave()
    print("subscribed to first picture:", [f"{1000 * delay:.0f} ms" for delay in delays])
    assert max(delays) <= FIRST_PICTURE_S
