"""An encoder's own H.264 as the top layer: passed untouched while it fits, encoded while it does not."""

import pytest
from harness import broadcast, wait
from harness.clip import Clip
from harness.stack import Stack

# A clean group of pictures has to go by, and the layers have to be known.
PASSED_S = 15
# The subscriber's frames over which a claim is looked at: three seconds.
FRAMES = 90
FIRST_PICTURE_S = 0.5
# Time without a new picture for somebody who watches while another one joins or the lane changes.
GAP_S = 0.5
JOINERS = 4
# The SFU asks for at most one keyframe of the top layer a second: each joiner comes that much later.
APART_FRAMES = 60

PLAIN = Clip(kbps=2500, b_frames=0)


@pytest.fixture
def plain(media):
    """What fits the default preset's top layer."""
    return PLAIN.file(media)


def wait_passed(stack) -> None:
    before = stack.sluicegate.frames("high", "passed")
    wait.until(
        lambda: stack.sluicegate.frames("high", "passed") > before + FRAMES, PASSED_S, "the encoder's pictures pass"
    )


def made(stack, viewer, frames: int = FRAMES) -> dict:
    """Frames given to the room, by output and origin, while a viewer got so many."""
    kinds = [(output, origin) for output in ("low", "medium", "high") for origin in ("encoded", "passed")]
    before = {kind: stack.sluicegate.frames(*kind) for kind in kinds}
    viewer.wait_frame(20, viewer.mark(), count=frames)
    return {kind: stack.sluicegate.frames(*kind) - before[kind] for kind in kinds}


def test_pictures_that_fit_pass_and_only_lower_layers_are_encoded(stack, room, join, push, plain):
    cast = broadcast.make(stack, room)
    push(cast.url, file=plain).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280)
    wait_passed(stack)
    mark = viewer.mark()
    counts = made(stack, viewer)
    assert counts["high", "encoded"] == 0
    for kind in (("high", "passed"), ("medium", "encoded"), ("low", "encoded")):
        assert counts[kind] >= FRAMES * 0.9, counts
    assert set(viewer.counter_steps(mark)) == {1}, "every picture is there, once"
    assert {frame["w"] for frame in viewer.frames(mark)} == {1280}


def test_passing_can_be_turned_off(tmp_path, room, join, push, plain):
    with Stack(tmp_path / "stack", passthrough="off") as stack:
        stack.start().start_sluicegate()
        cast = broadcast.make(stack, room)
        push(cast.url, file=plain).wait_started()
        viewer = join(stack, room)
        viewer.wait_frame(20, count=5 * 30, w=1280)
        counts = made(stack, viewer)
        viewer.stop()
        assert counts["high", "passed"] == 0 and counts["high", "encoded"] >= FRAMES * 0.9


def test_late_joiner_need_not_wait_for_a_far_keyframe(stack, room, join, push, media):
    cast = broadcast.make(stack, room)
    push(cast.url, file=Clip(kbps=2500, b_frames=0, group=10).file(media)).wait_started()
    early = join(stack, room)
    early.wait_frame(20, w=1280)
    wait.until(lambda: stack.sluicegate.frames("high", "passed") > FRAMES, 30, "the encoder's pictures pass")
    delays, mark = [], early.mark()
    for _ in range(JOINERS):
        late = join(stack, room, manual=True)
        late.wait("published", 10, lambda e: e["kind"] == "video")
        early.wait_frame(20, early.mark(), count=APART_FRAMES)
        late.subscribe(True)
        asked = late.wait("asked_to_subscribe", 5)["t"]
        delays.append(late.wait_frame(10)["at"] - asked)
        late.leave()
    gap = early.longest_gap(mark)
    print("subscribed to first picture:", [f"{1000 * delay:.0f} ms" for delay in delays])
    print(f"who watched before saw no new picture for at most {1000 * gap:.0f} ms")
    assert max(delays) <= FIRST_PICTURE_S
    assert gap <= GAP_S
    assert all(step < 30 for step in early.counter_steps(mark)), "pictures never go back"


def test_pictures_that_no_longer_fit_are_encoded_without_a_new_track(stack, room, join, push, plain, media, clip):
    cast = broadcast.make(stack, room)
    pusher = push(cast.url, file=plain)
    pusher.wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280)
    wait_passed(stack)
    tracks = cast.wait_tracks().tracks
    smaller = Clip(width=960, height=540, kbps=1500, b_frames=0).file(media)

    mark = viewer.mark()
    pusher.play(clip)
    viewer.wait_frame(20, viewer.mark(), count=FRAMES)
    counts = made(stack, viewer)
    assert counts["high", "passed"] == 0 and counts["high", "encoded"] >= FRAMES * 0.9, "B-frames are encoded"
    print(f"to B-frames: still for {1000 * viewer.longest_gap(mark):.0f} ms")
    assert viewer.longest_gap(mark) <= 1

    mark = viewer.mark()
    pusher.play(plain)
    wait_passed(stack)
    print(f"back: still for {1000 * viewer.longest_gap(mark):.0f} ms")
    assert viewer.longest_gap(mark) <= 1

    mark = viewer.mark()
    pusher.play(smaller)
    viewer.wait_frame(20, mark, w=960)
    print(f"to another size: still for {1000 * viewer.longest_gap(mark):.0f} ms")
    assert viewer.longest_gap(mark) <= 2
    wait_passed(stack)

    assert not viewer.select("unpublished")
    assert {track.sid for track in cast.wait_tracks().tracks} == {track.sid for track in tracks}


def test_only_what_is_watched_is_made(own_stack, room, join, push, plain):
    stack = own_stack
    cast = broadcast.make(stack, room)
    push(cast.url, file=plain).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280)
    wait_passed(stack)
    server = stack.sluicegate

    viewer.set_quality("low")
    viewer.wait_frame(10, viewer.mark(), w=320)

    def quiet(*kinds):
        """True once none of these has grown over a second."""
        before = [server.frames(*kind) for kind in kinds]
        viewer.wait_frame(10, viewer.mark(), count=30)
        return before == [server.frames(*kind) for kind in kinds]

    high = (("high", "passed"), ("high", "encoded"))
    wait.until(lambda: quiet(*high, ("medium", "encoded")), 30, "only the low layer is made")
    counts = made(stack, viewer)
    assert counts["low", "encoded"] >= FRAMES * 0.9 and sum(counts.values()) == counts["low", "encoded"]

    mark = viewer.mark()
    viewer.set_quality("high")
    asked = viewer.wait("quality", 5, since=mark)["t"]
    shown = viewer.wait_frame(10, mark, w=1280)["at"]
    print(f"top layer on screen {1000 * (shown - asked):.0f} ms after it was asked for")
    wait_passed(stack)
