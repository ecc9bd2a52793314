"""Work that takes CPU away from the servers under test."""

import contextlib
import os
import sys
from pathlib import Path

from harness.process import Process

SPIN = "while True: pass"


class Loop:
    """A busy loop on one CPU."""

    def __init__(self, name: str, logs: Path, cpu: int, nice: int = 0):
        self.process = Process(name, ["nice", "-n", str(nice), sys.executable, "-c", SPIN], logs)
        os.sched_setaffinity(self.process.pid, {cpu})

    def stop(self) -> None:
        self.process.stop()


def allow(pid: int, cpus: set[int]) -> None:
    """Keeps a process on these CPUs, with the threads that it has and those that they will start."""
    # Twice: a thread may just have been started by one that had not been reached yet.
    for _ in range(2):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cpus)
