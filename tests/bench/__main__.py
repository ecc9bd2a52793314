"""`python -m bench`: see `make bench` and docs/performance.md.

Ends with 1 when something could not be measured. A target that is missed is said in the table and is no failure.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

from harness import meters
from harness.stack import REPO

from bench import clips, density, joins, pulls, quality, starved, steady, whip
from bench.case import Case, Figures, Options
from bench.report import Report, Row
from bench.stage import Cannot, Stage

KINDS = (steady, joins, starved, density, quality, whip, pulls)
CASES: list[Case] = [case for kind in KINDS for case in kind.CASES]


def main() -> int:
    # Ended from outside it stops what it started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    asked = arguments()
    options = Options(asked.seconds, asked.media, asked.examples, asked.foreign, asked.clip_seconds)
    cases = chosen(asked.cases)
    for recipe in dict.fromkeys([clips.HD, *(recipe for case in cases for recipe in case.recipes())]):
        progress(f"clip {options.clip(recipe).name}")
    report = Report(about(asked))
    report.rows = [Row(case) for case in cases]
    for _ in range(asked.runs):
        report.bare.append(bare(options))
        with tempfile.TemporaryDirectory(prefix="bench-") as logs, Stage(Path(logs), asked.binary) as stage:
            for row in report.rows:
                run(row, stage, options)
    report.bare.append(bare(options))
    print(report.text())
    if asked.json:
        asked.json.write_text(json.dumps(report.json(), indent=1) + "\n")
    if asked.markdown:
        asked.markdown.write_text(report.markdown())
    broken = [row for row in report.rows if row.reason and not asked.foreign]
    return 1 if broken else 0


def run(row: Row, stage: Stage, options: Options) -> None:
    """One case with servers of its own; what a server cannot do is a reason, not an error."""
    if row.reason:
        return
    mark, begin = len(stage.started), time.monotonic()
    try:
        row.runs.append(row.case.run(stage, options))
    except Cannot as reason:
        row.reason = f"cannot: {reason}"
    except AssertionError as error:
        row.reason = f"not measured: {error}"
        print(row.reason, file=sys.stderr)
    finally:
        stage.stop_since(mark)
    row.reason = " ".join(row.reason.split())[:200]
    shown = row.reason or {name: round(value, 3) for name, value in row.runs[-1].items()}
    progress(f"{row.case.name}: {shown} ({time.monotonic() - begin:.0f} s)")


def bare(options: Options) -> Figures:
    """CPU for each second of the clip: on a machine without CPU to spare the graph takes longer than the clip."""
    begin = time.monotonic()
    usage = meters.bare_graph(options.clip(clips.HD))
    seconds = time.monotonic() - begin
    lap = options.recipe(clips.HD).seconds
    progress(f"bare graph: {usage}, {seconds:.0f} s for a clip of {lap} s")
    cpu = usage.cpu_per_second * seconds / lap
    return {"cpu": cpu, "pss": usage.pss_mib, "busy": usage.host_busy, "steal": usage.steal}


def chosen(names: list[str]) -> list[Case]:
    known = {case.name: case for case in CASES}
    unknown = set(names) - known.keys()
    if unknown:
        sys.exit(f"bench: no case {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return [known[name] for name in names] if names else CASES


def about(asked: argparse.Namespace) -> dict[str, object]:
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "machine": f"{os.cpu_count()} x {model[0].partition(':')[2].strip() if model else platform.machine()}",
        "binary": "another (INGRESS_BIN)" if asked.foreign else f"sluicegate, {asked.profile}",
        "window_s": asked.seconds,
        "runs": asked.runs,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--cases", default="", help="names with commas between them; default: all")
    parser.add_argument("--seconds", type=float, default=20, help="length of each window")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--profile", default="release", help="the cargo profile whose binaries are measured")
    parser.add_argument("--ingress-bin", default="", help="another ingress server, started with --config FILE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--clip-seconds", type=int, help="shorter clips, to try the measurement itself")
    parser.add_argument("--media", type=Path, default=REPO / ".cache/media", help="where clips are kept")
    asked = parser.parse_args()
    asked.cases = [name for name in asked.cases.replace(" ", ",").split(",") if name]
    asked.media = asked.media.resolve()
    asked.foreign = bool(asked.ingress_bin)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    folder = "debug" if asked.profile == "dev" else asked.profile
    asked.examples = target / folder / "examples"
    asked.binary = Path(asked.ingress_bin) if asked.foreign else target / folder / "sluicegate"
    if not asked.binary.exists():
        sys.exit(f"bench: no {asked.binary}")
    return asked


sys.exit(main())
