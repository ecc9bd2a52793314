"""CPU, memory and latency, with what the host took away while they were measured."""

import bisect
import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.clip import LAP
from harness.lines import Talker

# The graph of a 720p30 session with three layers, in bare GStreamer: decode, scale, encode and the sound, from a file
# at its own pace. The settings are those of pipelines/golden/h264_720p_30fps_3_layers_720p30.txt.
X264 = "x264enc speed-preset=veryfast tune=zerolatency vbv-buf-capacity=1000 key-int-max=120 bframes=0"
PROFILE = "video/x-h264,profile=constrained-baseline"
LAYERS = ((1280, 720, 1900, 2), (640, 360, 671, 1), (320, 180, 237, 1))


@dataclass
class Host:
    """The machine's own figures at one moment."""

    at: float
    total: int
    idle: int
    steal: int

    @classmethod
    def now(cls) -> "Host":
        ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return cls(time.monotonic(), sum(ticks), ticks[3] + ticks[4], ticks[7])

    def idle_cores(self) -> float:
        """Cores that have been idle since then."""
        now = Host.now()
        return os.cpu_count() * (now.idle - self.idle) / max(1, now.total - self.total)


@dataclass
class Usage:
    """What processes used between two looks, and what the host did meanwhile."""

    cpu_per_second: float
    pss_mib: float
    host_busy: float
    steal: float

    def __str__(self) -> str:
        used = f"{self.cpu_per_second:.3f} CPU s/s, {self.pss_mib:.0f} MiB PSS"
        return f"{used} (host {100 * self.host_busy:.0f} % busy, steal {100 * self.steal:.1f} %)"


class Window:
    """Begins when made; `end` gives the usage since then. The processes must be the same at both moments."""

    def __init__(self, pids: list[int]):
        self.pids, self.host = pids, Host.now()
        self.cpu = sum(proc.cpu_seconds(pid) for pid in pids)

    def end(self) -> Usage:
        now = Host.now()
        total = max(1, now.total - self.host.total)
        return Usage(
            cpu_per_second=(sum(proc.cpu_seconds(pid) for pid in self.pids) - self.cpu) / (now.at - self.host.at),
            pss_mib=sum(proc.pss_mib(pid) for pid in self.pids),
            host_busy=1 - (now.idle - self.host.idle) / total,
            steal=(now.steal - self.host.steal) / total,
        )


class Incoming:
    """The bits per second that livekit-server itself counts as incoming, over the last seconds."""

    WINDOW_S = 3

    def __init__(self, livekit):
        self.livekit = livekit
        self.samples: list[tuple[float, float]] = []

    def bps(self) -> float:
        """Infinite until a whole window was seen."""
        now = time.monotonic()
        self.samples.append((now, self.livekit.metric("livekit_packet_bytes", direction="incoming")))
        old = [sample for sample in self.samples if now - sample[0] >= self.WINDOW_S]
        if not old:
            return float("inf")
        (start, before), (end, after) = old[-1], self.samples[-1]
        return 8 * (after - before) / (end - start)


@dataclass
class Latency:
    """Milliseconds from the moment a frame was pushed to the moment it was decoded, and the frames per second."""

    p50: float
    p95: float
    longest: float
    frames_per_second: float

    def __str__(self) -> str:
        times = f"p50 {self.p50:.0f} ms, p95 {self.p95:.0f} ms, longest {self.longest:.0f} ms"
        return f"push to decoded: {times}, {self.frames_per_second:.1f} frames/s"


def latency(pusher: Talker, frames: list[dict], lap: int = LAP) -> Latency:
    """Matches what the pusher sent with what a subscriber decoded, by frame number; `lap` is the clip's."""
    sent: dict[int, list[float]] = {}
    for event in pusher.select("sent"):
        sent.setdefault(event["n"] % lap, []).append(event["at"])
    delays = []
    for frame in frames:
        times = sent.get(frame["n"], [])
        before = bisect.bisect_right(times, frame["at"])
        if before:
            delays.append(1000 * (frame["at"] - times[before - 1]))
    assert len(delays) > len(frames) / 2, "the frame number was read in most pictures"
    delays.sort()
    rate = (len(frames) - 1) / (frames[-1]["at"] - frames[0]["at"])
    return Latency(delays[len(delays) // 2], delays[int(0.95 * len(delays))], delays[-1], rate)


def bare_graph(clip: Path) -> Usage:
    """The cost of the same work for one lap of the clip in one gst-launch-1.0, without any of our code."""
    layers = " ".join(
        f"t. ! queue ! videoconvertscale ! video/x-raw,width={width},height={height} "
        f"! {X264} threads={threads} bitrate={kbps} ! {PROFILE} ! fakesink"
        for width, height, kbps, threads in LAYERS
    )
    picture = "d.video ! queue ! h264parse ! avdec_h264 max-threads=1 ! clocksync ! tee name=t"
    sound = "d.audio ! queue ! aacparse ! avdec_aac ! audioconvert ! audioresample ! opusenc bitrate=96000 ! fakesink"
    pipeline = f"filesrc location={clip} ! flvdemux name=d {picture} {layers} {sound}"
    child = subprocess.Popen(["gst-launch-1.0", "-q", *pipeline.split()], stdin=subprocess.DEVNULL)
    host, pss, seconds = Window([]), 0.0, 0.0
    while child.poll() is None:
        # Read while it runs: afterwards /proc knows nothing of it.
        pss, seconds = max(pss, proc.pss_mib(child.pid)), max(seconds, proc.cpu_seconds(child.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
    assert child.returncode == 0, "gst-launch-1.0 could not run the bare graph"
    usage = host.end()
    return Usage(seconds / (time.monotonic() - host.host.at), pss, usage.host_busy, usage.steal)
