"""Real Redis, real livekit-server and Sluicegate on loopback, on ports that the OS picks."""

import json
import os
import shlex
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from harness import ports, proc, wait
from harness.api import Api
from harness.process import Process
from harness.webhooks import Webhooks

API_KEY = "e2ekey"
API_SECRET = "an-end-to-end-secret-of-over-32-characters"
START_S = 20
# For `cpu_cost`: sessions are taken whatever else the machine does.
NEVER_FULL = {f"{kind}_cpu_cost": 0 for kind in ("rtmp", "whip", "whip_bypass_transcoding", "url")}
# The metric with the number of sessions.
ACTIVE = "livekit_ingress_requests"

REPO = Path(__file__).resolve().parents[3]


def binaries() -> Path:
    """The folder of `sluicegate` and `sluicegate-worker`; SLUICEGATE_BIN_DIR names another."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    return Path(os.environ.get("SLUICEGATE_BIN_DIR", target / "debug"))


def program() -> list[str]:
    """What starts Sluicegate; SLUICEGATE_RUNNER is a command that it is given to, which becomes it."""
    binary = binaries() / "sluicegate"
    assert binary.exists(), f"{binary} is missing: run `make build`"
    return [*shlex.split(os.environ.get("SLUICEGATE_RUNNER", "")), str(binary)]


def livekit_binary() -> str:
    """LIVEKIT_SERVER, else the one on PATH, else the one that tools/setup.sh built."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    built = Path(os.environ.get("SLUICEGATE_CACHE") or Path(cache) / "sluicegate") / "bin/livekit-server"
    named = os.environ.get("LIVEKIT_SERVER") or shutil.which("livekit-server") or str(built)
    assert Path(named).exists(), f"no livekit-server at {named}: run `make setup`, or set LIVEKIT_SERVER"
    return named


class Server:
    """A process that can be stopped and started again on the same ports."""

    process: Process | None = None

    def stop(self) -> None:
        if self.process:
            self.process.stop()


class Redis(Server):
    """A Redis of our own. It keeps what it holds over a restart, as a production one does."""

    def __init__(self, home: Path):
        self.home = home / "redis"
        self.home.mkdir(parents=True)
        self.logs = home
        self.port = ports.tcp()

    def start(self) -> None:
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home)]
        self.process = Process("redis", [*argv, "--save", "", "--appendonly", "yes"], self.logs)
        wait.until(lambda: ports.accepts(self.port), START_S, self.process.tail)


class Livekit(Server):
    """An unmodified livekit-server."""

    def __init__(
        self, home: Path, redis: Redis, rtmp_port: int, webhook_url: str | None, port: int = 0, whip_port: int = 1
    ):
        self.logs = home
        self.port = port or ports.tcp()
        self.metrics_port = ports.tcp()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.http = f"http://127.0.0.1:{self.port}"
        self.config = {
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "prometheus_port": self.metrics_port,
            "rtc": {"udp_port": ports.udp(), "tcp_port": ports.tcp(), "node_ip": "127.0.0.1", "use_external_ip": False},
            "redis": {"address": f"127.0.0.1:{redis.port}"},
            "keys": {API_KEY: API_SECRET},
            "ingress": {
                "rtmp_base_url": f"rtmp://127.0.0.1:{rtmp_port}/x",
                "whip_base_url": f"http://127.0.0.1:{whip_port}/w",
            },
            "logging": {"level": "debug", "json": False},
        }
        if webhook_url:
            self.config["webhook"] = {"api_key": API_KEY, "urls": [webhook_url]}

    def start(self) -> None:
        argv = [livekit_binary(), "--config-body", json.dumps(self.config)]
        self.process = Process("livekit-server", argv, self.logs)
        wait.until(self._answers, START_S, self.process.tail)

    def stop(self) -> None:
        # Asked kindly, it waits for participants that were stopped before it and can leave no more.
        if self.process:
            self.process.kill()

    def _answers(self) -> bool:
        assert self.process.alive(), self.process.tail()
        return ports.accepts(self.port)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of one of its own Prometheus metrics over the series that have these labels."""
        return proc.metric_sum(http_text(f"http://127.0.0.1:{self.metrics_port}/metrics"), name, labels)


class Sluicegate(Server):
    """One running server. Further ones of the same stack get ports of their own."""

    def __init__(
        self,
        name: str,
        home: Path,
        redis: Redis,
        livekit: Livekit,
        rtmp_port: int | None = None,
        whip_port: int | None = None,
        **config,
    ):
        self.logs = home
        self.name = name
        self.rtmp_port = rtmp_port or ports.tcp()
        self.whip_port = whip_port or ports.tcp()
        self.health_port = ports.tcp()
        self.metrics_port = ports.tcp()
        self.config = {
            "api_key": API_KEY,
            "api_secret": API_SECRET,
            "ws_url": livekit.url,
            "redis": {"address": f"127.0.0.1:{redis.port}"},
            "rtmp_port": self.rtmp_port,
            "whip_port": self.whip_port,
            "health_port": self.health_port,
            "prometheus_port": self.metrics_port,
            "rtc_config": {
                "udp_port": ports.udp(),
                "tcp_port": ports.tcp(),
                "node_ip": ports.own_address(),
                "enable_loopback_candidate": True,
            },
            # Where the tests' own servers are.
            "url": {"allow": ["127.0.0.0/8", "::1/128"]},
            "logging": {"level": "debug", "json": False},
        } | config

    def start(self) -> None:
        env = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
        argv = [*program(), "--config-body", json.dumps(self.config)]
        self.process = Process(self.name, argv, self.logs, env=env)
        wait.until(self._ready, START_S, self.process.tail)

    def _ready(self) -> bool:
        assert self.process.alive(), self.process.tail()
        return self._answers("/healthz") and ports.accepts(self.rtmp_port)

    def _answers(self, path: str) -> bool:
        return http_status(f"http://127.0.0.1:{self.health_port}{path}") == 200

    def url(self, key: str) -> str:
        """Where an encoder publishes to with this stream key."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/x/{key}"

    @property
    def whip_url(self) -> str:
        """The WHIP endpoint, without a key."""
        return f"http://127.0.0.1:{self.whip_port}/w"

    def metrics(self) -> str:
        return http_text(f"http://127.0.0.1:{self.metrics_port}/metrics")

    def metric(self, name: str, **labels: str) -> float:
        return proc.metric_sum(self.metrics(), name, labels)

    def frames(self, output: str, origin: str = "encoded") -> float:
        """Frames given to the room so far: of "audio" or a layer, "encoded" or "passed" through untouched."""
        return self.metric("sluicegate_frames_total", output=output, origin=origin)

    def wait_available(self, within: float) -> None:
        """Waits until it would take a session: a machine that the test itself loads may be full for a moment."""
        wait.until(lambda: self._answers("/availability"), within, lambda: f"room for a session in {self.name}")

    def wait_idle(self, within: float) -> None:
        """Waits until no session is left."""
        text = lambda: f"the end of {self.metric(ACTIVE):g} sessions of {self.name}"  # noqa: E731
        wait.until(lambda: self.metric(ACTIVE) == 0, within, text)

    def wait_descriptors(self, at_most: int, within: float) -> None:
        """Waits until no more file descriptors are open: one look may meet a connection for metrics, or to Redis."""
        found = lambda: proc.descriptors(self.process.pid)  # noqa: E731
        text = lambda: f"{at_most} descriptors at most, but {sorted(found().values())}"  # noqa: E731
        wait.until(lambda: len(found()) <= at_most, within, text)

    def workers(self) -> list[int]:
        """The pids of its worker processes, a warm spare included."""
        return proc.children(self.process.pid, "sluicegate-worker")

    def busy_workers(self) -> list[int]:
        """The workers that carry a session: a spare has spent next to no CPU time after its start."""
        return [pid for pid in self.workers() if proc.cpu_seconds(pid) > 0.6]


class Stack:
    """All three and the webhook receiver. `logs` holds one file a process."""

    def __init__(self, home: Path, **sluicegate_config):
        self.logs = home
        home.mkdir(parents=True, exist_ok=True)
        self.started: list = []
        self.rtmp_port, self.whip_port = ports.tcp(), ports.tcp()
        self.config = sluicegate_config

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> "Stack":
        """Everything but Sluicegate."""
        self.webhooks = self._add(Webhooks())
        self.redis = self._add(Redis(self.logs))
        livekit = Livekit(self.logs, self.redis, self.rtmp_port, self.webhooks.url, whip_port=self.whip_port)
        self.livekit = self._add(livekit)
        self.api = self._add(Api(self.livekit.http, API_KEY, API_SECRET))
        return self

    def start_sluicegate(self) -> Sluicegate:
        """The server that the API's ingress URL points at."""
        ports_told = {"rtmp_port": self.rtmp_port, "whip_port": self.whip_port}
        self.sluicegate = self.another("sluicegate", **ports_told, **self.config)
        return self.sluicegate

    def another(self, name: str, **config) -> Sluicegate:
        """One more server on the same bus, under a config of its own."""
        return self._add(Sluicegate(name, self.logs, self.redis, self.livekit, **config))

    def processes(self) -> list[Process]:
        return [part.process for part in self.started if isinstance(part, Server) and part.process]

    def stop(self) -> None:
        for part in reversed(self.started):
            part.stop()

    def _add(self, part):
        # Before it starts: one that never gets ready is stopped all the same.
        self.started.append(part)
        if hasattr(part, "start"):
            part.start()
        return part


def http_status(url: str) -> int:
    """The status of a GET, 0 when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def http_text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()
