"""Every kind of file that a URL ingress plays, and HLS, from the first picture to COMPLETE."""

import itertools
import statistics
from dataclasses import dataclass

import pytest
from conftest import IDLE_S, remember_logs
from harness import hls, reference, urls
from harness.formats import FORMATS, FRAMES, SECONDS, SOUNDS
from harness.stack import NEVER_FULL, Stack
from harness.subscriber import Subscriber

ONE_LAYER = "H264_720P_30FPS_1_LAYER"
# From CreateIngress, on a machine that plays several of them at once.
END_S = SECONDS + 45
# Contract: of the clip's length.
PACE = 0.02
LIP_SYNC_MS = 40
# Of all films together: each one's receiver is off by some, and not all of them the same way.
ALL_SYNC_MS = 20
# What a subscriber may miss: it is let in to a track while that plays.
JOIN_S = 3
# The last pictures leave with the participant.
LAST_FRAMES = 6


# By how much later than in the file the sound came after its picture in each film, ms.
SYNC: dict[str, float] = {}


@dataclass
class Play:
    """A URL that is played to a room of its own, and who watches."""

    name: str
    # Where another program finds it.
    source: str
    ingress_id: str
    viewer: Subscriber


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Servers that take several sessions at a time."""
    with Stack(tmp_path_factory.mktemp("formats"), cpu_cost=NEVER_FULL) as stack:
        stack.start().start_sluicegate()
        yield stack


@pytest.fixture
def stack(many, request):
    remember_logs(request, many)
    many.sluicegate.wait_idle(IDLE_S)
    return many


@pytest.fixture(scope="module")
def files():
    made = urls.Files()
    yield made
    made.stop()


@pytest.fixture
def play(stack, room, join):
    """`play(name, url)`: an ingress that plays it, one layer, with a subscriber who is there before it. `source`: where
    another program can read it that needs ranges."""
    numbers = itertools.count(1)

    def start(name: str, url: str, source: str = "") -> Play:
        own = f"{room}-{next(numbers)}"
        viewer = join(stack, own)
        return Play(name, source or url, urls.pull(stack, own, url, preset=ONE_LAYER).id, viewer)

    return start


def groups(of: list) -> list:
    """Two at once, for the sake of the clock."""
    pairs = [of[at : at + 2] for at in range(0, len(of), 2)]
    return [pytest.param(pair, id="+".join(one.name for one in pair)) for pair in pairs]


@pytest.mark.parametrize("formats", groups(FORMATS))
def test_films(stack, play, files, media, formats):
    plays = [play(film.name, files.file(film.file(media))) for film in formats]
    for film, one in zip(formats, plays, strict=True):
        state = complete(stack, one)
        assert (state.video.mime_type, state.audio.mime_type) == (film.video, film.audio), film.name
        assert (state.video.width, state.video.height) == (640, 360), film.name
    seen_to_the_end(plays)


def test_films_without_ranges(stack, play, files, media):
    """Two of them have what is needed first at their end."""
    films = [film for film in FORMATS if film.name in ("end.mp4", "clip.mov", "clip.mkv")]
    paths = [film.file(media) for film in films]
    plays = [play(path.name, files.file(path, ranges=False), str(path)) for path in paths]
    for one in plays:
        complete(stack, one)
    seen_to_the_end(plays)


@pytest.mark.parametrize("recordings", groups(hls.RECORDINGS))
def test_recordings(stack, play, files, media, recordings):
    plays = [play(record.name, files.folder(record.folder(media)) + "index.m3u8") for record in recordings]
    for one in plays:
        complete(stack, one)
    seen_to_the_end(plays)


@pytest.mark.parametrize("sounds", groups(SOUNDS))
def test_sounds(stack, play, files, media, sounds):
    plays = [play(sound.name, files.file(sound.file(media))) for sound in sounds]
    for sound, one in zip(sounds, plays, strict=True):
        state = complete(stack, one)
        assert (state.audio.mime_type, state.video.mime_type) == (sound.audio, ""), sound.name
        tracks = one.viewer.select("subscribed")
        assert [track["kind"] for track in tracks] == ["audio"], "a cover is no picture"
        beeps = [beep["at"] for beep in one.viewer.select("beep")]
        print(f"{sound.name}: beeps {[round(beep - beeps[0], 3) for beep in beeps]}")
        assert len(beeps) >= SECONDS - JOIN_S, f"{one.name}: {beeps}"
        assert abs((beeps[-1] - beeps[0]) / (len(beeps) - 1) - 1) <= PACE, f"{one.name}: {beeps}"


def test_sound_and_pictures_are_together():
    """Over all that was seen before."""
    assert len(SYNC) > 1, "run the whole file"
    print(dict(sorted(SYNC.items(), key=lambda item: item[1])))
    assert abs(statistics.median(SYNC.values())) <= ALL_SYNC_MS, SYNC


def complete(stack, one: Play):
    """The last state of what was played to its end, and was said to be played once."""
    state = stack.api.wait_status(one.ingress_id, "COMPLETE", END_S)
    assert not state.error, f"{one.name}: {state}"
    stack.webhooks.wait(one.ingress_id, "ingress_ended", 5)
    assert [hook.event for hook in stack.webhooks.of(one.ingress_id)] == ["ingress_started", "ingress_ended"], one.name
    return state


def seen_to_the_end(plays: list[Play]) -> None:
    """Of each all pictures from the first that was seen to the last of the clip, in its time, with its sound."""
    for one in plays:
        frames = [frame for frame in one.viewer.frames() if frame["n"] is not None]
        first, last = frames[0], frames[-1]
        took, length = last["at"] - first["at"], (last["n"] - first["n"]) / 30
        print(f"{one.name}: {length:.2f} s took {took:.2f} s, from picture {first['n']}")
        assert first["n"] < 30 * JOIN_S, f"{one.name}: first seen is {first['n']}"
        # Copied packets are cut at a decoding time, and one picture more is in there.
        assert FRAMES - LAST_FRAMES <= last["n"] <= FRAMES, f"{one.name}: last seen is {last['n']}"
        steps = one.viewer.counter_steps()
        assert steps.count(1) > 0.9 * len(steps), f"{one.name}: {steps}"
        assert abs(took - length) <= PACE * SECONDS, f"{one.name}: {length:.2f} s took {took:.2f} s"
        together(one)


def together(one: Play) -> None:
    """Its sound came with its pictures as far as they are together in the file."""
    offsets, own = one.viewer.sound_minus_picture(), reference.sound_minus_picture(one.source)
    SYNC[one.name] = statistics.median(offsets) - own
    print(f"{one.name}: sound after picture {[round(offset) for offset in offsets]} ms, {own:.0f} in the file")
    assert abs(SYNC[one.name]) <= LIP_SYNC_MS, f"{one.name}: {offsets}, {own} in the file"
