"""The server has the network and no media library; a worker has media libraries and nothing else."""

import json
import re
import subprocess

import pytest
from harness import broadcast, proc, wait
from harness.stack import binaries

MEDIA_LIBRARIES = re.compile(r"lib(gst|gobject|glib|av|sw(scale|resample)|x264|vpx|opus|srt)", re.I)


def needed(binary) -> str:
    """All libraries that the loader would load, direct or not."""
    return subprocess.run(["ldd", str(binary)], check=True, capture_output=True, text=True).stdout


def test_server_links_no_media_library():
    found = [line.strip() for line in needed(binaries() / "sluicegate").splitlines() if MEDIA_LIBRARIES.search(line)]
    assert found == []
    # The pattern does find them where they are.
    assert MEDIA_LIBRARIES.search(needed(binaries() / "sluicegate-worker"))


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> dict:
    """What a worker that restricted itself found it can do."""
    registry = tmp_path_factory.mktemp("registry") / "registry.bin"
    worker = str(binaries() / "sluicegate-worker")
    paths = ["--registry", str(registry)]
    subprocess.run([worker, "build-registry", *paths], check=True, capture_output=True)
    argv = [worker, "probe", *paths]
    out = subprocess.run(argv, check=True, capture_output=True, text=True, env={"SECRET": "1"}).stdout
    return json.loads(out)


@pytest.mark.parametrize(
    "attempt",
    [
        "socket_inet",
        "socket_inet6",
        "socket_unix",
        "socket_netlink",
        "read_passwd",
        "create_in_tmp",
        "fork_and_exec",
        "signal_parent",
    ],
)
def test_worker_cannot(report, attempt):
    assert report["missing"] == [], "this kernel has all that the sandbox asks for"
    assert report["attempts"][attempt] in ("EPERM", "EACCES")


def test_worker_can_still_work(report):
    assert report["attempts"]["read_libraries"] == "done"
    assert report["attempts"]["start_thread"] == "done"


@pytest.fixture
def worker(stack, room, push) -> int:
    """The pid of a worker in the middle of a session."""
    idle = set(stack.sluicegate.busy_workers())
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    cast.wait_live()
    return wait.until(lambda: set(stack.sluicegate.busy_workers()) - idle, 15, "a worker that works").pop()


def test_live_worker_has_an_empty_environment(worker):
    assert proc.environment(worker) == {}


def test_live_worker_has_no_socket_but_its_pair(worker):
    descriptors = proc.descriptors(worker)
    # GStreamer wakes its own threads over socket pairs: both ends of those are the worker's own.
    assert proc.shared_sockets(worker) == {descriptors[0]}, descriptors
    assert proc.internet_sockets(worker) == []
    files = [target for target in descriptors.values() if target.startswith("/") and target != "/dev/null"]
    assert files == [], descriptors


def test_live_worker_is_filtered(worker):
    status = proc.status(worker)
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
