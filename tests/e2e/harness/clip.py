"""The test clip: a frame number as a bar code, and a flash that coincides with a beep.

The top twentieth of the picture is black and carries 18 cells, each a twentieth of the width, from x = 1/20 on:
white, black, 12 bits of the frame number (lowest first), 4 bits of check sum. The bottom left quarter flashes white for
three frames from each full second on, and a 1 kHz tone of 50 ms starts with it. Grain keeps the encoders busy, so that
their bitrates are those that they were asked for.
"""

import hashlib
import itertools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COUNTER_BITS = 12
COUNTER_MODULO = 1 << COUNTER_BITS
FLASH_FRAMES = 3
# Frames of every clip here: its number starts again from 0 when a clip is played in a loop.
LAP = 600


@dataclass(frozen=True)
class Clip:
    """What to generate: `LAP` frames, a whole number of groups of pictures, so that it loops without a seam."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    kbps: int = 3500
    b_frames: int = 2
    # Seconds from one keyframe to the next.
    group: int = 2
    profile: str = "high"

    def file(self, cache: Path) -> Path:
        """The FLV file, made once and kept in `cache`."""
        recipe = hashlib.sha256(repr(_ffmpeg(self, Path())).encode()).hexdigest()[:12]
        path = cache / f"clip-{self.width}x{self.height}-{recipe}.flv"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            subprocess.run(_ffmpeg(self, part), check=True, stdin=subprocess.DEVNULL)
            part.rename(path)
        return path


def bits_per_second(path: Path, kind: str) -> float:
    """What is really in a clip file of this kind of stream, "v" or "a"."""
    argv = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        kind,
        "-show_entries",
        "packet=size,duration_time",
        "-of",
        "csv=p=0",
    ]
    rows = subprocess.run([*argv, str(path)], check=True, capture_output=True, text=True).stdout.split()
    fields = [row.split(",") for row in rows]
    return 8 * sum(int(size) for _, size in fields) / sum(float(seconds) for seconds, _ in fields)


def read_counter(luma: np.ndarray) -> int | None:
    """The frame number in a luma plane of any size, None when the bar code is not there."""
    height, width = luma.shape
    top, bottom = int(height * 0.018), max(int(height * 0.018) + 1, int(height * 0.034))
    columns = [slice(int(width * (i + 0.35) / 20), int(width * (i + 0.65) / 20)) for i in range(1, 19)]
    cells = [float(luma[top:bottom, column].mean()) for column in columns]
    white, black = cells[:2]
    if white - black < 60:
        return None
    bits = [cell > (white + black) / 2 for cell in cells[2:]]
    number = sum(bit << i for i, bit in enumerate(bits[:COUNTER_BITS]))
    check = sum(bit << i for i, bit in enumerate(bits[COUNTER_BITS:]))
    return number if check == ((number & 15) + (number >> 4 & 15) + (number >> 8)) % 16 else None


def flashes(luma: np.ndarray) -> bool:
    """Whether the flash is on in this picture."""
    height, width = luma.shape
    return float(luma[int(height * 0.8) : int(height * 0.95), int(width * 0.05) : int(width * 0.2)].mean()) > 128


def steps(counters: list[int | None]) -> list[int]:
    """By how much the frame number grew from each readable picture to the next, over the end of a lap too."""
    known = [n for n in counters if n is not None]
    return [(b - a) % LAP for a, b in itertools.pairwise(known)]


def bar_code() -> str:
    number = f"mod(n,{COUNTER_MODULO})"
    check = f"mod(mod({number},16)+mod(floor({number}/16),16)+floor({number}/256),16)"
    cells = {1: "1"}
    cells |= {3 + bit: f"mod(floor({number}/{1 << bit}),2)" for bit in range(COUNTER_BITS)}
    cells |= {3 + COUNTER_BITS + bit: f"mod(floor({check}/{1 << bit}),2)" for bit in range(4)}
    boxes = ["drawbox=x=0:y=0:w=iw:h=ih/20:color=black:t=fill"]
    for cell, on in cells.items():
        boxes.append(f"drawbox=x=iw*{cell}/20:y=0:w=iw/20:h=ih/20:color=white:t=fill:enable='{on}'")
    return ",".join(boxes)


def _ffmpeg(clip: Clip, out: Path) -> list[str]:
    flash = (
        "drawbox=x=0:y=ih*3/4:w=iw/4:h=ih/4:color=black:t=fill,"
        "drawbox=x=0:y=ih*3/4:w=iw/4:h=ih/4:color=white:t=fill:"
        f"enable='lt(mod(n,{clip.fps}),{FLASH_FRAMES})'"
    )
    picture = f"[0:v]hue=h='40*t',noise=alls=14:allf=t:all_seed=7,{bar_code()},{flash},format=yuv420p[v]"
    beep = "0.6*sin(2*PI*1000*t)*lt(mod(t,1),0.05)"
    chord = "0.02*sin(2*PI*220*t)"
    group = clip.group * clip.fps
    return [
        *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *("-f", "lavfi", "-i", f"testsrc2=s={clip.width}x{clip.height}:r={clip.fps}"),
        *("-f", "lavfi", "-i", f"aevalsrc='{beep}+{chord}|{beep}+{chord}':s=48000"),
        *("-filter_complex", picture, "-map", "[v]", "-map", "1:a", "-t", str(LAP / clip.fps)),
        *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", clip.profile, "-bf", str(clip.b_frames)),
        *("-g", str(group), "-keyint_min", str(group), "-sc_threshold", "0", "-b:v", f"{clip.kbps}k"),
        *("-maxrate", f"{clip.kbps}k", "-bufsize", f"{clip.kbps}k"),
        *("-c:a", "aac", "-b:a", "160k", "-f", "flv", str(out)),
    ]
