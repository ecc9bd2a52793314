"""Live streams that are pulled: RTMP and RTSP through aliases (livekit-server takes http and https), HLS, radios."""

import statistics
import time

import pytest
from harness import formats, hls, live, marks, radio, urls, wait
from harness.clip import Clip
from harness.stack import NEVER_FULL

PICTURE_S = 30
END_S = 30
FLUSHED_S = 2
# ffmpeg writes three segments in real time.
WRITTEN_S = 20
STAND_STILL_S = 0.5
LIP_SYNC_MS = 40
# From its time to the one at which the room hears of it.
MARK_S = 0.5
# A stream that stopped is asked for again for so long.
OUTAGE_S = 35
ALIAS = "https://live.example.org"


@pytest.fixture(scope="module")
def small(media):
    """640 x 360, with pictures that refer to later ones."""
    return Clip(width=640, height=360, kbps=900).file(media)


@pytest.fixture
def origin(small, tmp_path, started):
    """An RTMP server with a live stream."""
    server = live.RtmpServer(small, tmp_path)
    started.append(server)
    return server


@pytest.fixture
def aliased(build_stack, origin, small, tmp_path, started):
    """A stack whose server has aliases to that one, and to two of RTSP."""
    tcp, udp = live.RtspServer(small, tmp_path), live.RtspServer(small, tmp_path, "--udp")
    started.extend([tcp, udp])
    alias = {
        f"{ALIAS}/rtmp/": f"rtmp://127.0.0.1:{origin.port}/live/",
        f"{ALIAS}/tcp/": f"rtsp://127.0.0.1:{tcp.port}/",
        f"{ALIAS}/udp/": f"rtsp://127.0.0.1:{udp.port}/",
        f"{ALIAS}/inside/": "rtmp://10.1.2.3/live/",
    }
    return build_stack(cpu_cost=NEVER_FULL, url={"allow": ["127.0.0.1"], "alias": alias})


def test_live_streams_are_seen_or_say_why_not(aliased, room, join):
    stack = aliased
    for name, path in (("rtmp", "rtmp/film"), ("tcp", "tcp/film"), ("udp", "udp/film")):
        viewer = join(stack, f"{room}-{name}")
        cast = urls.pull(stack, f"{room}-{name}", f"{ALIAS}/{path}")
        viewer.wait_moving(PICTURE_S)
        state = cast.wait_live()
        assert (state.video.width, state.video.height) == (640, 360), name
        assert state.audio.mime_type.lower() in ("audio/aac", "audio/mp4a-latm", "audio/opus"), state.audio
        stack.api.delete(cast.id)
        stack.webhooks.wait(cast.id, "ingress_ended", END_S)

    cases = {"inside/film": "private address", "tcp/other": "stream not found"}
    casts = [(urls.pull(stack, f"{room}-no", f"{ALIAS}/{path}"), words) for path, words in cases.items()]
    for cast, words in casts:
        error = urls.wait_failed(cast, END_S)
        print(error)
        assert words in error and "other" not in error, error


def test_a_stream_that_breaks_off_comes_back_to_the_same_participant(aliased, room, join, tmp_path, small, origin):
    stack = aliased
    viewer = join(stack, room)
    cast = urls.pull(stack, room, f"{ALIAS}/rtmp/film")
    viewer.wait_moving(PICTURE_S)
    sid = cast.wait_tracks().sid
    origin.process.kill()
    # Later than anything that was still on its way.
    flushed = time.time() + FLUSHED_S
    again = live.RtmpServer(small, tmp_path, origin.port)
    try:
        viewer.wait("frame", PICTURE_S, lambda e: e["t"] > flushed and e["n"] is not None)
        assert cast.participant().sid == sid
        assert len(viewer.select("subscribed", where=lambda e: e["kind"] == "video")) == 1
        stack.api.delete(cast.id)
        stack.webhooks.wait(cast.id, "ingress_ended", END_S)
    finally:
        again.stop()


@pytest.mark.parametrize("segments", ["ts", "fmp4"])
def test_live_hls_goes_on_while_it_is_written(stack, room, join, files, small, tmp_path, started, segments):
    folder = tmp_path / f"live-{segments}"
    writer = hls.live(small, folder, tmp_path, fmp4=segments == "fmp4")
    started.append(writer)
    wait.until(lambda: len(list(folder.glob("index*.[tm]*s"))) >= 3, WRITTEN_S, "three segments")
    viewer = join(stack, room)
    cast = urls.pull(stack, room, files.folder(folder) + "index.m3u8")
    viewer.wait_moving(PICTURE_S)
    mark = viewer.mark()
    # Ten seconds: from segment to segment, and past those that there were at the beginning.
    viewer.wait_frame(PICTURE_S, mark, count=300)
    viewer.assert_moving(mark)
    gap, offsets = viewer.longest_gap(mark), viewer.sound_minus_picture(mark)
    print(f"{segments}: longest gap {gap:.2f} s; sound after picture {[round(offset) for offset in offsets]} ms")
    assert gap < STAND_STILL_S and abs(statistics.median(offsets)) <= LIP_SYNC_MS
    assert cast.wait_live().video.width == 640
    stack.api.delete(cast.id)
    stack.webhooks.wait(cast.id, "ingress_ended", END_S)


@pytest.mark.parametrize("sound", formats.RADIOS, ids=lambda sound: sound.name)
def test_a_radio_is_heard_and_its_titles_are_told(stack, room, join, files, media, started, sound):
    station = radio.Station(sound.file(media), formats.SECONDS * sound.links)
    started.append(station)
    viewer = join(stack, room)
    cast = urls.pull(stack, room, files.serve(f"/{sound.name}", station))
    viewer.wait("beep", PICTURE_S, count=4)
    viewer.wait("data", PICTURE_S, lambda e: (e["topic"], e["text"]) == ("sluicegate.title", "First"))
    station.title = "Zweites Stück"
    viewer.wait("data", PICTURE_S, lambda e: (e["topic"], e["text"]) == ("sluicegate.title", "Zweites Stück"))
    mark = viewer.mark()
    viewer.wait("beep", PICTURE_S, since=mark, count=formats.SECONDS)
    state = cast.wait_live()
    assert (state.audio.mime_type, state.video.mime_type) == (sound.audio, "")
    stack.api.delete(cast.id)
    stack.webhooks.wait(cast.id, "ingress_ended", END_S)


def test_a_radio_that_stops_is_asked_for_again_until_its_server_has_it_no_more(
    stack, room, join, files, media, started
):
    sound = formats.RADIOS[0]
    station = radio.Station(sound.file(media), formats.SECONDS)
    started.append(station)
    viewer = join(stack, room)
    cast = urls.pull(stack, room, files.serve("/radio.mp3", station))
    viewer.wait("beep", PICTURE_S, count=2)
    before = cast.wait_tracks(1)
    station.cut()
    # What was ahead is played meanwhile.
    wait.until(lambda: len(files.requests("/radio.mp3")) == 2, OUTAGE_S, "that it is asked for again")
    viewer.wait("beep", PICTURE_S, since=viewer.mark(), count=2 * radio.BURST_S)
    now = cast.participant()
    assert (now.sid, {t.sid for t in now.tracks}) == (before.sid, {t.sid for t in before.tracks})
    station.stop()
    urls.wait_complete(cast, OUTAGE_S + END_S)
    assert len(files.requests("/radio.mp3")) > 5


def test_splices_and_tags_of_a_stream_reach_the_room(stack, room, join, files, media):
    clip = next(one for one in formats.FORMATS if one.name == "clip.ts").file(media).read_bytes()
    marked = marks.put(clip, [marks.Tag(2, "hello"), marks.Splice(3, 4711, True), marks.Splice(5, 4711, False)])
    viewer = join(stack, room)
    cast = urls.pull(stack, room, files.serve("/marked.ts", urls.Page(marked, "video/mp2t")))
    key = "ingress.outOfNetwork.eventID"
    tag = viewer.wait("data", PICTURE_S, lambda e: e["topic"] == "sluicegate.id3")
    out = viewer.wait("attributes", PICTURE_S, lambda e: e["changed"].get(key) == "4711")
    back = viewer.wait("attributes", PICTURE_S, lambda e: key in e["changed"] and not e["changed"][key])
    print(f"tag to splice {out['t'] - tag['t']:.2f} s, splice to its end {back['t'] - out['t']:.2f} s")
    assert tag["text"].startswith("ID3") and "hello" in tag["text"]
    assert abs(out["t"] - tag["t"] - 1) < MARK_S and abs(back["t"] - out["t"] - 2) < MARK_S
    urls.wait_complete(cast, END_S)
