"""A network namespace with two ways to this machine, as a phone has with its wireless LAN and its mobile network."""

import contextlib
import itertools
import os
import subprocess
from pathlib import Path

_numbers = itertools.count(1)


class NotAllowed(Exception):
    """The system lets this user make no network namespace, with what it said."""


class TwoWays:
    """A namespace with two links to this machine, of which the first has an address; `stop` takes it all away.

    Every address of this machine's can be reached over both; the first way is taken while it is there."""

    def __init__(self):
        self.name = f"sg-{os.getpid()}-{next(_numbers)}"
        # This machine's end of each link; 198.18.0.0/15 is for tests of networks (RFC 2544).
        self.links = [f"sg{os.getpid()}{way}" for way in "ab"]
        nets = [f"198.18.{os.getpid() % 250}.{4 * way}" for way in (1, 2)]
        self.ours, self.theirs = ([_plus(net, host) for net in nets] for host in (1, 2))
        made = _ip("netns", "add", self.name)
        if made.returncode:
            raise NotAllowed(made.stderr.strip())
        try:
            self._connect()
        except BaseException:
            self.stop()
            raise

    def _connect(self) -> None:
        self._inside("link", "set", "lo", "up")
        for way, link in enumerate(self.links):
            inner = f"way{way}"
            made = _ip("link", "add", link, "type", "veth", "peer", "name", inner, "netns", self.name)
            if made.returncode:
                raise NotAllowed(made.stderr.strip())
            _must("addr", "add", f"{self.ours[way]}/30", "dev", link)
            _must("link", "set", link, "up")
            self._inside("link", "set", inner, "up")
        self.give(0)

    def _inside(self, *words: str) -> None:
        _must("-n", self.name, *words)

    def command(self, program: str, folder: Path) -> Path:
        """A script that runs the program inside, for those who start programs by their path."""
        script = folder / f"{Path(program).name}-in-{self.name}"
        script.write_text(f'#!/bin/sh\nexec nsenter --net=/run/netns/{self.name} "{program}" "$@"\n')
        script.chmod(0o755)
        return script

    def received(self) -> list[int]:
        """The packets that have come from inside over each way so far."""
        return [int(Path(f"/sys/class/net/{link}/statistics/rx_packets").read_text()) for link in self.links]

    def give(self, way: int) -> None:
        """The address of this way, and a route to everything over it."""
        self._inside("addr", "add", f"{self.theirs[way]}/30", "dev", f"way{way}")
        self._inside("route", "add", "default", "via", self.ours[way], "metric", str(100 + way))

    def take(self, way: int) -> None:
        """The address is gone, and with it the routes over that link."""
        self._inside("addr", "del", f"{self.theirs[way]}/30", "dev", f"way{way}")

    def stop(self) -> None:
        for link in self.links:
            with contextlib.suppress(AssertionError):
                _must("link", "del", link)
        _must("netns", "del", self.name)


def _plus(net: str, host: int) -> str:
    head, last = net.rsplit(".", 1)
    return f"{head}.{int(last) + host}"


def _ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def _must(*words: str) -> None:
    done = _ip(*words)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"
