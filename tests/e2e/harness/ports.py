"""Ports that the OS picks, so that runs beside each other never meet."""

import socket


def tcp() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    return _free(socket.SOCK_STREAM)


def udp() -> int:
    """A UDP port that was free a moment ago."""
    return _free(socket.SOCK_DGRAM)


def preferred(port: int) -> int:
    """This TCP port if it is free, else one that the OS picks."""
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


def _free(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
