"""What every case gets and gives."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bench.clips import Recipe
from bench.stage import Stage

# Figures by name: cores, MiB, milliseconds, frames per second, kbit/s, fractions of the machine.
Figures = dict[str, float]
# What a window has to last for a figure that is worth keeping.
HONEST_S = 15


@dataclass(frozen=True)
class Options:
    """How to measure."""

    seconds: float
    cache: Path
    # The folder of the cargo examples `count` and `dump`.
    examples: Path
    # Another ingress server is measured: what needs parts of ours cannot be done.
    foreign: bool = False
    clip_seconds: int | None = None

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, seconds=self.clip_seconds) if self.clip_seconds else recipe

    def clip(self, recipe: Recipe) -> Path:
        return self.recipe(recipe).file(self.cache)

    def settle(self, seconds: float) -> float:
        """Windows too short to be kept, as a test asks for them, are not prepared for either."""
        return seconds if self.seconds >= HONEST_S else min(seconds, 2)

    def times(self, count: int) -> int:
        """How often something short is repeated."""
        return count if self.seconds >= HONEST_S else 2


class Case(Protocol):
    name: str
    title: str

    def recipes(self) -> list[Recipe]:
        """The clips that have to be there before the case runs."""

    def run(self, stage: Stage, options: Options) -> Figures:
        """Starts the server, measures, and raises `Cannot` when the server does not do the case."""


def spread(delays: list[float]) -> Figures:
    """The middle, the 95th of a hundred and the longest of some milliseconds."""
    ordered = sorted(delays)
    last = len(ordered) - 1
    return {
        "p50": ordered[len(ordered) // 2],
        "p95": ordered[min(last, int(0.95 * len(ordered)))],
        "max": ordered[last],
    }
