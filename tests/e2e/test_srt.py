"""SRT through the real thing: pushed by stock programs over a bad network, refused, and fetched."""

import pytest
from harness import broadcast, ports, srt, urls, wait
from harness.clip import Clip
from harness.stack import NEVER_FULL

PICTURE_S = 30
END_S = 20
# Eight seconds.
FRAMES = 240
# Cheap to encode: what is missing is missing because of the network, not of the machine.
SMALL = Clip(640, 360, kbps=1200)
# What fits the default preset's top layer.
PLAIN = Clip(kbps=2500, b_frames=0)


@pytest.fixture(scope="module")
def server(shared_stack):
    """One more server on the bus, with an SRT port."""
    port = ports.udp()
    server = shared_stack.another("srt", srt_port=port, srt={"latency_ms": srt.LATENCY_MS}, cpu_cost=NEVER_FULL)
    server.srt_port = port
    yield server
    server.stop()
    shared_stack.started.remove(server)


@pytest.fixture
def cast(stack, server, room):
    return broadcast.make(stack, room, server=server)


@pytest.mark.parametrize("program", ["ffmpeg", "srtsink"])
def test_a_stream_over_a_bad_network_is_whole(program, cast, server, join, media, started, tmp_path):
    clip = SMALL.file(media)
    relay = srt.Relay(server.srt_port)
    started.append(relay)
    viewer = join(cast.stack, cast.room)
    key = cast.ingress.stream_key
    if program == "ffmpeg":
        # FFmpeg 5 sends it as it is here: a number sign would end the URL.
        sender = srt.ffmpeg(relay.port, f"%23!::r={key},m=publish", clip, tmp_path)
    else:
        sender = srt.srtsink(relay.port, key, clip, tmp_path)
    started.append(sender)
    viewer.wait_moving(PICTURE_S)
    mark = viewer.mark()
    viewer.wait_frame(PICTURE_S, mark, count=FRAMES)
    frames = viewer.frames(mark)
    steps = viewer.counter_steps(mark)
    print(f"{relay.lost} datagrams lost; {len(frames)} pictures, steps {sorted(set(steps))}")
    assert relay.lost > 20
    assert all(frame["n"] is not None for frame in frames), "every picture can be read"
    viewer.assert_moving(mark)
    assert server.metric("sluicegate_srt_packets_lost_total") > 0
    assert server.metric("sluicegate_srt_packets_dropped_total") == 0
    assert cast.wait_live().video.width == 640
    sender.stop()
    cast.wait_ended(END_S)
    assert key not in server.process.log_text()


def test_pictures_that_fit_go_to_the_room_as_they_are(cast, server, join, media, started, tmp_path):
    clip = PLAIN.file(media)
    started.append(srt.ffmpeg(server.srt_port, cast.ingress.stream_key, clip, tmp_path))
    viewer = join(cast.stack, cast.room)
    viewer.wait_frame(PICTURE_S, w=1280)
    passed = lambda: server.frames("high", "passed")  # noqa: E731
    wait.until(lambda: passed() > 0, PICTURE_S, "the encoder's pictures pass")
    # The subscriber has them a moment later.
    wait.until(lambda: passed() > FRAMES, PICTURE_S, "more of them")
    mark, encoded = viewer.mark(), server.frames("high")
    viewer.wait_frame(PICTURE_S, mark, count=FRAMES)
    assert set(viewer.counter_steps(mark)) == {1}, "every picture is there, once"
    assert server.frames("high") == encoded


def test_a_wrong_stream_id_is_refused_and_says_so(cast, server, clip, started, tmp_path):
    before = server.metric("sluicegate_refusals_total")
    sender = srt.ffmpeg(server.srt_port, "nobody-has-this-key", clip, tmp_path)
    started.append(sender)
    assert sender.exit_code(END_S) != 0
    wait.until(lambda: server.metric("sluicegate_refusals_total") > before, END_S, "the refusal is counted")
    server.process.wait_for_log("publisher refused", END_S)


def test_an_srt_url_is_played(roomy_stack, room, join, clip, started, tmp_path):
    stack, server = roomy_stack, roomy_stack.sluicegate
    port = ports.udp()
    origin = srt.ffmpeg_listener(port, clip, tmp_path)
    started.append(origin)
    viewer = join(stack, room)
    cast = urls.pull(stack, room, f"srt://127.0.0.1:{port}?latency=500")
    viewer.wait_moving(PICTURE_S)
    cast.wait_live()
    before = cast.wait_tracks()

    # It vanishes, and is noticed by its silence; another one takes its place.
    origin.kill()
    mark = server.process.log_size()
    server.process.wait_for_log("stream broke off", END_S, mark)
    origin = srt.ffmpeg_listener(port, clip, tmp_path)
    started.append(origin)
    viewer.wait_frame(PICTURE_S, viewer.mark(), count=60)
    assert cast.participant().sid == before.sid
    origin.stop()
    urls.wait_complete(cast, END_S)


def test_a_second_encoder_on_a_live_key_takes_over(cast, server, join, media, started, tmp_path):
    clip = SMALL.file(media)
    first = srt.ffmpeg(server.srt_port, cast.ingress.stream_key, clip, tmp_path)
    started.append(first)
    viewer = join(cast.stack, cast.room)
    viewer.wait_moving(PICTURE_S)
    before = cast.wait_tracks()
    started.append(srt.ffmpeg(server.srt_port, cast.ingress.stream_key, clip, tmp_path))
    assert first.exit_code(END_S) != 0
    viewer.wait_frame(PICTURE_S, viewer.mark(), count=60)
    now = cast.participant()
    assert (now.sid, {t.sid for t in now.tracks}) == (before.sid, {t.sid for t in before.tracks})
    assert not viewer.select("unsubscribed")
    assert not cast.stack.webhooks.of(cast.id, "ingress_ended")


def test_a_passphrase_lets_in_who_has_it(stack, room, join, media, started, tmp_path, another):
    port = ports.udp()
    config = {"srt_port": port, "srt": {"passphrase": "correct-horse", "latency_ms": 500}}
    cast = broadcast.make(stack, room, server=another("sluicegate-secret", **config))
    clip, key = SMALL.file(media), cast.ingress.stream_key
    for options in ("", "&passphrase=another-horse"):
        refused = srt.ffmpeg(port, key, clip, tmp_path, options)
        started.append(refused)
        assert refused.exit_code(END_S) != 0
    started.append(srt.ffmpeg(port, key, clip, tmp_path, "&passphrase=correct-horse"))
    join(stack, room).wait_moving(PICTURE_S)
    assert "horse" not in cast.server.process.log_text()
