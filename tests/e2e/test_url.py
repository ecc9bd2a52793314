"""URL ingresses through LiveKit's own API: played to the end, or an error that says why not."""

import gzip
import itertools
import json
import random
import signal
import subprocess
import time

import pytest
from harness import broadcast, proc, urls, wait
from harness.clip import Clip
from harness.stack import NEVER_FULL
from livekit.api import TwirpError

FPS = Clip().fps
SECONDS = 8
# From CreateIngress to the first picture: open, take apart, join, start a worker; on a busy machine.
PICTURE_S = 30
END_S = 20
# livekit-server waits 3 s for an answer and then asks again; ours comes behind its own choice of 0.2 s.
ANSWER_S = 1.5
# What a busy machine makes of the pace, with a clip so short.
PACE_S = 1
# Others count a silent server as dead after 15 s, and look every 3 s.
REPORTED_S = 30
# A failure is told first and counted when the session is over.
COUNTED_S = 5
# From one item of a list to the next, which is opened while the one before it plays.
STAND_STILL_S = 1
# What a session is said to cost on the server with less room: the machine never gets so much busier from one server's
# look at it to the other's.
LARGE_CORES = 1.0
# Faults row 30.
MOST_MIB = 512


@pytest.fixture(scope="session")
def film(clip, media):
    """The first seconds of the test clip as an MP4 with its index at the end."""
    return cut(clip, media, 0, SECONDS)


def cut(clip, media, start, seconds):
    """A part of the clip from one of its keyframes on, which come each two seconds."""
    whole = remux(media / f"{clip.stem}.mp4", ["-i", clip])
    # Half a frame later: keyframes are searched for before it.
    return remux(
        media / f"{clip.stem}-{start}-{seconds}.mp4", ["-ss", str(start + 0.5 / FPS), "-i", whole, "-t", str(seconds)]
    )


def remux(path, argv):
    if not path.exists():
        part = path.with_suffix(".part")
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *argv, "-c", "copy", "-f", "mp4", part], check=True)
        part.rename(path)
    return path


def test_a_file_is_played_to_its_end(stack, room, join, files, film):
    viewer = join(stack, room)
    url = files.serve("/film.mp4", urls.Page(film, "video/mp4"))
    stack.sluicegate.wait_available(PICTURE_S)
    began = time.monotonic()
    cast = urls.pull(stack, room, url + "?token=sesame")
    answered = time.monotonic() - began
    state = cast.ingress.state
    assert state.resource_id.startswith("UR_") and state.started_at > 0 and state.status == 1, state
    viewer.wait_frame(PICTURE_S)
    live = cast.wait_live()
    assert (live.video.width, live.video.height, live.audio.channels) == (1280, 720, 2)
    done = urls.wait_complete(cast, SECONDS + END_S)
    assert done.ended_at - done.started_at > SECONDS * 10**9 and not done.error
    cast.wait_left()

    frames = [event for event in viewer.frames() if event["n"] is not None]
    first, last = frames[0], frames[-1]
    lasted, should = last["at"] - first["at"], (last["n"] - first["n"]) / FPS
    print(f"answered after {answered:.2f} s; pictures {first['n']} to {last['n']}: {lasted:.2f} s for {should:.2f} s")
    assert answered < ANSWER_S
    assert last["n"] >= FPS * SECONDS - 6, "it was cut off before its end"
    assert first["n"] < FPS, "its beginning was played to nobody"
    assert abs(lasted - should) < PACE_S
    events = [hook.event for hook in stack.webhooks.of(cast.id)]
    assert events == ["ingress_started", "ingress_ended"]
    assert all(asked.agent.startswith("sluicegate/") for asked in files.requests("/film.mp4"))
    assert "sesame" not in stack.sluicegate.process.log_text()


def test_what_cannot_be_played_says_why(stack, room, files):
    page = files.serve("/page.mp4", urls.Page(b"<html>not a film</html>" * 100, "video/mp4"))
    noise = files.serve("/noise.bin", random.Random(7).randbytes(200_000))
    cases = {
        "missing": (files.url("/missing.mp4"), "404", "status|not_found"),
        "refused": (f"http://127.0.0.1:{urls.free_port()}/a.mp4", "connection refused", "refused"),
        "blocked": ("http://10.1.2.3/a.mp4", "private address", "blocked"),
        "metadata": ("http://169.254.169.254/latest/", "metadata service", "blocked"),
        "unknown": ("http://no-such-host.invalid/a.mp4", "DNS", "dns"),
        "page": (page, "a web page", "not_media"),
        "noise": (noise, "not media", "not_media"),
    }
    casts = {name: urls.pull(stack, f"{room}-{name}", url) for name, (url, _, _) in cases.items()}
    for name, (_, expected, reasons) in cases.items():
        error = urls.wait_failed(casts[name], END_S)
        print(f"{name}: {error}")
        assert expected in error
        counted = lambda reasons=reasons: any(failures(stack.sluicegate, r) for r in reasons.split("|"))  # noqa: E731
        wait.until(counted, COUNTED_S, f"{name} is counted as {reasons}")
        hooks = [hook.event for hook in stack.webhooks.of(casts[name].id)]
        assert hooks.count("ingress_started") == 0
        stack.webhooks.wait(casts[name].id, "ingress_ended", 5)
        assert stack.api.room_sid(f"{room}-{name}") == "", "the room was joined for nothing"


def failures(server, reason):
    return server.metric("sluicegate_url_failures_total", reason=reason)


def test_what_is_too_much_is_refused_and_takes_no_memory(stack, room, files, media):
    gray = "color=gray:size={}:rate={}"
    large = generated(media, "large", gray.format("5120x2880", 5), 5)
    fast = generated(media, "fast", gray.format("160x96", 100_000), 100_000)
    packed = urls.Page(gzip.compress(bytes(100 << 20)), "video/mp4", headers={"Content-Encoding": "gzip"})
    cases = {
        "large": (urls.Page(large, "video/mp4"), "larger than 4096x2304"),
        "fast": (urls.Page(fast, "video/mp4"), "pictures a second"),
        "packed": (packed, "compressed"),
    }
    for name, (page, expected) in cases.items():
        cast = urls.pull(stack, f"{room}-{name}", files.serve(f"/{name}.mp4", page))
        sizes = [0.0]

        def failed(cast=cast, sizes=sizes):
            sizes += [peak_mib(pid) for pid in stack.sluicegate.workers()]
            return stack.api.state(cast.id).error

        error = wait.until(failed, END_S, f"the end of {name}")
        print(f"{name}: {error}; the largest process had {max(sizes):.0f} MiB")
        assert expected in error and max(sizes) < MOST_MIB


def generated(media, name, source, frames):
    path = media / f"{name}-{frames}.mp4"
    if not path.exists():
        part = path.with_suffix(".part")
        argv = ["-f", "lavfi", "-i", source, "-frames:v", str(frames), "-c:v", "libx264", "-preset", "ultrafast"]
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *argv, "-f", "mp4", part], check=True)
        part.rename(path)
    return path


def peak_mib(pid):
    """The most that a process had; 0 of one that has ended."""
    try:
        return int(proc.status(pid)["VmHWM"].split()[0]) / 1024
    except (OSError, KeyError):
        return 0.0


def test_it_is_deleted_while_it_plays(stack, room, join, files, film):
    viewer = join(stack, room)
    cast = urls.pull(stack, room, files.serve("/film.mp4", urls.Page(film, "video/mp4")))
    viewer.wait_moving(PICTURE_S)
    began = time.monotonic()
    stack.api.delete(cast.id)
    took = time.monotonic() - began
    stack.webhooks.wait(cast.id, "ingress_ended", 5)
    stack.sluicegate.wait_idle(END_S)
    print(f"deleted within {took:.2f} s")
    assert took < 3
    cast.wait_left()
    assert [hook.event for hook in stack.webhooks.of(cast.id)] == ["ingress_started", "ingress_ended"]


@pytest.mark.parametrize("ours", [3, {"lop": True}, {"loop": 0}, {"urls": ["file:///etc/passwd"]}])
def test_malformed_metadata_is_refused(stack, room, files, film, ours):
    url = files.serve("/film.mp4", film)
    with pytest.raises(TwirpError) as refused:
        urls.pull(stack, room, url, participant_metadata=json.dumps({"sluicegate": ours, "role": "film"}))
    assert refused.value.code == "invalid_argument" and "sluicegate" in refused.value.message
    assert not files.asked


def test_a_list_is_played_twice_by_one_participant(stack, room, join, files, clip, media):
    viewer = join(stack, room)
    first = files.serve("/first.mp4", urls.Page(cut(clip, media, 0, 2), "video/mp4"))
    second = files.serve("/second.mp4", urls.Page(cut(clip, media, 10, 2), "video/mp4"))
    metadata = json.dumps({"sluicegate": {"loop": 2, "urls": [second]}, "role": "film"})
    cast = urls.pull(stack, room, first, participant_metadata=metadata)
    viewer.wait_frame(PICTURE_S)
    assert cast.participant().metadata == metadata
    urls.wait_complete(cast, 8 + END_S)
    numbers = [event["n"] for event in viewer.frames() if event["n"] is not None]
    halves = [number > 5 * FPS for number in numbers]
    changes = [now for before, now in itertools.pairwise(halves) if before != now]
    assert changes == [True, False, True], f"the second one, the first again, the second again: {numbers}"
    assert len(viewer.select("subscribed", where=lambda e: e["kind"] == "video")) == 1
    times = [event["at"] for event in viewer.frames()]
    gap = max(b - a for a, b in itertools.pairwise(times))
    print(f"longest stand-still {gap:.2f} s")
    assert gap < STAND_STILL_S


def test_the_server_with_more_room_plays_and_its_death_starts_nothing_twice(build_stack, room, join, files, film):
    stack = build_stack(cpu_cost={"url_cpu_cost": LARGE_CORES, "min_idle_ratio": 0.1})
    roomy = stack.another("sluicegate-roomy", cpu_cost=NEVER_FULL)
    url = files.serve("/film.mp4", urls.Page(film, "video/mp4"))
    # It could do it, and would have left so much less.
    stack.sluicegate.wait_available(broadcast.ROOM_S)
    viewer = join(stack, room)
    metadata = json.dumps({"sluicegate": {"loop": True}})
    cast = urls.pull(stack, room, url, server=roomy, participant_metadata=metadata)
    viewer.wait_moving(PICTURE_S)
    active = lambda server: server.metric("livekit_ingress_requests", type="url")  # noqa: E731
    assert (active(roomy), active(stack.sluicegate)) == (1, 0)
    roomy.process.send(signal.SIGKILL)
    began = time.monotonic()
    state = stack.api.wait_status(cast.id, "ERROR", REPORTED_S)
    print(f"reported {time.monotonic() - began:.1f} s after its server had died")
    assert "gone" in state.error and state.video.width == 1280
    stack.webhooks.wait(cast.id, "ingress_ended", 5)
    assert [hook.event for hook in stack.webhooks.of(cast.id)] == ["ingress_started", "ingress_ended"]
    began = time.monotonic()
    stack.api.delete(cast.id)
    print(f"deleted {time.monotonic() - began:.1f} s after its server had died")
    assert active(stack.sluicegate) == 0
    again = urls.pull(stack, room, url, participant_identity=f"again-{room}")
    again.wait_live()
    assert active(stack.sluicegate) == 1
    stack.api.delete(again.id)
    wait.until(lambda: active(stack.sluicegate) == 0, END_S, "the end of the second one")


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]], ids=["drained", "now"])
def test_a_file_is_played_to_its_end_while_its_server_drains_unless_that_is_told_to_stop(
    roomy_stack, room, join, files, film, signals
):
    stack, server = roomy_stack, roomy_stack.sluicegate
    viewer = join(stack, room)
    cast = urls.pull(stack, room, files.serve("/film.mp4", urls.Page(film, "video/mp4")))
    viewer.wait_moving(PICTURE_S)
    for number in signals:
        mark = server.process.log_size()
        server.process.send(number)
        server.process.wait_for_log(r"shutting down", 5, mark)
    if len(signals) == 1:
        done = stack.api.wait_status(cast.id, "COMPLETE", SECONDS + END_S)
        assert not done.error and max(event["n"] or 0 for event in viewer.frames()) >= FPS * SECONDS - 6
    else:
        assert "shutting down" in stack.api.wait_status(cast.id, "ERROR", END_S).error
    assert server.process.exit_code(END_S) == 0
    cast.wait_left()
