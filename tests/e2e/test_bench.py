"""`make bench` measures: one short case of it, whose figures say only that."""

import json
import os
import subprocess
import sys

from harness.stack import REPO, binaries


def test_bench_prints_a_table_of_real_figures(media, tmp_path):
    out = tmp_path / "bench.json"
    profile = {"debug": "dev"}.get(binaries().name, binaries().name)
    argv = [sys.executable, "-m", "bench", "--profile", profile, "--cases", "audio", "--seconds", "3"]
    argv += [
        "--clip-seconds",
        "4",
        "--media",
        str(media),
        "--json",
        str(out),
        "--markdown",
        str(out.with_suffix(".md")),
    ]
    env = os.environ | {"PYTHONPATH": f"{REPO / 'tests'}:{REPO / 'tests/e2e'}"}
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr

    report = json.loads(out.read_text())
    (case,) = report["cases"]
    figures = case["median"]
    assert case["reason"] == ""
    assert 0 < figures["cpu"] < 2
    assert figures["pss"] > 5
    assert figures["kbps"] > 10
    assert 0.5 < figures["sound"] < 1.5
    assert figures["x Go"] > 0
    assert len(report["bare"]) == 2
    assert all(bare["cpu"] > 0.05 for bare in report["bare"])

    head, *rows = done.stdout.splitlines()
    assert head.split("  ")[0] == "case"
    assert any(row.startswith("audio only") and "x Go" in row for row in rows)
    columns = [line.count("|") for line in out.with_suffix(".md").read_text().splitlines() if line.startswith("|")]
    assert len(columns) == 2 + len(report["bare"]) + 1
    assert len(set(columns)) == 1, "a row has as many cells as the head"
