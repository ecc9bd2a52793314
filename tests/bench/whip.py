"""Publishers over WebRTC: what forwarding costs, and how much later pictures come than through livekit-server alone."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.lines import Talker
from livekit import api

from bench import clips, steady, tree
from bench.case import Figures, Options
from bench.clips import Recipe
from bench.session import SHIFT, Session, first_picture
from bench.stage import Cannot, Stage

START_S = 20
# Of the ladder's layers, lowest first.
KBPS = {"low": 238, "medium": 672, "high": 1900}
GROUP = 30


@dataclass(frozen=True)
class Whip:
    """`layers`: as many of the top ones are sent."""

    name: str
    title: str
    layers: int
    transcode: bool = False
    recipe: Recipe = clips.HD

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        if not (options.examples / "push_whip").exists():
            raise Cannot("the cargo example push_whip is not built")
        files = [layer(options, self.recipe, quality) for quality in list(KBPS)[-self.layers :]]
        straight = self._straight(stage, options, files[-1])
        session = Session(stage, stage.ingress(whip_port=stage.whip_port), kind="WHIP", transcode=self.transcode)
        idle = proc.pss_mib(session.ingress.pid)
        url = f"http://127.0.0.1:{stage.whip_port}/w"
        push = _push(stage, options, url, session.info.stream_key, files)
        session.wait_live()
        viewer = session.viewer("high")
        first_picture(viewer, w=self.recipe.width)
        time.sleep(options.settle(steady.SETTLE_S))
        mark, window = viewer.mark(), tree.Window(session.ingress.pid)
        time.sleep(options.seconds)
        figures: Figures = vars(window.end()) | steady.seen(push, viewer.frames(mark), options.recipe(self.recipe))
        figures["added"] = proc.pss_mib(session.ingress.pid) - idle
        return figures | {f"over {name}": figures[name] - straight[name] for name in ("p50", "p95")}

    def _straight(self, stage: Stage, options: Options, file: Path) -> Figures:
        """The same publisher and viewer without an ingress server: livekit-server takes one layer over WHIP itself."""
        room = f"straight-{self.name}"
        grants = api.VideoGrants(room_join=True, room=room, can_publish=True)
        token = api.AccessToken(stage.api.key, stage.api.secret).with_identity("straight").with_grants(grants)
        push = _push(stage, options, f"{stage.livekit.http}/whip/v1", token.to_jwt(), [file])
        viewer = Session.watch(stage, room, "high")
        first_picture(viewer, w=self.recipe.width)
        time.sleep(options.settle(steady.SETTLE_S))
        mark = viewer.mark()
        time.sleep(options.seconds / 2)
        figures = steady.seen(push, viewer.frames(mark), options.recipe(self.recipe))
        push.stop()
        viewer.stop()
        return figures


def _push(stage: Stage, options: Options, url: str, key: str, files: list[Path]) -> Talker:
    # Without sound: a receiver holds pictures back for it, which says nothing about the way.
    arguments = [url, key, str(clips.FPS), "--silent", *map(str, files)]
    push = stage.add(Talker("push-whip", options.examples / "push_whip", arguments, stage.logs))
    push.wait("started", START_S)
    return push


def layer(options: Options, recipe: Recipe, quality: str) -> Path:
    """One layer of a clip as a WebRTC encoder would make it, with access unit delimiters; made once."""
    clip = options.clip(recipe)
    path = clip.with_name(f"{clip.stem}-{quality}.h264")
    if not path.exists():
        size = f"{recipe.width >> SHIFT[quality]}:{recipe.height >> SHIFT[quality]}"
        rate = f"{KBPS[quality]}k"
        part = path.with_suffix(".part")
        coded = ["-c:v", "libx264", "-profile:v", "baseline", "-preset", "veryfast", "-g", str(GROUP), "-bf", "0"]
        limits = ["-b:v", rate, "-maxrate", rate, "-bufsize", rate]
        argv = ["ffmpeg", "-loglevel", "error", "-nostdin", "-y", "-i", str(clip), "-an", "-vf", f"scale={size}"]
        argv += [*coded, *limits, "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", str(part)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        part.rename(path)
    return path


CASES = [
    Whip("whip-one", "WHIP 720p30, passed on, 1 layer", 1),
    Whip("whip", "WHIP 720p30, passed on, 3 layers", 3),
    Whip("whip-transcoded", "WHIP 720p30, transcoded, 3 layers in and out", 3, transcode=True),
]
