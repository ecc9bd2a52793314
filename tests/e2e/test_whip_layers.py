"""Simulcast over WHIP: each layer that a publisher sends is one of the room's track, and requests get through to it."""

import time

import pytest
from harness import broadcast, wait

PICTURE_S = 20
SIZES = {"low": (320, 180), "medium": (640, 360), "high": (1280, 720)}
QUALITIES = {quality: place for place, quality in enumerate(SIZES)}
SWITCH_S = 10
# livekit-server counts on a layer again when it has seen it for some time.
BACK_S = 20
# From the request to subscribe to the first decoded picture.
FIRST_PICTURE_S = 1
JOINERS = 2
# The SFU asks for at most one keyframe a second of a layer.
APART_FRAMES = 45


def layers(cast) -> set[tuple[int, int, int]]:
    """Quality, width and height of each layer that the room knows."""
    tracks = (cast.participant() or cast.wait_tracks()).tracks
    return {(one.quality, one.width, one.height) for track in tracks for one in track.layers if track.type == 1}


def wait_layers(cast, qualities) -> None:
    wanted = {(QUALITIES[quality], *SIZES[quality]) for quality in qualities}
    wait.until(lambda: layers(cast) == wanted, SWITCH_S, lambda: f"{wanted}; the room knows {layers(cast)}")


def each_can_be_had(viewer, qualities) -> None:
    for quality in qualities:
        width, height = SIZES[quality]
        mark = viewer.mark()
        viewer.set_quality(quality)
        viewer.wait_frame(SWITCH_S, mark, w=width, h=height)
        mark = viewer.mark()
        viewer.wait_frame(SWITCH_S, mark, count=30)
        assert {frame["w"] for frame in viewer.frames(mark)} == {width}, "it stays at what was asked for"


@pytest.mark.parametrize(
    ("kind", "codec", "options"),
    [
        ("chromium", "vp8", {}),
        ("chromium", "h264", {"trickle": True}),
        ("chromium", "vp8", {"groups": True}),
        ("firefox", "vp8", {"trickle": True}),
        ("webrtcbin", "vp8", None),
    ],
)
def test_three_rids_are_three_layers(stack, room, join, publish, kind, codec, options):
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, kind, codec=codec, layers=3, size=SIZES["high"], page=options)
    client.wait_started()
    cast.wait_live()
    wait_layers(cast, SIZES)
    viewer = join(stack, room)
    assert viewer.track("video")["simulcast"]
    viewer.wait_frame(PICTURE_S, w=1280)
    each_can_be_had(viewer, ("low", "medium", "high"))
    assert not viewer.select("unsubscribed")


def test_a_page_gets_each_of_three_layers(stack, room, view, publish):
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, "webrtcbin", codec="h264", layers=3, size=SIZES["high"])
    client.wait_started()
    page = view(stack, room)
    page.wait_playing(PICTURE_S)
    for quality in ("low", "medium", "high"):
        page.set_quality(quality)
        page.wait_size(*SIZES[quality], SWITCH_S)


def test_two_rids_are_two_layers(stack, room, join, publish):
    cast = broadcast.make_whip(stack, room)
    publish(cast, "webrtcbin", codec="vp8", layers=2, size=(640, 360)).wait_started()
    wait.until(lambda: {size[1:] for size in layers(cast)} == {(320, 180), (640, 360)}, SWITCH_S, "two layers")
    viewer = join(stack, room)
    viewer.wait_frame(PICTURE_S, w=640)
    mark = viewer.mark()
    viewer.set_quality("low")
    viewer.wait_frame(SWITCH_S, mark, w=320)


def test_a_layer_that_stops_is_replaced_and_comes_back(stack, room, join, publish):
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, "chromium", codec="vp8", layers=3, size=SIZES["high"])
    client.wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(PICTURE_S, w=1280)
    mark = viewer.mark()
    client.set_active("f", False)
    viewer.wait_frame(SWITCH_S, mark, w=640)
    mark = viewer.mark()
    client.set_active("f", True)
    began = time.monotonic()
    client.wait_sending(3, SWITCH_S)
    sent = time.monotonic()
    viewer.wait_frame(BACK_S, mark, w=1280)
    print(f"sent again after {sent - began:.1f} s, seen {time.monotonic() - sent:.1f} s later")
    assert not viewer.select("unsubscribed")


def test_the_best_of_three_layers_is_transcoded(stack, room, join, publish):
    cast = broadcast.make_whip(stack, room, transcode=True, preset="H264_720P_30FPS_1_LAYER")
    publish(cast, "webrtcbin", codec="h264", layers=3, size=SIZES["high"]).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(PICTURE_S, w=1280, h=720)
    viewer.wait_moving(PICTURE_S)


@pytest.mark.parametrize(("kind", "codec"), [("webrtcbin", "h264"), ("aiortc", "vp8"), ("chromium", "h264")])
def test_late_joiner_sees_a_picture_at_once(stack, room, join, publish, kind, codec):
    cast = broadcast.make_whip(stack, room)
    publish(cast, kind, codec=codec).wait_started()
    early = join(stack, room)
    early.wait_moving(PICTURE_S)
    delays = []
    for _ in range(JOINERS):
        late = join(stack, room, manual=True)
        late.wait("published", 10, lambda e: e["kind"] == "video")
        early.wait_frame(PICTURE_S, early.mark(), count=APART_FRAMES)
        late.subscribe(True)
        asked = late.wait("asked_to_subscribe", 5)["t"]
        delays.append(late.wait_frame(10)["at"] - asked)
        late.leave()
    print("subscribed to first picture:", [f"{1000 * delay:.0f} ms" for delay in delays])
    assert max(delays) <= FIRST_PICTURE_S
