"""What issue 4 asks for, beside what is measured.

The Go worker was measured once, on another day: its figures compare with today's through the same graph in bare
GStreamer, which is measured in each run. `GO_BARE` is what that graph cost next to the Go worker's figures.
"""

from dataclasses import dataclass

# Cores. The graph cost 1.10 to 1.20 beside the Go worker.
GO_BARE = 1.15
# Cores of the Go worker by case; those that it cannot do are set against what it would do instead.
GO_CPU = {
    "watched": 1.05,
    "medium": 1.05,
    "low": 1.09,
    "nobody": 1.05,
    "one": 0.68,
    "pass-one": 0.68,
    "pass-high": 1.05,
    "audio": 0.07,
    "1080-watched": 1.6,
    # Issue 6, measured on another day than the rest.
    "hls": 0.85,
    "mp3": 0.07,
}
# The seam of the looped clip can be as quiet as silence for one block of 10 ms; a lost packet of sound is 20 ms.
SEAM_MS = 10


@dataclass(frozen=True)
class Target:
    """`figure` is to be at most, or with `least` at least, these; `stretch` may be missing."""

    figure: str
    unit: str
    reach: float
    stretch: float | None = None
    least: bool = False

    def verdict(self, value: float) -> str:
        def holds(limit: float | None) -> bool:
            return limit is not None and (value >= limit if self.least else value <= limit)

        word = "stretch" if holds(self.stretch) else "ok" if holds(self.reach) else "MISS"
        asked = f"{self.reach:g}" if self.stretch is None else f"{self.reach:g}, stretch {self.stretch:g}"
        shown = f"{value:.0f}" if self.unit in ("ms", "MiB") else f"{value:.3g}"
        return f"{self.figure} {shown}{' ' if self.unit else ''}{self.unit}: {word} ({asked})"


def _go(reach: float, stretch: float) -> Target:
    return Target("x Go", "", reach, stretch)


TARGETS: dict[str, list[Target]] = {
    "watched": [
        _go(0.80, 0.60),
        Target("pss", "MiB", 115, 90),
        Target("p50", "ms", 220, 160),
        Target("p95", "ms", 300, 200),
    ],
    "medium": [_go(0.45, 0.33)],
    "low": [_go(0.28, 0.18)],
    "nobody": [_go(0.04, 0.01)],
    "one": [_go(0.85, 0.65)],
    "pass-one": [_go(0.08, 0.05)],
    "pass-high": [_go(0.48, 0.36)],
    "audio": [_go(0.4, 0.25)],
    "1080-watched": [Target("fps", "fps", 25, 30, least=True), Target("p95", "ms", 500)],
    "first": [Target("p95", "ms", 600, 400)],
    "joins": [Target("p95", "ms", 400)],
    "pass-late": [Target("p95", "ms", 500)],
    "starved": [Target("max", "ms", 1000), Target("after", "ms", 400), Target("silence", "ms", SEAM_MS)],
    "density": [Target("sessions", "", 3, 5, least=True)],
    "pass-density": [Target("sessions", "", 30, least=True)],
    # Issue 5. Its milliseconds are from another machine: the viewer alone takes longer on the one at hand.
    "whip-one": [Target("cpu", "cores", 0.025), Target("p50", "ms", 26), Target("p95", "ms", 40)],
    "whip": [
        Target("cpu", "cores", 0.025),
        Target("added", "MiB", 5),
        Target("p50", "ms", 26),
        Target("p95", "ms", 40),
    ],
    "whip-transcoded": [Target("p95", "ms", 250)],
    "quality": [Target("vmaf below x264", "", 1, 0)],
}


def against_go(name: str, cpu: float, bare: float) -> float | None:
    """CPU against the Go worker's, both in units of the bare graph of their run."""
    return (cpu / bare) / (GO_CPU[name] / GO_BARE) if name in GO_CPU else None
