"""The clips that are pushed: detail, motion, text, grain and scene changes, with a frame number that survives scaling.

A slow zoom into the Mandelbrot set fills the frame; a test card with running digits drifts over it, a Game of Life
grows in a corner, grain changes with every frame, and every ten seconds the colours turn at a cut. The frame number is
the bar code of `harness/clip.py`. The sound is quiet pink noise, a chord, and a beep on each full second.
"""

import hashlib
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from harness.clip import bar_code

FPS = 30
SCENE_S = 10
BEEP_S = 0.05


@dataclass(frozen=True)
class Recipe:
    """One clip: H.264 High and AAC in FLV; without `width`, the sound alone."""

    width: int = 1280
    height: int = 720
    kbps: int = 3000
    b_frames: int = 2
    group_s: int = 2
    # A whole number of groups of pictures, so that it loops without a seam.
    seconds: int = 40

    @property
    def lap(self) -> int:
        """Frames until the number starts again, when the clip is played in a loop."""
        return self.seconds * FPS

    def file(self, cache: Path) -> Path:
        """The FLV file, made once and kept in `cache` under the name of its recipe."""
        recipe = hashlib.sha256(repr(self._ffmpeg(Path())).encode()).hexdigest()[:12]
        name = f"{self.width}x{self.height}" if self.width else "sound"
        path = cache / f"bench-{name}-{recipe}.flv"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            try:
                subprocess.run(self._ffmpeg(part), check=True, stdin=subprocess.DEVNULL)
                part.rename(path)
            finally:
                part.unlink(missing_ok=True)
        return path

    def _ffmpeg(self, out: Path) -> list[str]:
        pictures, sounds = (self._pictures() if self.width else []), self._sounds()
        graphs = (self._scene() if self.width else []) + _mix(len(pictures))
        inputs = [word for text in pictures + sounds for word in ("-f", "lavfi", "-i", text)]
        coded = self._coded() if self.width else []
        return [
            *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *inputs),
            *("-filter_complex", ";".join(graphs), *coded, "-map", "[a]", "-c:a", "aac", "-b:a", "160k"),
            *("-ar", "48000", "-ac", "2", "-t", str(self.seconds), "-f", "flv", str(out)),
        ]

    def _pictures(self) -> list[str]:
        width, height = self.width, self.height
        # Half the size is enough for the zoom, and four times cheaper to make.
        zoom = f"mandelbrot=s={width // 2}x{height // 2}:rate={FPS}:maxiter=300:start_scale=1.2:end_scale=0.02"
        life = f"life=s={width // 8}x{height // 8}:r={FPS}:mold=10:ratio=0.2:seed=7"
        colours = "life_color=#C0E0A0:death_color=#702020:mold_color=#203040"
        return [f"{zoom}:end_pts={self.lap}", f"testsrc2=s={width // 4}x{height // 4}:r={FPS}", f"{life}:{colours}"]

    def _scene(self) -> list[str]:
        width, height = self.width, self.height
        place = "x='(W-w)*(0.5+0.45*sin(t/2))':y='H*0.1+(H*0.85-h)*(0.5+0.5*cos(t/3))'"
        return [
            f"[0:v]scale={width}:{height}:flags=bicubic,hue=h='72*floor(t/{SCENE_S})',format=yuv420p[back]",
            "[1:v]format=yuv420p[card]",
            f"[2:v]scale={width // 4}:{height // 4}:flags=neighbor,format=yuv420p[life]",
            f"[back][card]overlay={place}[both]",
            "[both][life]overlay=x='(W-w)*0.98':y='(H-h)*0.98',noise=alls=5:allf=t:all_seed=7[scene]",
            f"[scene]{bar_code()},format=yuv420p[v]",
        ]

    def _coded(self) -> list[str]:
        group, rate = str(self.group_s * FPS), f"{self.kbps}k"
        return [
            *("-map", "[v]", "-r", str(FPS), "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high"),
            *("-bf", str(self.b_frames), "-g", group, "-keyint_min", group, "-sc_threshold", "0"),
            *("-x264-params", "nal-hrd=cbr:threads=2", "-b:v", rate, "-maxrate", rate, "-bufsize", rate),
        ]

    def _sounds(self) -> list[str]:
        chord = "0.08*sin(2*PI*220*t)+0.06*sin(2*PI*({}+20*sin(t/3))*t)"
        beep = f"0.6*sin(2*PI*1000*t)*lt(mod(t,1),{BEEP_S})"
        tones = f"aevalsrc='{chord.format(330)}+{beep}|{chord.format(277)}+{beep}':s=48000"
        return ["anoisesrc=color=pink:amplitude=0.03:seed=7:r=48000", tones]


def _mix(first: int) -> list[str]:
    """The sound of the two inputs from this number on."""
    return [f"[{first}:a]aformat=channel_layouts=stereo[n]", f"[n][{first + 1}:a]amix=inputs=2:normalize=0[a]"]


HD = Recipe()
FULL_HD = Recipe(1920, 1080, 5000)
SOUND = Recipe(width=0, height=0, kbps=0)
# What may go through untouched: no B-frames.
PLAIN = replace(HD, b_frames=0)
LONG_GROUP = replace(PLAIN, group_s=10)
