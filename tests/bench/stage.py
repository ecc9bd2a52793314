"""Redis and livekit-server for all cases, and the measured ingress server, started afresh for each of them."""

import itertools
import json
import os
import signal
import time
from pathlib import Path

from harness import ports, proc, wait
from harness.api import Api
from harness.process import Process
from harness.stack import API_KEY, API_SECRET, START_S, Livekit, Redis, Server

from bench import tree

_names = itertools.count(1)
# A server that has just started prepares itself: plugin registries, spare workers.
QUIET_S = 60
# Sessions are told to end; what is left after this is killed.
END_S = 15

# livekit-server's own counters move every 5 s, those of one participant after the other.
COUNTED_S = 15
COUNTING_S = 0.5


class Cannot(Exception):
    """The measured server does not do what the case needs, and why."""


class Ingress(Server):
    """The server under measurement. All that is known of it are LiveKit's configuration keys and `--config FILE`."""

    def __init__(self, binary: Path, home: Path, redis: Redis, livekit: Livekit, rtmp_port: int, **config):
        self.binary, self.logs, self.rtmp_port = binary, home, rtmp_port
        self.config = {
            "api_key": API_KEY,
            "api_secret": API_SECRET,
            "ws_url": livekit.url,
            "redis": {"address": f"127.0.0.1:{redis.port}"},
            "rtmp_port": rtmp_port,
            "whip_port": -1,
            "http_relay_port": ports.tcp(),
            "rtc_config": {"udp_port": ports.udp(), "node_ip": "127.0.0.1", "enable_loopback_candidate": True},
            "logging": {"level": "info"},
        } | config

    def start(self) -> None:
        name = f"ingress-{next(_names)}"
        file = self.logs / f"{name}.yaml"
        file.write_text(json.dumps(self.config))
        own = ("INGRESS_", "LIVEKIT_", "PYTHON")
        env = {key: value for key, value in os.environ.items() if not key.startswith(own)}
        self.process = Process(name, [str(self.binary), "--config", str(file)], self.logs, env=env)
        wait.until(self._listens, START_S, self.process.tail)
        wait.until(lambda: tree.is_quiet(self.pid), QUIET_S, "the server is ready and waits")

    @property
    def pid(self) -> int:
        return self.process.pid

    def _listens(self) -> bool:
        assert self.process.alive(), self.process.tail()
        return ports.accepts(self.rtmp_port)

    def url(self, key: str) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp_port}/x/{key}"

    def stop(self) -> None:
        if not self.process:
            return
        left = tree.members(self.pid)
        self.process.stop(signal.SIGINT)
        for pid in left:
            if proc.running(pid):
                os.kill(pid, signal.SIGKILL)


class Stage:
    """A context: everything that it started is stopped at its end. `logs` holds one file a process."""

    def __init__(self, logs: Path, binary: Path):
        self.logs, self.binary = logs, binary
        self.started: list = []
        self.rtmp_port, self.whip_port = ports.tcp(), ports.tcp()

    def __enter__(self) -> "Stage":
        try:
            self.redis = self.add(Redis(self.logs))
            livekit = Livekit(self.logs, self.redis, self.rtmp_port, None)
            # As in production: a line for each packet would be measured too.
            livekit.config["logging"]["level"] = "info"
            self.livekit = self.add(livekit)
            self.api = self.add(Api(self.livekit.http, API_KEY, API_SECRET))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop_since(0)

    def add(self, part):
        """Starts it, if it has to be, and stops it at the end even when it does not get ready."""
        self.started.append(part)
        if hasattr(part, "start"):
            part.start()
        return part

    def stop_since(self, mark: int) -> None:
        """Stops what was added after `len(started)` was `mark`, the newest first."""
        while len(self.started) > mark:
            self.started.pop().stop()

    def ingress(self, **config) -> Ingress:
        """The measured server, ready and idle, with these keys besides the usual ones."""
        return self.add(Ingress(self.binary, self.logs, self.redis, self.livekit, self.rtmp_port, **config))

    def carried(self) -> tuple[float, float]:
        """Seconds of a clock, and the kilobits that livekit-server has received, at a moment when it counts anew."""
        before = self._kilobits()
        wait.until(lambda: self._kilobits() != before, COUNTED_S, "livekit-server counts")
        time.sleep(COUNTING_S)
        return time.monotonic(), self._kilobits()

    def _kilobits(self) -> float:
        return 8 * self.livekit.metric("livekit_packet_bytes", direction="incoming") / 1000
