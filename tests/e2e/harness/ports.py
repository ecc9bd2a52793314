"""Free ports at random, outside the range that the OS gives to connections: those can be taken before they are used."""

import random
import socket

RANGE = range(20000, 30000)
# Each is given out once: the first that gets one may not have bound it yet.
_given: set[int] = set()


def tcp() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    return _free(socket.SOCK_STREAM)


def udp() -> int:
    """A UDP port that was free a moment ago."""
    return _free(socket.SOCK_DGRAM)


def preferred(port: int) -> int:
    """This TCP port if it is free, else another free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return tcp()
    return port


def accepts(port: int) -> bool:
    """Whether something listens on this TCP port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def own_address() -> str:
    """The IPv4 address of the interface with the default route, else the loopback one: libnice never uses that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # An address of RFC 5737; nothing is sent.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


def _free(kind: socket.SocketKind) -> int:
    while True:
        port = random.choice(RANGE)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
