"""The same key again while the first encoder is connected: the new one takes over, and nobody in the room notices."""

from harness import broadcast
from harness.clip import Clip

TAKEOVER_S = 5


def test_second_encoder_on_a_live_key_takes_over(stack, room, join, push, media):
    cast = broadcast.make(stack, room)
    first = push(cast.url)
    first.wait_started()
    viewer = join(stack, room)
    viewer.wait_moving(20)
    before = cast.wait_tracks()

    second = push(cast.url)
    second.wait_started()
    told = first.wait("status", TAKEOVER_S, lambda e: e["level"] == "error")
    assert told["description"], "the first encoder is told why"
    first.wait("closed", TAKEOVER_S)

    viewer.wait_frame(20, viewer.mark(), count=60)
    now = cast.participant()
    assert now.sid == before.sid
    assert {track.sid for track in now.tracks} == {track.sid for track in before.tracks}
    assert not viewer.select("unsubscribed")
    cast.wait_live()
    assert len(stack.webhooks.of(cast.id, "ingress_started")) == 1
    assert not stack.webhooks.of(cast.id, "ingress_ended")


def test_takeover_with_another_picture_size_keeps_the_tracks(stack, room, join, push, media):
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280)
    before = cast.wait_tracks()

    push(cast.url, file=Clip(640, 360, kbps=1200).file(media)).wait_started()
    viewer.wait("frame", 20, lambda e: e["w"] == 640, viewer.mark())
    assert {t.sid for t in cast.participant().tracks} == {t.sid for t in before.tracks}
