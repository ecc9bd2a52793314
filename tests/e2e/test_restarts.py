"""livekit-server or Redis goes away and comes back: the encoder stays connected, and the last states are delivered."""

from harness import broadcast, sources
from harness.clip import Clip

# After the server answers again (faults.md, rows 33 and 34).
BACK_S = 5
# The SDK's reconnection of a subscriber is not ours to be quick: new viewers are used.
PICTURE_S = 20


def test_participant_is_back_after_livekit_restarts(own_stack, room, join, push):
    stack = own_stack
    cast = broadcast.make(stack, room)
    pusher = push(cast.url)
    pusher.wait_started()
    cast.wait_live()

    stack.livekit.process.kill()
    stack.livekit.start()
    viewer = join(stack, room)
    viewer.wait("participant", BACK_S, lambda e: e["here"] and e["identity"] == cast.identity)
    viewer.wait_moving(PICTURE_S)
    assert not pusher.select("closed"), "the encoder's connection was kept"
    cast.wait_live()
    pusher.end()
    cast.wait_ended()


def test_state_is_delivered_after_livekit_was_away(own_stack, room, push):
    stack = own_stack
    cast = broadcast.make(stack, room)
    pusher = push(cast.url)
    pusher.wait_started()
    cast.wait_live()

    stack.livekit.process.kill()
    pusher.end()
    stack.livekit.start()
    ended = cast.wait_ended(within=30)
    assert ended.ended_at > 0
    stack.webhooks.wait(cast.id, "ingress_ended", 5)
    assert len(stack.webhooks.of(cast.id, "ingress_ended")) == 1


def test_sessions_live_through_a_restart_of_redis(roomy_stack, room, join, push, media):
    stack = roomy_stack
    # Two at once, on a machine that has room for one of 720p: what stands still is not to be because of that.
    small = Clip(width=640, height=360, kbps=900).file(media)
    cast = broadcast.make(stack, room)
    pusher = push(cast.url, file=small)
    pusher.wait_started()
    viewer = join(stack, room)
    viewer.wait_moving(PICTURE_S)

    mark = viewer.mark()
    stack.redis.process.kill()
    viewer.wait_frame(10, mark, count=60)
    refused = push(stack.sluicegate.url(cast.ingress.stream_key + "-other"))
    assert refused.refusal()["description"]
    stack.redis.start()

    again = broadcast.make_when_possible(stack, f"{room}-again", BACK_S)
    stack.sluicegate.wait_available(PICTURE_S)
    push(again.url, file=small).wait_started()
    again.wait_live()
    viewer.wait_frame(10, viewer.mark(), count=30)
    assert viewer.longest_gap(mark) < 1
    pusher.end()
    cast.wait_ended()


def test_encoder_keeps_trying_and_gets_in_again(own_stack, room, join, clip, started, tmp_path):
    """A server that is replaced: the next one takes the key without anything left of the first."""
    stack = own_stack
    cast = broadcast.make(stack, room)
    first = sources.ffmpeg(cast.url, clip, tmp_path)
    started.append(first)
    cast.wait_live()
    stack.sluicegate.process.kill()
    assert first.exit_code(20) != 0
    stack.sluicegate.start()
    second = sources.ffmpeg(cast.url, clip, tmp_path)
    started.append(second)
    join(stack, room).wait_moving(PICTURE_S)
