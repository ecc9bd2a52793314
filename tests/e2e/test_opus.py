"""Opus that a publisher sends reaches the room untouched, without the worker."""

import itertools
import os
import signal

from harness import broadcast, proc, sources, wait

# Ten packets of 20 ms; a lost worker's own sound is away for half a second and more.
CONCEALED_MS = 200
# The clip beeps once a second.
BEEP_GAP_S = 1.2
# Sound per second, in packets.
RATE = 50


def packets(stack) -> dict[str, float]:
    """Packets of sound for rooms so far, by who made them."""
    return {way: stack.sluicegate.metric("sluicegate_sound_packets_total", way=way) for way in ("untouched", "encoded")}


def test_opus_goes_past_the_worker_and_outlives_it(roomy_stack, room, join, started, clip, tmp_path):
    stack = roomy_stack
    idle = set(stack.sluicegate.busy_workers())
    cast = broadcast.make(stack, room)
    started.append(sources.ffmpeg_with_opus(cast.url, clip, tmp_path))
    viewer = join(stack, room)
    viewer.wait_moving(20)
    viewer.wait("beep", 20, count=3)
    state = cast.wait_live()
    assert (state.audio.mime_type, state.audio.channels, state.audio.sample_rate) == ("audio/opus", 2, 48_000)
    cast.wait_tracks()
    counted = packets(stack)
    assert counted["untouched"] > 2 * RATE
    assert counted["encoded"] == 0, "the worker has made no sound"

    worker = wait.until(lambda: set(stack.sluicegate.busy_workers()) - idle, 10, "a worker that works").pop()
    before, mark, heard = packets(stack), viewer.mark(), viewer.stats("audio")
    os.kill(worker, signal.SIGKILL)
    wait.until(lambda: not proc.running(worker), 5, "the end of the worker")
    viewer.wait("beep", 20, since=mark, count=5)
    viewer.wait_moving(20, viewer.mark())
    now = viewer.stats("audio")
    beeps = [event["at"] for event in viewer.select("beep", mark)]
    concealed = now["concealed_ms"] - heard["concealed_ms"]
    print(f"beeps {[round(b - a, 3) for a, b in itertools.pairwise(beeps)]} s apart, {concealed:.0f} ms made up")
    assert max(b - a for a, b in itertools.pairwise(beeps)) < BEEP_GAP_S
    assert now["lost"] == heard["lost"]
    assert concealed < CONCEALED_MS
    after = packets(stack)
    assert after["untouched"] - before["untouched"] > 4 * RATE
    assert after["encoded"] == 0
    cast.wait_live()


def test_opus_over_the_bitrate_of_the_ingress_is_encoded_again(stack, room, join, started, clip, tmp_path):
    before = packets(stack)
    cast = broadcast.make(stack, room)
    # The ingress asks for 96 kbit/s.
    started.append(sources.ffmpeg_with_opus(cast.url, clip, tmp_path, kbps=510))
    viewer = join(stack, room)
    viewer.wait("beep", 30, count=5)
    assert cast.wait_live().audio.mime_type == "audio/opus"
    wait.until(lambda: packets(stack)["encoded"] - before["encoded"] > RATE, 20, "sound that the worker has made")
    mark = viewer.mark()
    viewer.wait("beep", 20, since=mark, count=3)
