"""The simulcast layers of the default preset, 720p at 30 fps: each can be had, with its size and bitrate."""

import pytest
from harness import broadcast
from harness.clip import Clip

# ladders.md: HIGH is 1.9 Mb/s; each lower layer has (area ratio)^0.75 of it.
HIGH_BPS = 1_900_000
LADDER = {
    "low": (320, 180, HIGH_BPS * (1 / 16) ** 0.75),
    "medium": (640, 360, HIGH_BPS * (1 / 4) ** 0.75),
    "high": (1280, 720, HIGH_BPS),
}
TOLERANCE = 0.25
# A switch takes a keyframe of the wanted layer; a paused layer starts first.
SWITCH_S = 10
MEASURED_FRAMES = 240


@pytest.fixture
def viewer(stack, room, join, push):
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280)
    return viewer


def test_each_layer_has_its_size_and_bitrate(viewer):
    assert viewer.track("video")["simulcast"]
    for quality in ("low", "medium", "high"):
        width, height, bps = LADDER[quality]
        mark = viewer.mark()
        viewer.set_quality(quality)
        viewer.wait_frame(SWITCH_S, mark, w=width, h=height)
        rate = viewer.rate_over(MEASURED_FRAMES, 30)
        print(
            f"{quality}: {rate.bits_per_second / 1000:.0f} kb/s of {bps / 1000:.0f}, {rate.frames_per_second:.1f} fps"
        )
        assert rate.bits_per_second == pytest.approx(bps, rel=TOLERANCE), quality


def test_the_room_knows_the_layers_by_their_real_sizes(stack, room, push):
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    video = next(track for track in cast.wait_tracks().tracks if track.width)
    layers = {(layer.quality, layer.width, layer.height) for layer in video.layers}
    assert layers == {(i, w, h) for i, (w, h, _) in enumerate(LADDER.values())}


def test_a_picture_smaller_than_the_preset_has_fewer_layers_and_is_seen(stack, room, join, push, media):
    cast = broadcast.make(stack, room)
    push(cast.url, file=Clip(640, 360, kbps=1200).file(media)).wait_started()
    join(stack, room).wait_frame(20, w=640, h=360)
    video = next(track for track in cast.wait_tracks().tracks if track.width)
    assert {(layer.quality, layer.width, layer.height) for layer in video.layers} == {(1, 320, 180), (2, 640, 360)}


def test_a_page_switches_between_layers(stack, room, view, push):
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    page = view(stack, room)
    page.wait_playing(20)
    for quality in ("low", "high"):
        width, height, _ = LADDER[quality]
        page.set_quality(quality)
        page.wait_size(width, height, SWITCH_S)


def test_one_layer_preset_publishes_one_layer(stack, room, join, push):
    cast = broadcast.make(stack, room, preset="H264_720P_30FPS_1_LAYER")
    push(cast.url).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280, h=720)
    assert not viewer.track("video")["simulcast"]


def test_a_page_that_asks_for_less_than_the_only_layer_gets_that(stack, room, view, push):
    cast = broadcast.make(stack, room, preset="H264_720P_30FPS_1_LAYER")
    push(cast.url).wait_started()
    page = view(stack, room)
    page.wait_playing(20)
    page.set_quality("low")
    # livekit-server tells the publisher so after 5 s; a layer that it holds unwanted stops then.
    page.wait_frames(10 * 30, 20)
    page.wait_size(1280, 720, SWITCH_S)
