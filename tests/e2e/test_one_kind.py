"""Encoders that send only sound or only a picture."""

from harness import broadcast, sources


def test_audio_only(stack, room, join, push):
    cast = broadcast.make(stack, room)
    push(cast.url, only="audio").wait_started()
    state = cast.wait_live()
    viewer = join(stack, room)
    viewer.wait("beep", 20, count=3)
    tracks = cast.wait_tracks(1).tracks
    assert [track.source for track in tracks] == [2], "a microphone and nothing else"
    assert state.audio.channels == 2
    assert state.video.width == 0


def test_video_only(stack, room, join, push):
    cast = broadcast.make(stack, room)
    push(cast.url, only="video").wait_started()
    state = cast.wait_live()
    viewer = join(stack, room)
    viewer.wait_moving(20)
    assert [track.source for track in cast.wait_tracks(1).tracks] == [1], "a camera and nothing else"
    assert state.video.width == 1280
    assert state.audio.channels == 0


def test_gstreamer_video_only(stack, room, join, started, tmp_path):
    cast = broadcast.make(stack, room)
    started.append(sources.gstreamer(cast.url, tmp_path, audio=False))
    join(stack, room).wait_frame(20, w=1280, count=30)
