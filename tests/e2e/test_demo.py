"""`make demo` as a user meets it: the page plays, and Ctrl-C leaves nothing behind."""

import os
import subprocess
import sys

from harness.stack import REPO, binaries

DEMO_S = 120


def test_demo_plays_on_its_page_and_leaves_nothing_behind(tmp_path):
    picture = tmp_path / "demo.png"
    argv = [sys.executable, str(REPO / "tools/demo_check.py"), "--profile", "none", "--screenshot", str(picture)]
    env = os.environ | {"SLUICEGATE_BIN_DIR": str(binaries())}
    done = subprocess.run(argv, env=env, timeout=DEMO_S, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size > 10_000
    print(done.stdout)
