"""WHIP publishers that nobody here wrote, each with its packets forwarded as they are and transcoded."""

import pytest
from harness import broadcast, wait

PICTURE_S = 20
# Two seconds at the publishers' 30 pictures a second.
FRAMES = 60
SIZE = {"w": 640, "h": 360}
ENDED_S = 5

FORWARDED = [
    ("ffmpeg", "h264"),
    ("aiortc", "vp8"),
    ("aiortc", "h264"),
    ("webrtcbin", "vp8"),
    ("webrtcbin", "vp9"),
    ("webrtcbin", "h264"),
    ("chromium", "vp8"),
    ("chromium", "vp9"),
    ("chromium", "h264"),
    ("chromium", "av1"),
    ("firefox", "vp8"),
    ("firefox", "vp9"),
]
TRANSCODED = [
    ("ffmpeg", "h264"),
    ("aiortc", "vp8"),
    ("webrtcbin", "h264"),
    ("chromium", "vp8"),
    ("chromium", "h264"),
    ("chromium", "vp9"),
    ("chromium", "av1"),
    ("firefox", "vp8"),
]


def seen_and_heard(viewer, kind: str) -> None:
    """Pictures of the publisher's size, in order, and the beep each second; of Firefox, which hums, any sound."""
    viewer.wait_frame(PICTURE_S, **SIZE)
    mark = viewer.mark()
    viewer.wait_frame(PICTURE_S, mark, count=FRAMES)
    viewer.assert_moving(mark)
    assert {(frame["w"], frame["h"]) for frame in viewer.frames(mark)} == {(SIZE["w"], SIZE["h"])}
    if kind == "firefox":
        viewer.wait("audio", 5, lambda level: level["peak"] > 1000, since=mark, count=2)
    else:
        viewer.wait("beep", 5, since=mark, count=2)


def deleted(cast, client) -> None:
    """DELETE ends it at once, for the API and for the room."""
    client.stop()
    state = cast.wait_ended(ENDED_S)
    assert not state.error
    cast.wait_left()


@pytest.mark.parametrize(("kind", "codec"), FORWARDED)
def test_packets_reach_the_room_as_they_are(stack, room, join, publish, kind, codec):
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, kind, codec=codec, page={"microphone": True} if kind == "firefox" else None)
    client.wait_started()
    state = cast.wait_live()
    viewer = join(stack, room)
    assert viewer.track("video")["mime"].lower() == f"video/{codec}"
    seen_and_heard(viewer, kind)
    assert codec in state.video.mime_type.lower()
    assert "opus" in state.audio.mime_type.lower()
    assert not stack.sluicegate.busy_workers(), "nothing is decoded"
    deleted(cast, client)


@pytest.mark.parametrize(("kind", "codec"), TRANSCODED)
def test_transcoded_pictures_reach_the_room(stack, room, join, publish, kind, codec):
    cast = broadcast.make_whip(stack, room, transcode=True, preset="H264_720P_30FPS_1_LAYER")
    client = publish(cast, kind, codec=codec, page={"microphone": True} if kind == "firefox" else None)
    client.wait_started()
    cast.wait_live()
    viewer = join(stack, room)
    assert viewer.track("video")["mime"].lower() == "video/h264"
    seen_and_heard(viewer, kind)
    deleted(cast, client)


@pytest.mark.parametrize("transcode", [False, True])
@pytest.mark.parametrize(
    ("kind", "codec"), [("ffmpeg", "h264"), ("aiortc", "vp8"), ("webrtcbin", "h264"), ("chromium", "vp8")]
)
def test_a_page_sees_it_too(stack, room, view, publish, kind, codec, transcode):
    cast = broadcast.make_whip(
        stack, room, transcode=transcode, preset="H264_720P_30FPS_1_LAYER" if transcode else None
    )
    publish(cast, kind, codec=codec).wait_started()
    page = view(stack, room)
    page.wait_playing(PICTURE_S)
    page.wait_size(SIZE["w"], SIZE["h"], PICTURE_S)
    steps = page.counter_steps(page.wait_frames(FRAMES, PICTURE_S))
    assert len(steps) > 40 and max(steps) < 30 and sum(steps) > 40, steps
    wait.until(lambda: page.stats()["energy"] > 0, 5, "sound")


@pytest.mark.parametrize("only", ["audio", "video"])
def test_one_kind(stack, room, join, publish, only):
    cast = broadcast.make_whip(stack, room)
    publish(cast, "webrtcbin", codec="vp8", only=only).wait_started()
    cast.wait_live()
    viewer = join(stack, room)
    if only == "audio":
        viewer.wait("beep", PICTURE_S, count=2)
    else:
        viewer.wait_moving(PICTURE_S)
    assert [track.source for track in cast.wait_tracks(1).tracks] == [{"video": 1, "audio": 2}[only]]


def test_the_state_tells_what_comes_in(stack, room, publish):
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, "webrtcbin", codec="h264")
    client.wait_started()
    state = stack.api.wait_for_state(cast.id, lambda s: s.video.width and s.audio.channels, PICTURE_S)
    assert (state.video.width, state.video.height) == (640, 360)
    assert state.audio.sample_rate == 48000
    assert state.resource_id.startswith("WH_")
    assert state.started_at and not state.ended_at
    stack.webhooks.wait(cast.id, "ingress_started", 10)
    client.stop()
    ended = cast.wait_ended(ENDED_S)
    assert ended.ended_at > state.started_at
    stack.webhooks.wait(cast.id, "ingress_ended", 10)


def test_the_key_may_be_in_the_path(stack, room, join, publish):
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, "aiortc", codec="vp8", in_path=True)
    client.wait_started()
    assert cast.ingress.stream_key not in client.answer()["url"], "who reads the URL of a session cannot publish"
    join(stack, room).wait_moving(PICTURE_S)
    deleted(cast, client)
