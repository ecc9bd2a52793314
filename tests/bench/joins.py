"""How long somebody looks at nothing: at the start of a stream, and when they come later."""

import time
from dataclasses import dataclass

from harness import meters, wait

from bench import clips, tree
from bench.case import Figures, Options, spread
from bench.clips import Recipe
from bench.session import Session, first_picture
from bench.stage import QUIET_S, Stage
from bench.steady import ROOMY

TIMES = 8
# Sound is 96 kbit/s; the smallest layer of pictures would add 230.
SOUND_ONLY_BPS = 160_000
# livekit-server asks for layers to be let go 5 s after their last viewer left. Servers exist that never do it.
LET_GO_S = 12
# Frames between two late joiners: no multiple of a group of pictures, so that they come anywhere in it.
APART_FRAMES = 50


@dataclass(frozen=True)
class FirstFrame:
    """From the encoder's TCP connection to the first decoded picture of a subscriber that waits in the room."""

    name: str = "first"
    title: str = "publish to first frame at a waiting subscriber"
    recipe: Recipe = clips.HD

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        ingress, delays = stage.ingress(), []
        for _ in range(options.times(TIMES)):
            mark = len(stage.started)
            session = Session(stage, ingress)
            viewer = session.viewer()
            wait.until(lambda: tree.is_quiet(ingress.pid), QUIET_S, "the server waits")
            pusher = session.push(options.clip(self.recipe))
            shown = first_picture(viewer)["at"]
            delays.append(1000 * (shown - pusher.select("connecting")[0]["t"]))
            session.end()
            stage.stop_since(mark)
        return spread(delays) | {"n": len(delays)}


@dataclass(frozen=True)
class Unwatched:
    """From the request to subscribe to the first decoded picture, when nobody watched before."""

    name: str = "joins"
    title: str = "subscribe to first picture, nobody watched before"
    recipe: Recipe = clips.HD

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        session = live(stage, self.recipe, options)
        viewer, delays = session.viewer(manual=True), []
        viewer.wait("published", 20, lambda e: e["kind"] == "video")
        for _ in range(options.times(TIMES)):
            wait_unwatched(stage)
            delays.append(join(viewer))
            mark = viewer.mark()
            viewer.subscribe(False)
            viewer.wait("unsubscribed", 10, since=mark)
        session.end()
        return spread(delays) | {"n": len(delays)}


@dataclass(frozen=True)
class LateJoiner:
    """The same on a stream that another one watches already."""

    name: str
    title: str
    recipe: Recipe
    preset: str | None = None

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        session = live(stage, self.recipe, options, self.preset)
        early = session.viewer()
        first_picture(early)
        late, delays = session.viewer(manual=True), []
        late.wait("published", 20, lambda e: e["kind"] == "video")
        for _ in range(options.times(TIMES)):
            early.wait_frame(60, early.mark(), count=APART_FRAMES)
            delays.append(join(late))
            mark = late.mark()
            late.subscribe(False)
            late.wait("unsubscribed", 10, since=mark)
        session.end()
        return spread(delays) | {"n": len(delays)}


def live(stage: Stage, recipe: Recipe, options: Options, preset: str | None = None) -> Session:
    session = Session(stage, stage.ingress(), preset)
    session.push(options.clip(recipe))
    session.wait_live()
    return session


def join(viewer) -> float:
    """Milliseconds until the picture is there."""
    mark = viewer.mark()
    viewer.subscribe(True)
    asked = viewer.wait("asked_to_subscribe", 5, since=mark)["t"]
    return 1000 * (first_picture(viewer, mark)["at"] - asked)


def wait_unwatched(stage: Stage) -> None:
    """Until no picture is sent to the room any more, or long enough for a server that never stops."""
    meter, end = meters.Incoming(stage.livekit), time.monotonic() + LET_GO_S
    wait.until(lambda: meter.bps() < SOUND_ONLY_BPS or time.monotonic() > end, LET_GO_S + 5, "the layers are let go")


CASES = [
    FirstFrame(),
    Unwatched(),
    LateJoiner("late", "subscribe to first picture, watched already", clips.HD),
    LateJoiner("pass-late", "the same without B-frames, keyframe each 10 s", clips.LONG_GROUP, ROOMY),
]
