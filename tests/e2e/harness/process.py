"""One child process with its log in a file, stopped by its own pid."""

import re
import signal
import subprocess
from pathlib import Path

from harness import wait

# After this a process that was asked to end is killed: every program here needs well under a second.
STOP_S = 10


class Process:
    """A program that was started here. Its output goes to `log`; `stop` is safe to call twice."""

    def __init__(self, name: str, argv: list[str], logs: Path, env: dict[str, str] | None = None, **popen):
        self.name = name
        self.log = logs / f"{name}.log"
        out = self.log.open("ab")
        popen = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out} | popen
        # A session of its own: Ctrl-C in the terminal reaches only the test run, which then stops things in order.
        self.popen = subprocess.Popen(argv, env=env, start_new_session=True, **popen)
        out.close()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def alive(self) -> bool:
        return self.popen.poll() is None

    def exit_code(self, within: float) -> int:
        """Waits for the end; a negative value is the signal that ended it."""
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) still runs after {within:g} s\n{self.tail()}") from None

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if not self.alive():
            return
        self.popen.send_signal(number)
        try:
            self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def log_size(self) -> int:
        """A mark for `log_text(since)`."""
        return self.log.stat().st_size

    def log_text(self, since: int = 0) -> str:
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def wait_for_log(self, pattern: str, within: float, since: int = 0) -> re.Match[str]:
        """The first match of `pattern` in the log after the mark `since`."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log_text(since))
            if not found and not self.alive():
                raise AssertionError(f"{self.name} ended with {self.popen.returncode}\n{self.tail()}")
            return found

        return wait.until(look, within, lambda: f"{self.name}: a log line with {pattern!r}\n{self.tail()}")

    def tail(self, lines: int = 40) -> str:
        return "\n".join([f"--- {self.log.name}, the end:", *self.log_text().splitlines()[-lines:]])
