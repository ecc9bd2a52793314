"""What /proc and a metrics page say about running processes."""

import os
import re
import subprocess
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# Field numbers of /proc/<pid>/stat, counted from the state that follows the name.
STATE, PPID, UTIME, STIME = 0, 1, 11, 12


def stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def running(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return stat(pid)[STATE] != "Z"
    except OSError:
        return False


def children(parent: int, name: str | None = None) -> list[int]:
    """The living children of a process, those of one program when `name` is given."""
    found = [pid for pid in _all_children(parent) if running(pid)]
    return sorted(pid for pid in found if name is None or program(pid) == name)


def zombies(parent: int) -> list[int]:
    """Children that ended and that nobody waited for."""
    return [pid for pid in _all_children(parent) if not running(pid)]


def _all_children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int(stat(int(entry.name))[PPID]) == parent:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def program(pid: int) -> str:
    try:
        return Path(os.readlink(f"/proc/{pid}/exe")).name
    except OSError:
        return ""


def cpu_seconds(pid: int) -> float:
    """User and system time of one process so far; 0 when it is gone."""
    try:
        fields = stat(pid)
    except OSError:
        return 0.0
    return (int(fields[UTIME]) + int(fields[STIME])) / TICKS


def descriptors(pid: int) -> dict[int, str]:
    """What each open file descriptor points at."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:
            continue
    return found


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def pss_mib(pid: int) -> float:
    """Proportional set size: shared pages are counted by share, so that sums over processes are true."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def metric_sum(page: str, name: str, labels: dict[str, str]) -> float:
    """The sum over all series of a metric (Prometheus text form) that have these labels."""
    total = 0.0
    for line in page.splitlines():
        found = re.match(rf"{re.escape(name)}(?:_total)?(?:\{{(.*)\}})? (\S+)", line)
        if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
            total += float(found[2])
    return total


def environment(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def status(pid: int) -> dict[str, str]:
    """The lines of /proc/<pid>/status by their name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def sockets(pid: int) -> dict[int, str]:
    """The inode of each socket by its descriptor."""
    found = descriptors(pid).items()
    return {fd: target[len("socket:[") : -1] for fd, target in found if target.startswith("socket:[")}


def internet_sockets(pid: int) -> list[str]:
    """The inodes of its sockets that are not UNIX ones."""
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6", "raw", "packet", "netlink")]
    known = {word for table in tables if table.exists() for word in table.read_text().split()}
    return [inode for inode in sockets(pid).values() if inode in known]


def shared_sockets(pid: int) -> set[str]:
    """Its UNIX sockets whose other end another process holds, as `descriptors` shows them."""
    table = subprocess.run(["ss", "-Hxa"], check=True, capture_output=True, text=True).stdout
    # "u_str ESTAB 0 0 * INODE * PEER"
    peers = {words[5]: words[7] for words in map(str.split, table.splitlines()) if len(words) > 7}
    own = set(sockets(pid).values())
    return {f"socket:[{inode}]" for inode in own if inode in peers and peers[inode] not in own}
