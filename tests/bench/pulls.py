"""What playing a URL costs: HLS of 720p, and an MP3, from an HTTP server on this machine."""

import itertools
import subprocess
import time
from dataclasses import dataclass

from harness import urls

from bench import clips, tree
from bench.case import Figures, Options
from bench.clips import Recipe
from bench.session import LIVE_S, Session, first_picture
from bench.stage import Cannot, Stage
from bench.steady import ROOMY, SETTLE_S, heard

_names = itertools.count(1)
# The recording is this much longer than the window and what comes before it.
SPARE_S = 40
HLS = ("-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod")
MP3 = ("-vn", "-c:a", "libmp3lame", "-b:a", "160k")


@dataclass(frozen=True)
class Pull:
    """`file` is what ffmpeg writes with `options`, from the clip played again and again."""

    name: str
    title: str
    recipe: Recipe
    file: str
    options: tuple[str, ...]
    preset: str | None = None

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        folder = stage.logs / f"pull-{next(_names)}"
        folder.mkdir()
        seconds = options.seconds + options.settle(SETTLE_S) + SPARE_S
        argv = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-stream_loop", "-1"]
        argv += ["-i", str(options.clip(self.recipe)), "-t", str(seconds), *self.options, self.file]
        subprocess.run(argv, check=True, cwd=folder, stdin=subprocess.DEVNULL)
        files = stage.add(urls.Files())
        # The Go worker asks nobody before it connects to this machine, and does not know the key.
        config = {} if options.foreign else {"url": {"allow": ["127.0.0.0/8"]}}
        ingress = stage.ingress(**config)
        room = f"bench-{folder.name}"
        viewer = Session.watch(stage, room, "high")
        info = stage.api.create(room, kind="URL", preset=self.preset, url=files.file(folder / self.file))
        try:
            stage.api.wait_status(info.ingress_id, "PUBLISHING", LIVE_S)
        except AssertionError as error:
            raise Cannot(f"not PUBLISHING: {error}") from error
        if self.recipe.width:
            first_picture(viewer, w=self.recipe.width)
        time.sleep(options.settle(SETTLE_S))
        mark, window = viewer.mark(), tree.Window(ingress.pid)
        time.sleep(options.seconds)
        figures: Figures = vars(window.end())
        if self.recipe.width:
            figures["fps"] = len(viewer.frames(mark)) / options.seconds
        else:
            figures |= heard(viewer, mark)
        stage.api.delete(info.ingress_id)
        return figures


CASES = [
    Pull("hls", "HLS of 720p30, 3 layers, HIGH watched", clips.HD, "index.m3u8", HLS),
    Pull("hls-pass", "HLS passed, HIGH of 3 watched", clips.PLAIN, "index.m3u8", HLS, ROOMY),
    Pull("mp3", "an MP3", clips.SOUND, "sound.mp3", MP3),
]
