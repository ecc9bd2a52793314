"""What LiveKit's API and its webhooks tell about a session, from nothing to its end."""

import time

import pytest
from harness import broadcast, sources
from harness.clip import bits_per_second


def test_api_sees_a_whole_session(stack, room, started, clip, tmp_path):
    cast = broadcast.make(stack, room)
    began = time.time_ns()
    with stack.api.watch(cast.id) as watch:
        source = sources.ffmpeg(cast.url, clip, tmp_path)
        started.append(source)
        cast.wait_live()
        live = stack.api.wait_for_state(cast.id, lambda s: s.video.average_bitrate and s.audio.average_bitrate, 90)
        room_sid = stack.api.room_sid(room)
        sources.end_of_stream(source)
        watch.wait(["INACTIVE", "BUFFERING", "PUBLISHING", "INACTIVE"], 20)
    ended = watch.last("INACTIVE")

    assert live.room_id == room_sid
    assert (live.video.width, live.video.height) == (1280, 720)
    assert live.video.framerate == pytest.approx(30, abs=1)
    assert "h264" in live.video.mime_type.lower()
    assert live.video.average_bitrate == pytest.approx(bits_per_second(clip, "v"), rel=0.25)
    assert "aac" in live.audio.mime_type.lower()
    assert live.audio.average_bitrate == pytest.approx(bits_per_second(clip, "a"), rel=0.25)
    assert (live.audio.channels, live.audio.sample_rate) == (2, 48000)
    assert live.resource_id.startswith("RT_")
    assert began <= live.started_at <= live.updated_at
    assert live.ended_at == 0
    assert ended.started_at == live.started_at
    assert live.updated_at < ended.ended_at <= time.time_ns()
    assert not ended.error


def test_each_webhook_comes_exactly_once(stack, room, push):
    cast = broadcast.make(stack, room)
    pusher = push(cast.url)
    pusher.wait_started()
    stack.webhooks.wait(cast.id, "ingress_started", 20)
    cast.wait_live()
    # The averages are refreshed while it runs: such an update must not look like another start.
    pusher.wait("sent", 10, since=pusher.mark(), count=90)
    pusher.end()
    stack.webhooks.wait(cast.id, "ingress_ended", 20)
    cast.wait_ended()
    # What the server would send too often it would send with the next session at the latest.
    again = push(cast.url)
    again.wait_started()
    stack.webhooks.wait(cast.id, "ingress_started", 20, count=2)
    events = [hook.event for hook in stack.webhooks.of(cast.id)]
    assert events == ["ingress_started", "ingress_ended", "ingress_started"]


def test_a_second_session_has_its_own_resource_and_start(stack, room, push):
    cast = broadcast.make(stack, room)
    states = []
    for _ in range(2):
        pusher = push(cast.url)
        pusher.wait_started()
        states.append(cast.wait_live())
        pusher.end()
        cast.wait_ended()
    first, second = states
    assert first.resource_id != second.resource_id
    assert first.started_at < second.started_at


def test_encoder_that_is_cut_off_ends_the_session(stack, room, push):
    cast = broadcast.make(stack, room)
    pusher = push(cast.url)
    pusher.wait_started()
    cast.wait_live()
    pusher.reset()
    cast.wait_ended()
    cast.wait_left()


@pytest.mark.parametrize("suffix", ["/", "?backup=1", "/?token=a/b"])
def test_key_is_found_in_what_encoders_make_of_the_url(stack, room, push, suffix):
    cast = broadcast.make(stack, room)
    push(cast.url + suffix).wait_started()
    cast.wait_live()


def test_any_app_name_is_accepted(stack, room, push):
    cast = broadcast.make(stack, room)
    push(cast.url.replace("/x/", "/live/stage/")).wait_started()
    cast.wait_live()
