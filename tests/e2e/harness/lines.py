"""A child process that talks in JSON lines: what it said is kept, and can be waited for."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from harness.process import Process

Event = dict


_saying = threading.Lock()


def say(event: str, **fields) -> None:
    """The child's side: one whole line, whichever thread says it."""
    line = json.dumps({"e": event, "t": time.time(), **fields}) + "\n"
    with _saying:
        sys.stdout.write(line)
        sys.stdout.flush()


class Talker:
    """Runs `python -m MODULE ARGS`, or the program at a path; each line of its standard output is an event:
    `{"e": name, "t": epoch, ...}`."""

    def __init__(self, name: str, module: str | Path, args: list[str], logs: Path):
        root = Path(__file__).resolve().parents[1]
        argv = [str(module), *args] if isinstance(module, Path) else [sys.executable, "-m", module, *args]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": root}
        self.process = Process(name, argv, logs, **pipes)
        self.events: list[Event] = []
        self.news = threading.Condition()
        self.over = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for line in self.process.popen.stdout:
            with self.news:
                self.events.append(json.loads(line))
                self.news.notify_all()
        with self.news:
            self.over = True
            self.news.notify_all()

    def tell(self, **command) -> None:
        self.process.popen.stdin.write(json.dumps(command) + "\n")
        self.process.popen.stdin.flush()

    def mark(self) -> int:
        """A position for `since`: events before it are not looked at."""
        with self.news:
            return len(self.events)

    def select(self, name: str, since: int = 0, where: Callable[[Event], bool] = lambda _: True) -> list[Event]:
        with self.news:
            return [event for event in self.events[since:] if event["e"] == name and where(event)]

    def wait(
        self,
        name: str,
        within: float,
        where: Callable[[Event], bool] = lambda _: True,
        since: int = 0,
        count: int = 1,
    ) -> Event:
        """The `count`-th event `name` after `since` for which `where` holds; fails after `within` seconds."""
        deadline = time.monotonic() + within
        at, found = since, 0
        with self.news:
            while True:
                for event in self.events[at:]:
                    found += event["e"] == name and where(event)
                    if found == count:
                        return event
                at = len(self.events)
                left = deadline - time.monotonic()
                if left <= 0 or (self.over and at == len(self.events)):
                    raise AssertionError(self._missing(name, within, found, count))
                self.news.wait(left)

    def _missing(self, name: str, within: float, found: int, count: int) -> str:
        ended = " (the process ended)" if self.over else ""
        recent = "\n".join(json.dumps(event) for event in self.events[-8:])
        head = f"{self.process.name}: {found} of {count} x {name!r} within {within:g} s{ended}; its last events:"
        return f"{head}\n{recent}\n{self.process.tail()}"

    def stop(self) -> None:
        self.process.stop()
        self.thread.join()
        self.process.popen.stdin.close()
        self.process.popen.stdout.close()
