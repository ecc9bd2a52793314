"""What a program and everything that it started use, whatever the program is."""

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.meters import Host

# Field numbers of /proc/<pid>/stat, as in `harness/proc.py`: the session, and the time of reaped children.
SESSION, CUTIME, CSTIME = 3, 13, 14
# A process that used less than this of a core in a window did nothing in it: a spare that waits for a session.
IDLE = 0.001


def members(root: int) -> list[int]:
    """`root`, its descendants, and whatever else is in the session that it leads."""
    stats = _stats()
    children = defaultdict(list)
    for pid, fields in stats.items():
        children[int(fields[proc.PPID])].append(pid)
    found = {pid for pid, fields in stats.items() if int(fields[SESSION]) == root}
    todo = [root]
    while todo:
        pid = todo.pop()
        found.add(pid)
        todo += children[pid]
    return sorted(found & stats.keys())


def cpu_seconds(root: int) -> float:
    """User and system time so far, with that of members that ended and were waited for."""
    times = (proc.UTIME, proc.STIME, CUTIME, CSTIME)
    stats = _stats()
    return sum(int(stats[pid][at]) for pid in members(root) if pid in stats for at in times) / proc.TICKS


def _stats() -> dict[int, list[str]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = proc.stat(int(entry.name))
            except OSError:
                continue
    return found


@dataclass
class Usage:
    """Of one window: cores, MiB of those that worked and of those that only waited, and what the host did."""

    cpu: float
    pss: float
    pss_idle: float
    busy: float
    steal: float


class Window:
    """Begins when made; `end` gives the usage since then."""

    def __init__(self, root: int):
        self.root, self.host = root, Host.now()
        self.cpu = cpu_seconds(root)
        self.each = {pid: proc.cpu_seconds(pid) for pid in members(root)}

    def end(self) -> Usage:
        now = Host.now()
        seconds, total = now.at - self.host.at, max(1, now.total - self.host.total)
        used = (cpu_seconds(self.root) - self.cpu) / seconds
        pss = {True: 0.0, False: 0.0}
        for pid in members(self.root):
            worked = proc.cpu_seconds(pid) - self.each.get(pid, 0) > IDLE * seconds
            pss[worked] += proc.pss_mib(pid)
        busy = 1 - (now.idle - self.host.idle) / total
        return Usage(used, pss[True], pss[False], busy, (now.steal - self.host.steal) / total)


def is_quiet(root: int, seconds: float = 0.5) -> bool:
    """Whether it used under a twentieth of a core over the next moment."""
    before = cpu_seconds(root)
    time.sleep(seconds)
    return cpu_seconds(root) - before < 0.05 * seconds
