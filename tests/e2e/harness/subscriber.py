"""A subscriber of a room: the Python SDK in a process of its own."""

import itertools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from harness import clip, proc, wait
from harness.lines import Event, Talker

JOIN_S = 20


@dataclass
class Rate:
    """What came in between two looks at the statistics."""

    bits_per_second: float
    frames_per_second: float
    keyframes: int


class Subscriber(Talker):
    """Joins at once. `manual`: subscribes only when `subscribe` is called."""

    def __init__(self, url: str, token: str, logs: Path, name: str = "viewer", manual: bool = False, quality: str = ""):
        flags = ["--manual"] * manual + (["--quality", quality] if quality else [])
        super().__init__(name, "harness.subscriber_child", [url, token, *flags], logs)
        self.wait("joined", JOIN_S)

    def wait_frame(self, within: float, since: int = 0, count: int = 1, **fields) -> Event:
        """A decoded frame with these fields, such as w=320."""
        return self.wait("frame", within, lambda e: all(e[k] == v for k, v in fields.items()), since, count)

    def frames(self, since: int = 0) -> list[Event]:
        return self.select("frame", since)

    def wait_moving(self, within: float, since: int = 0) -> Event:
        """The second of two decoded frames whose frame numbers differ: a picture that moves."""
        numbers: set[int] = set()

        def moves(event: Event) -> bool:
            if event["n"] is not None:
                numbers.add(event["n"])
            return len(numbers) > 1

        return self.wait("frame", within, moves, since)

    def set_quality(self, quality: str) -> None:
        self.tell(do="quality", quality=quality)

    def subscribe(self, on: bool) -> None:
        self.tell(do="subscribe", on=on)

    def stats(self, kind: str = "video") -> dict:
        """libwebrtc's figures of the newest track of this kind, with the time `t` of the look."""
        since = self.mark()
        self.tell(do="stats")
        event = self.wait("stats", 5, since=since)
        sid = self.select("subscribed", where=lambda e: e["kind"] == kind)[-1]["sid"]
        return event["tracks"][sid] | {"t": event["t"]}

    def rate_over(self, frames: int, within: float) -> Rate:
        """The rates over that many further frames."""
        before, mark = self.stats(), self.mark()
        self.wait("frame", within, since=mark, count=frames)
        after = self.stats()
        seconds = after["t"] - before["t"]
        change = {key: after[key] - before[key] for key in ("bytes", "decoded", "keyframes")}
        return Rate(8 * change["bytes"] / seconds, change["decoded"] / seconds, change["keyframes"])

    def sound_minus_picture(self, since: int = 0) -> list[float]:
        """By how many milliseconds each beep came after its flash (negative: before it), up to now."""
        frames = self.frames(since)
        pairs = itertools.pairwise(frames)
        onsets = [now["at"] for before, now in pairs if now["flash"] and not before["flash"]]
        # A beep whose flash is not there yet is left for later.
        beeps = [event["at"] for event in self.select("beep", since) if onsets and event["at"] < onsets[-1] + 0.5]
        offsets = [min((beep - onset for onset in onsets), key=abs) for beep in beeps]
        return [1000 * offset for offset in offsets if abs(offset) < 0.5]

    def counter_steps(self, since: int = 0) -> list[int]:
        return clip.steps([event["n"] for event in self.frames(since)])

    def assert_moving(self, since: int) -> None:
        """The frame number was read in most pictures, grew, and next to none was left out."""
        steps = self.counter_steps(since)
        assert len(steps) > 0.8 * (len(self.frames(since)) - 1) > 0, f"too few numbers were read: {steps}"
        assert steps.count(1) > 0.8 * len(steps), f"pictures are missing; steps of their numbers: {steps}"

    def longest_gap(self, since: int = 0) -> float:
        """Seconds between the two neighbouring frames that were furthest apart, up to now."""
        times = [event["at"] for event in self.frames(since)] + [time.time()]
        return max(b - a for a, b in itertools.pairwise(times))

    def track(self, kind: str, since: int = 0) -> Event:
        return self.wait("subscribed", 20, lambda e: e["kind"] == kind, since)

    def leave(self) -> None:
        self.tell(do="leave")
        self.process.exit_code(10)
        self.stop()


def outlived(viewer: Subscriber, worker: int, by: signal.Signals) -> float:
    """Sends a worker this signal, which is its end; seconds for which the picture stood still, until it moves again."""
    mark = viewer.mark()
    os.kill(worker, by)
    wait.until(lambda: not proc.running(worker), 5, "the end of the worker")
    viewer.wait_frame(10, viewer.mark(), count=60)
    gap = viewer.longest_gap(mark)
    print(f"the picture stood still for {1000 * gap:.0f} ms")
    return gap
