"""How many sessions of 720p30 in one layer the machine holds, livekit-server, publishers and subscribers included.

The subscribers are light, so that the server is what fills the machine: one process (the `count` example of
sluicegate-livekit) takes every session's packets, decrypts them and decodes nothing. A gap is the time between the last
packets of two neighbouring pictures. One process publishes to all sessions.
"""

import itertools
import time
from dataclasses import dataclass

from harness import wait
from harness.lines import Talker
from harness.stack import NEVER_FULL

from bench import clips, tree
from bench.case import Figures, Options
from bench.clips import FPS, Recipe
from bench.session import LIVE_S, Session
from bench.stage import Cannot, Stage
from bench.steady import ONE_LAYER, ROOMY_ONE_LAYER

# A picture held for longer than this is seen as a jerk.
GAP_MS = 100
# 30 frames a second, but for a frame that falls out of the window.
HELD_FPS = FPS - 1
# A session that is refused for so long does not fit. What sessions really cost ends the case, not what is guessed.
ROOM_S = 20
# After sessions are added, before their gaps count.
SETTLE_S = 6

PASSED = (2, 4, 8, 12, 16, 20, 25, 30, 35, 40, 50, 60)


@dataclass
class Step:
    """So many sessions at once: the worst one's 95th of a hundred gaps, and frames per second."""

    sessions: int
    p95: float
    fps: float
    usage: tree.Usage

    @property
    def smooth(self) -> bool:
        return self.p95 <= GAP_MS

    @property
    def held(self) -> bool:
        return self.smooth and self.fps >= HELD_FPS


@dataclass(frozen=True)
class Density:
    """`sizes`: how many sessions run at each step; it ends with the first that is not smooth."""

    name: str
    title: str
    recipe: Recipe
    sizes: tuple[int, ...]
    preset: str = ONE_LAYER

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        fleet = Fleet(stage, options, self.recipe, self.preset)
        steps: list[Step] = []
        for size in self.sizes[: options.times(len(self.sizes))]:
            try:
                fleet.grow(size)
            except Refused:
                break
            steps.append(fleet.measure(options))
            if not steps[-1].smooth:
                break
        if not steps:
            raise Cannot("the first session was refused, or sent no picture")
        return figures(steps)


def figures(steps: list[Step]) -> Figures:
    """Of the last step that held, and how the first one failed that did not."""
    held = list(itertools.takewhile(lambda step: step.held, steps))
    shown = held[-1] if held else steps[0]
    found: Figures = vars(shown.usage) | {
        "fps": shown.fps,
        "sessions": held[-1].sessions if held else 0,
        "smooth": max((step.sessions for step in steps if step.smooth), default=0),
    }
    if len(held) < len(steps):
        found |= {"next_p95": steps[len(held)].p95, "next_fps": steps[len(held)].fps}
    return found


class Refused(Exception):
    """One more session was not taken, or nothing came of it."""


class Fleet:
    """Sessions that run, their publisher and their subscribers."""

    def __init__(self, stage: Stage, options: Options, recipe: Recipe, preset: str):
        self.stage, self.ingress, self.preset = stage, stage.ingress(cpu_cost=NEVER_FULL), preset
        self.rooms: list[str] = []
        publish = Talker("fleet", "bench.fleet_child", [str(options.clip(recipe))], stage.logs)
        self.publisher = stage.add(publish)
        self.counter = stage.add(Talker("count", options.examples / "count", [], stage.logs))

    def grow(self, size: int) -> None:
        while len(self.rooms) < size:
            session = Session(self.stage, self.ingress, self.preset)
            self._publish(session.url)
            token, mark = self.stage.api.viewer_token(session.room, "counter"), self.counter.mark()
            self.counter.tell(room=session.room, url=self.stage.livekit.url, token=token)
            flows = lambda e, room=session.room: e["room"] == room and e["frames"] > 0  # noqa: E731
            try:
                self.counter.wait("second", LIVE_S, flows, mark)
            except AssertionError as error:
                raise Refused from error
            self.rooms.append(session.room)

    def _publish(self, url: str) -> None:
        """Asks again for a while: a machine that is nearly full has moments without idle CPU."""
        end = time.monotonic() + ROOM_S
        while True:
            mark = self.publisher.mark()
            self.publisher.tell(do="publish", url=url)
            answer = wait.until(lambda since=mark: self._answer(url, since), LIVE_S, f"an answer of {url}")
            if answer == "taken":
                return
            if time.monotonic() > end:
                raise Refused

    def _answer(self, url: str, since: int) -> str | None:
        answers = ("taken", "refused")
        return next((name for name in answers if self.publisher.select(name, since, lambda e: e["url"] == url)), None)

    def measure(self, options: Options) -> Step:
        time.sleep(options.settle(SETTLE_S))
        mark, window, begin = self.counter.mark(), tree.Window(self.ingress.pid), time.monotonic()
        time.sleep(options.seconds)
        usage, seconds = window.end(), time.monotonic() - begin
        reports = self.counter.select("second", mark)
        worst = [self._session([r for r in reports if r["room"] == room], seconds) for room in self.rooms]
        return Step(len(self.rooms), max(p95 for p95, _ in worst), min(fps for _, fps in worst), usage)

    def _session(self, reports: list[dict], seconds: float) -> tuple[float, float]:
        gaps = sorted(gap for report in reports for gap in report["gaps"])
        if not gaps:
            return 1000 * seconds, 0.0
        # Reports end once a second: what they cover is their number of seconds.
        return gaps[int(0.95 * (len(gaps) - 1))], len(gaps) / (reports[-1]["t"] - reports[0]["t"] + 1)


CASES = [
    Density("density", "sessions of 720p30 x 1 layer", clips.HD, tuple(range(1, 17))),
    Density("pass-density", "the same without B-frames (high motion)", clips.PLAIN, PASSED, ROOMY_ONE_LAYER),
]
