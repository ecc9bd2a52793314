"""Sessions that run evenly: what they cost while somebody, or nobody, watches a certain layer."""

import time
from dataclasses import dataclass

from harness import meters

from bench import clips, tree
from bench.case import Figures, Options
from bench.clips import Recipe
from bench.session import SHIFT, Session, first_picture
from bench.stage import Cannot, Stage

# Before each window: livekit-server lets layers go 5 s after their last viewer, 10 s after the start when nobody came;
# bitrate control and jitter buffers settle too.
SETTLE_S = 12
ONE_LAYER = "H264_720P_30FPS_1_LAYER"
# Up to 1.5 times the top layer's bitrate is passed: the clip has 1.59 times that of the usual
# presets, 1.2 times that of these.
ROOMY_ONE_LAYER = "H264_720P_30FPS_1_LAYER_HIGH_MOTION"
ROOMY = "H264_720P_30FPS_3_LAYERS_HIGH_MOTION"
FULL_HD_LAYERS = "H264_1080P_30FPS_3_LAYERS"


@dataclass(frozen=True)
class Steady:
    """`quality` is that of the only viewer; None: nobody watches."""

    name: str
    title: str
    recipe: Recipe
    quality: str | None
    preset: str | None = None

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        session = Session(stage, stage.ingress(), self.preset)
        pusher = session.push(options.clip(self.recipe))
        viewer = session.viewer(self.quality) if self.quality else None
        session.wait_live()
        if viewer and self.recipe.width:
            first_picture(viewer, w=self.recipe.width >> SHIFT[self.quality])
        time.sleep(options.settle(SETTLE_S))

        begin = stage.carried()
        mark = viewer.mark() if viewer else 0
        window = tree.Window(session.ingress.pid)
        time.sleep(options.seconds)
        figures: Figures = vars(window.end()) | {"kbps": rate(begin, stage.carried())}
        if not pusher.process.alive() or pusher.select("closed"):
            raise Cannot(f"the server ended the session: {pusher.events[-1]}")
        if viewer and self.recipe.width:
            figures |= seen(pusher, viewer.frames(mark), self.recipe)
        elif viewer:
            figures |= heard(viewer, mark)
        session.end()
        return figures


def rate(begin: tuple[float, float], end: tuple[float, float]) -> float:
    return (end[1] - begin[1]) / (end[0] - begin[0])


def seen(pusher, frames: list[dict], recipe: Recipe) -> Figures:
    """Frames per second, and milliseconds from the push to the decoded picture."""
    if len(frames) < 2:
        raise Cannot("no picture came in the window")
    latency = meters.latency(pusher, frames, lap=recipe.lap)
    return {
        "fps": latency.frames_per_second,
        "p50": latency.p50,
        "p95": latency.p95,
        "max": latency.longest,
    }


def heard(viewer, mark: int) -> Figures:
    """Seconds of sound for each second of the clock."""
    reports = viewer.select("audio", mark)
    if len(reports) < 2:
        raise Cannot("no sound came in the window")
    first, last = reports[0], reports[-1]
    return {"sound": (last["seconds"] - first["seconds"]) / (last["t"] - first["t"])}


CASES = [
    Steady("watched", "720p30, 3 layers, HIGH watched", clips.HD, "high"),
    Steady("medium", "720p30, 3 layers, MEDIUM at most", clips.HD, "medium"),
    Steady("low", "720p30, 3 layers, LOW at most", clips.HD, "low"),
    Steady("nobody", "720p30, 3 layers, nobody", clips.HD, None),
    Steady("one", "720p30, 1 layer", clips.HD, "high", ONE_LAYER),
    Steady("pass-one", "720p30 without B-frames, 1 layer (high motion)", clips.PLAIN, "high", ROOMY_ONE_LAYER),
    Steady("pass-high", "720p30 without B-frames, 3 layers (high motion), HIGH watched", clips.PLAIN, "high", ROOMY),
    Steady("pass-nobody", "720p30 without B-frames, 3 layers (high motion), nobody", clips.PLAIN, None, ROOMY),
    Steady("audio", "audio only", clips.SOUND, "high"),
    Steady("1080-watched", "1080p30, 3 layers, HIGH watched", clips.FULL_HD, "high", FULL_HD_LAYERS),
    Steady("1080-medium", "1080p30, 3 layers, MEDIUM at most", clips.FULL_HD, "medium", FULL_HD_LAYERS),
    Steady("1080-low", "1080p30, 3 layers, LOW at most", clips.FULL_HD, "low", FULL_HD_LAYERS),
    Steady("1080-nobody", "1080p30, 3 layers, nobody", clips.FULL_HD, None, FULL_HD_LAYERS),
]
