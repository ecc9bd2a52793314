"""The main job: what an encoder sends is seen and heard in the room by two kinds of subscriber."""

import pytest
from harness import broadcast, sources, wait
from harness.clip import LAP

# Lips and voice apart by more than this are noticed (issue 3).
LIP_SYNC_MS = 40
PICTURE_S = 20
# So many in a row within the limit.
BEEPS = 5
ALIGNED_S = 60


@pytest.mark.parametrize("sink", ["rtmp2sink", "rtmpsink"])
@pytest.mark.parametrize("aac", ["avenc_aac", "voaacenc"])
def test_gstreamer_picture_and_sound_reach_a_subscriber(stack, room, join, started, tmp_path, sink, aac):
    cast = broadcast.make(stack, room)
    started.append(sources.gstreamer(cast.url, tmp_path, sink=sink, aac=aac))
    viewer = join(stack, room)
    assert viewer.track("video")["width"] == 1280
    assert viewer.track("audio")["kind"] == "audio"
    first = viewer.wait_frame(PICTURE_S, w=1280, h=720)
    viewer.wait("frame", 5, lambda e: abs(e["mean"] - first["mean"]) > 0.01)
    viewer.wait("audio", 10, lambda e: e["peak"] > 3000)


def test_both_subscribers_see_the_frame_number_go_up(stack, room, join, view, started, clip, tmp_path):
    cast = broadcast.make(stack, room)
    started.append(sources.ffmpeg(cast.url, clip, tmp_path))
    python, page = join(stack, room), view(stack, room)
    python.wait_moving(PICTURE_S)
    page.wait_playing(PICTURE_S)

    mark = python.mark()
    on_page = page.wait_frames(60, 15)
    python.wait_frame(15, mark, count=60)

    for steps in (python.counter_steps(mark), page.counter_steps(on_page)):
        assert len(steps) > 40, "the frame number was read in most pictures"
        assert max(steps) < LAP / 2, f"the number went back; its steps modulo a lap: {steps}"
        assert sum(steps) > 40, "the picture moves"
    sound = page.stats()
    assert sound["decoded"] > 60
    assert sound["energy"] > 0
    page.page.screenshot(path=tmp_path / "page.png")


@pytest.mark.parametrize("sync_streams", [False, True])
def test_beep_and_flash_arrive_together(stack, room, join, push, sync_streams):
    # With it subscribers align the two by the sender reports; without it they play each as it comes.
    stack.api.create_room(room, sync_streams=sync_streams)
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    viewer = join(stack, room)
    # Jitter buffers find their size, and libwebrtc aligns step by step: wrong times would keep the two apart for ever.
    mark = viewer.mark()

    def together() -> bool:
        last = viewer.sound_minus_picture(mark)[-BEEPS:]
        return len(last) == BEEPS and max(map(abs, last)) <= LIP_SYNC_MS

    wait.until(together, ALIGNED_S, lambda: f"sound and picture together: {viewer.sound_minus_picture(mark)}")
    offsets = [round(offset) for offset in viewer.sound_minus_picture(mark)]
    buffers = [round(viewer.stats(kind)["buffer_ms"]) for kind in ("audio", "video")]
    print(f"sound minus picture: {offsets} ms; jitter buffers of {buffers} ms")


def test_participant_is_what_the_ingress_says(stack, room, join, push):
    cast = broadcast.make(stack, room, participant_name="Stage left", participant_metadata='{"stage": 1}')
    pusher = push(cast.url)
    pusher.wait_started()
    who = cast.wait_tracks()
    state = cast.wait_live()
    assert who.name == "Stage left"
    assert who.metadata == '{"stage": 1}'
    assert who.Kind.Name(who.kind) == "INGRESS"
    assert who.attributes["ingress.ingressID"] == cast.id
    assert who.attributes["ingress.resourceID"] == state.resource_id
    assert {track.source for track in who.tracks} == {1, 2}, "camera and microphone"
