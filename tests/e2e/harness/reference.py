"""What is at a URL by another program's decoding: ffmpeg's."""

import re
import statistics
import subprocess

import numpy as np

from harness import clip

SIZE = (640, 360)
RATE = 48_000
# The loudness of a beep is looked at in steps of a millisecond; it is over when it was quiet for a while.
STEP = RATE // 1000
QUIET_STEPS = 100
LOUD = 0.2
PTS = re.compile(rb"pts_time:\s*([-\d.]+)")


def sound_minus_picture(url: str) -> float:
    """By how many milliseconds the clip's beeps come after their flashes in what is there: the median.

    Encoders add silence before the sound, which not every container can say."""
    pictures, sound = flashes(url), beeps(url)
    return statistics.median(1000 * min((beep - flash for flash in pictures), key=abs) for beep in sound[1:])


def flashes(url: str) -> list[float]:
    """When a flash begins, in seconds on the file's clock; not one that is there from the beginning."""
    width, height = SIZE
    gray = f"showinfo,scale={width}:{height},format=gray"
    shown = decoded(url, "rawvideo", "-map", "0:v:0", "-fps_mode", "passthrough", "-vf", gray)
    times = [float(found) for found in PTS.findall(shown.stderr)]
    pictures = np.frombuffer(shown.stdout, np.uint8).reshape(-1, height, width)
    lit = [clip.flashes(picture) for picture in pictures]
    return [at for at, before, now in zip(times[1:], lit, lit[1:], strict=False) if now and not before]


def beeps(url: str) -> list[float]:
    """When a beep begins, in seconds on the file's clock."""
    mono = f"ashowinfo,aformat=sample_fmts=flt:sample_rates={RATE}:channel_layouts=mono"
    heard = decoded(url, "f32le", "-map", "0:a:0", "-af", mono)
    start = float(PTS.search(heard.stderr)[1])
    samples = np.frombuffer(heard.stdout, np.float32)
    samples = samples[: len(samples) // STEP * STEP].reshape(-1, STEP)
    loud = np.sqrt((samples**2).mean(axis=1)) > LOUD
    onsets = [step for step in range(len(loud)) if loud[step] and not loud[max(0, step - QUIET_STEPS) : step].any()]
    return [start + step * STEP / RATE for step in onsets]


def decoded(url: str, kind: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """The samples as the process's output, and what its filters show as its errors."""
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-copyts", "-i", url, *options, "-f", kind, "-"]
    return subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)
