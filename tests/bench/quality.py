"""Quality per bit: each layer as encoded against the source, and x264 veryfast at the same bitrate beside it.

The worker's own `dump` example writes the encoded layers down. Frames are matched by the number in the picture, the
source is scaled to the layer's size by ffmpeg's bicubic filter, and VMAF and SSIM are means over all frames.
"""

import importlib
import itertools
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import meters
from harness.clip import read_counter

from bench import clips
from bench.case import Figures, Options
from bench.clips import FPS, Recipe
from bench.stage import Cannot, Stage

# Bitrates that differ by less are the same; one that does not gets so close in this many attempts or not at all.
SAME_RATE = 0.01
AIMS = 3
# Width, height, and the Go worker's encoder threads of each layer.
SIZES = {"high": (1280, 720, 2), "medium": (640, 360, 1), "low": (320, 180, 1)}
DECODE = "flvdemux name=d d.video ! queue ! h264parse ! avdec_h264 max-threads=1"
# The worker gets the clip in real time; so many times its length is long enough for any machine.
PATIENCE = 3


@dataclass(frozen=True)
class Quality:
    """One row: VMAF of each layer, and how much the worst one lies below x264."""

    name: str = "quality"
    title: str = "quality per bit, 720p30, 3 layers"
    recipe: Recipe = clips.HD

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        if options.foreign:
            raise Cannot("the encoded layers come from an example of sluicegate-worker")
        clip, seconds = options.clip(self.recipe), options.recipe(self.recipe).seconds
        figures: Figures = {}
        with tempfile.TemporaryDirectory(prefix="bench-quality-") as folder:
            dump = [str(options.examples / "dump"), str(clip), folder]
            subprocess.run(dump, check=True, stdin=subprocess.DEVNULL, timeout=60 + PATIENCE * seconds)
            for layer, (width, height, threads) in SIZES.items():
                ours = Path(folder) / f"{layer}.h264"
                kbps, out = round(rate(ours, seconds)), Path(folder) / f"x264-{layer}.h264"
                theirs = x264(clip, out, width, height, threads, kbps, seconds)
                figures |= {f"kbps_{layer}": kbps, f"kbps_{layer}_x264": rate(theirs, seconds)}
                for name, stream in ((layer, ours), (f"{layer}_x264", theirs)):
                    for metric, value in against_source(stream, clip, width, height).items():
                        figures[f"{metric}_{name}"] = value
        metric = "vmaf" if "vmaf_high" in figures else "ssim"
        below = [figures[f"{metric}_{layer}_x264"] - figures[f"{metric}_{layer}"] for layer in SIZES]
        return figures | {f"{metric} below x264": max(below)}


def x264(clip: Path, out: Path, width: int, height: int, threads: int, kbps: int, seconds: float) -> Path:
    """The layer as the Go worker encodes it, at this bitrate: its rate control is aimed until it meets it."""
    aim = kbps
    for _ in range(AIMS):
        scale = f"videoconvertscale ! video/x-raw,width={width},height={height}"
        encode = f"{meters.X264} threads={threads} bitrate={aim} ! {meters.PROFILE},stream-format=byte-stream"
        graph = f"filesrc location={clip} ! {DECODE} ! {scale} ! {encode} ! filesink location={out}"
        subprocess.run(["gst-launch-1.0", "-q", *graph.split()], check=True, stdin=subprocess.DEVNULL)
        made = rate(out, seconds)
        if abs(made - kbps) <= SAME_RATE * kbps:
            break
        aim = round(aim * kbps / made)
    return out


def rate(stream: Path, seconds: float) -> float:
    """Kilobits a second."""
    return 8 * stream.stat().st_size / seconds / 1000


def against_source(stream: Path, clip: Path, width: int, height: int) -> Figures:
    """VMAF (where this machine has libvmaf) and SSIM of a raw H.264 stream."""
    chosen = "+".join(f"between(n,{first},{last})" for first, last in runs(numbers(stream, width, height)))
    # The source names no colours and the layers do: taken at their word, ffmpeg would convert one of them.
    even = f"settb=1/{FPS},setpts=N,setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    reference = f"[1:v]select='{chosen}',{even},scale={width}:{height}:flags=bicubic,format=yuv420p[ref]"
    graph = f"[0:v]{even},format=yuv420p[got];{reference};[got][ref]"
    program, has_vmaf = ffmpeg()
    read = [program, "-hide_banner", "-nostdin", "-i", str(stream), "-i", str(clip)]
    with tempfile.NamedTemporaryFile(suffix=".json") as log:
        measure = f"libvmaf=n_threads=2:feature=name=float_ssim:log_fmt=json:log_path={log.name}"
        last = measure if has_vmaf else "ssim"
        done = subprocess.run([*read, "-lavfi", graph + last, "-f", "null", "-"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-600:]
        if has_vmaf:
            pooled = json.load(log)["pooled_metrics"]
            return {"vmaf": pooled["vmaf"]["mean"], "ssim": pooled["float_ssim"]["mean"]}
    return {"ssim": float(done.stderr.rpartition("All:")[2].split()[0])}


def ffmpeg() -> tuple[str, bool]:
    """The ffmpeg to measure with, and whether it knows VMAF. Debian's does not, the one of imageio-ffmpeg does."""
    try:
        program = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except ImportError:
        program = "ffmpeg"
    filters = subprocess.run([program, "-hide_banner", "-filters"], check=True, capture_output=True, text=True).stdout
    return program, " libvmaf " in filters


def numbers(stream: Path, width: int, height: int) -> list[int]:
    """The frame number in each picture of a stream."""
    read = ["ffmpeg", "-loglevel", "error", "-nostdin", "-i", str(stream), "-vsync", "passthrough"]
    decode = subprocess.Popen([*read, "-f", "rawvideo", "-pix_fmt", "gray", "-"], stdout=subprocess.PIPE)
    found: list[int | None] = []
    while len(data := decode.stdout.read(width * height)) == width * height:
        found.append(read_counter(np.frombuffer(data, dtype=np.uint8).reshape(height, width)))
    decode.stdout.close()
    assert decode.wait() == 0, f"ffmpeg could not decode {stream.name}"
    return complete(found)


def complete(found: list[int | None]) -> list[int]:
    """With those that could not be read, each between two that leave no other choice."""
    known: list[int] = []
    for at, number in enumerate(found):
        if number is None:
            later = next((i for i in range(at, len(found)) if found[i] is not None), None)
            before = known[-1] if known else -1
            assert later is None or found[later] - before == later - at + 1, f"unreadable number in frame {at}"
            number = before + 1
        known.append(number)
    assert known and all(a < b for a, b in itertools.pairwise(known)), "frames in the order of the source"
    return known


def runs(ordered: list[int]) -> list[tuple[int, int]]:
    """The same numbers as ranges without gaps."""
    found: list[tuple[int, int]] = []
    for number in ordered:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


CASES = [Quality()]
