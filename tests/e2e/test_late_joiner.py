"""Who comes later sees a picture at once, because a keyframe is made for it."""

from harness import broadcast

# From the subscription to the first decoded frame (issue 3).
FIRST_PICTURE_S = 0.5
JOINERS = 5


def test_late_joiner_sees_a_picture_within_half_a_second(stack, room, join, push):
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    early = join(stack, room)
    early.wait_moving(20)
    delays = []
    for _ in range(JOINERS):
        late = join(stack, room)
        subscribed = late.track("video")["t"]
        delays.append(late.wait_frame(10)["at"] - subscribed)
        late.leave()
    print("subscribed to first picture:", [f"{1000 * delay:.0f} ms" for delay in delays])
    # The SFU asks for at most one keyframe a second for the top layer, so one joiner may have to wait for its next one.
    assert sorted(delays)[JOINERS // 2] <= FIRST_PICTURE_S
    assert max(delays) <= 1 + FIRST_PICTURE_S
