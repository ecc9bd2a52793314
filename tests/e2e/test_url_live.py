"""Live streams that are pulled over RTMP and RTSP, through aliases: livekit-server takes http and https only."""

import time

import pytest
from harness import live, urls
from harness.clip import Clip

PICTURE_S = 30
END_S = 30
FLUSHED_S = 2
# A server that seems to have room for everything: the pull comes to it.
CHEAP = {f"{kind}_cpu_cost": 0.001 for kind in ("rtmp", "whip", "whip_bypass_transcoding", "url")} | {
    "min_idle_ratio": 0.001
}
ALIAS = "https://live.example.org"


@pytest.fixture(scope="module")
def small(media):
    """640 x 360, with pictures that refer to later ones."""
    return Clip(width=640, height=360, kbps=900).file(media)


@pytest.fixture
def puller(stack, tmp_path, small):
    """A server that has aliases to three servers of live streams, and those."""
    started = [live.RtmpServer(small, tmp_path)]
    started += [live.RtspServer(small, tmp_path), live.RtspServer(small, tmp_path, "--udp")]
    rtmp, tcp, udp = (server.port for server in started)
    alias = {
        f"{ALIAS}/rtmp/": f"rtmp://127.0.0.1:{rtmp}/live/",
        f"{ALIAS}/tcp/": f"rtsp://127.0.0.1:{tcp}/",
        f"{ALIAS}/udp/": f"rtsp://127.0.0.1:{udp}/",
        f"{ALIAS}/inside/": "rtmp://10.1.2.3/live/",
    }
    server = stack.another("sluicegate-live", cpu_cost=CHEAP, url={"allow": ["127.0.0.1"], "alias": alias})
    server.rtmp_source = started[0]
    yield server
    server.stop()
    stack.started.remove(server)
    for other in started:
        other.stop()


def test_live_streams_are_seen_or_say_why_not(stack, room, join, puller):
    for name, path in (("rtmp", "rtmp/film"), ("tcp", "tcp/film"), ("udp", "udp/film")):
        viewer = join(stack, f"{room}-{name}")
        cast = urls.pull(stack, f"{room}-{name}", f"{ALIAS}/{path}", server=puller)
        viewer.wait_moving(PICTURE_S)
        state = cast.wait_live()
        assert (state.video.width, state.video.height) == (640, 360), name
        assert state.audio.mime_type.lower() in ("audio/aac", "audio/mp4a-latm", "audio/opus"), state.audio
        stack.api.delete(cast.id)
        stack.webhooks.wait(cast.id, "ingress_ended", END_S)

    cases = {"inside/film": "private address", "tcp/other": "stream not found"}
    casts = [(urls.pull(stack, f"{room}-no", f"{ALIAS}/{path}", server=puller), words) for path, words in cases.items()]
    for cast, words in casts:
        error = urls.wait_failed(cast, END_S)
        print(error)
        assert words in error and "other" not in error, error


def test_a_stream_that_breaks_off_comes_back_to_the_same_participant(stack, room, join, tmp_path, small, puller):
    viewer = join(stack, room)
    cast = urls.pull(stack, room, f"{ALIAS}/rtmp/film", server=puller)
    viewer.wait_moving(PICTURE_S)
    sid = cast.wait_tracks().sid
    puller.rtmp_source.process.kill()
    # Later than anything that was still on its way.
    flushed = time.time() + FLUSHED_S
    again = live.RtmpServer(small, tmp_path, puller.rtmp_source.port)
    try:
        viewer.wait("frame", PICTURE_S, lambda e: e["t"] > flushed and e["n"] is not None)
        assert cast.participant().sid == sid
        assert len(viewer.select("subscribed", where=lambda e: e["kind"] == "video")) == 1
        stack.api.delete(cast.id)
        stack.webhooks.wait(cast.id, "ingress_ended", END_S)
    finally:
        again.stop()
