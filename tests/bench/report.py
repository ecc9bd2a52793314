"""The table: one row a case, the medians of all runs, and what the issue asks for beside them."""

import statistics
from dataclasses import dataclass, field

from bench.case import HONEST_S, Case, Figures
from bench.targets import GO_BARE, GO_CPU, TARGETS, against_go

HEAD = (
    "case",
    "CPU s/s",
    "/ bare",
    "x Go",
    "PSS MiB (+ spare)",
    "frames/s",
    "ms p50 / p95 / max",
    "kbit/s",
    "busy %",
    "steal %",
    "against the issue",
)


@dataclass
class Row:
    """One case: the figures of each run, or why there are none."""

    case: Case
    runs: list[Figures] = field(default_factory=list)
    reason: str = ""

    def median(self) -> Figures:
        names = {name for run in self.runs for name in run}
        return {name: statistics.median(run[name] for run in self.runs if name in run) for name in sorted(names)}


@dataclass
class Report:
    """`bare`: cores of the bare graph, each time it was measured; `about`: machine, binary, lengths."""

    about: dict[str, object]
    bare: list[Figures] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def bare_cpu(self) -> float | None:
        return statistics.median(one["cpu"] for one in self.bare) if self.bare else None

    def complete(self, row: Row) -> Figures:
        """The medians, with the ratios that follow from them."""
        figures = row.median()
        if "cpu" in figures and self.bare_cpu:
            figures["per_bare"] = figures["cpu"] / self.bare_cpu
            against = against_go(row.case.name, figures["cpu"], self.bare_cpu)
            if against is not None:
                figures["x Go"] = against
        return figures

    def table(self) -> list[tuple[str, ...]]:
        rows = [_bare_row(figures, at) for at, figures in enumerate(self.bare)]
        return [HEAD, *rows, *(self._cells(row) for row in self.rows)]

    def _cells(self, row: Row) -> tuple[str, ...]:
        if row.reason:
            return (row.case.title, *["-"] * (len(HEAD) - 2), row.reason)
        figures = self.complete(row)
        targets = TARGETS.get(row.case.name, [])
        verdicts = [target.verdict(figures[target.figure]) for target in targets if target.figure in figures]
        return (row.case.title, *_numbers(figures), "; ".join(verdicts + _extras(figures)))

    def json(self) -> dict:
        return {
            "about": self.about,
            "notes": self.notes(),
            "bare": self.bare,
            "cases": [
                {
                    "name": row.case.name,
                    "title": row.case.title,
                    "reason": row.reason,
                    "median": self.complete(row),
                    "runs": row.runs,
                    "targets": [vars(target) for target in TARGETS.get(row.case.name, [])],
                }
                for row in self.rows
            ],
        }

    def notes(self) -> list[str]:
        shown = ", ".join(f"{key} {value}" for key, value in self.about.items())
        notes = [
            shown + ".",
            "CPU s/s and PSS: the server and all its workers. / bare: against the Go worker's graph in bare GStreamer, "
            "the median of this run. busy and steal: of the whole machine, subscribers and livekit-server included.",
            f"x Go = (CPU / bare) x {GO_BARE} / (the Go worker's CPU in that case, such as {GO_CPU['watched']}): the "
            f"bare graph took about {GO_BARE} cores when the Go worker was measured.",
            "ms: push to decoded picture where CPU is given; else what the row's name says.",
        ]
        if float(str(self.about["window_s"])) < HONEST_S:
            notes.append(f"Windows under {HONEST_S} s: these figures show only that the measurement works.")
        return notes

    def text(self) -> str:
        table = self.table()
        widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join([line.rstrip() for line in lines] + ["", *self.notes()])

    def markdown(self) -> str:
        head, *rows = self.table()
        lines = ["| " + " | ".join(row) + " |" for row in [head, ("---",) * len(HEAD), *rows]]
        return "\n".join([*lines, "", *(f"* {note}" for note in self.notes())]) + "\n"


def _bare_row(figures: Figures, at: int) -> tuple[str, ...]:
    return (f"the Go worker's graph, bare GStreamer ({at + 1})", *_numbers(figures), "")


def _numbers(figures: Figures) -> tuple[str, ...]:
    def number(name: str, form: str, factor: float = 1) -> str:
        return format(figures[name] * factor, form) if name in figures else ""

    spare = f" + {figures['pss_idle']:.0f}" if figures.get("pss_idle") else ""
    delays = [number(name, ".0f") for name in ("p50", "p95", "max")]
    return (
        number("cpu", ".3f"),
        number("per_bare", ".3f"),
        number("x Go", ".3f"),
        number("pss", ".0f") + spare,
        number("fps", ".1f"),
        " / ".join(delays) if delays[0] else "",
        number("kbps", ".0f"),
        number("busy", ".0f", 100),
        number("steal", ".1f", 100),
    )


# Figures that only some cases have, as a person reads them.
EXTRAS = {
    "n": "{:.0f} times",
    "sound": "{:.2f} s of sound a second",
    "concealed": "{:.1f} % of the sound made up",
    "smooth": "{:.0f} sessions within the gap alone",
    "next_p95": "one step more: p95 gap {:.0f} ms,",
    "next_fps": "{:.1f} frames/s",
    "over p50": "{:+.0f} ms p50",
    "over p95": "and {:+.0f} ms p95 against livekit-server alone",
}


def _extras(figures: Figures) -> list[str]:
    shown = [form.format(figures[name]) for name, form in EXTRAS.items() if name in figures]
    for metric, form in (("vmaf", ".1f"), ("ssim", ".4f")):
        for layer in ("high", "medium", "low"):
            ours, theirs = figures.get(f"{metric}_{layer}"), figures.get(f"{metric}_{layer}_x264")
            if ours is not None:
                kbps = f"{figures[f'kbps_{layer}']:.0f} kbit/s (x264 at {figures[f'kbps_{layer}_x264']:.0f})"
                shown.append(f"{layer.upper()} {metric.upper()} {ours:{form}} against {theirs:{form}}, {kbps}")
    return shown
