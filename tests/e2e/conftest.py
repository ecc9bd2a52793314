"""Fixtures: the servers once a session, subscribers and sources for each test, logs shown when a test fails."""

import contextlib
import itertools
import os
from pathlib import Path

import pytest
from harness import sources, urls, whip
from harness.broadcast import Broadcast
from harness.browser import Viewer, browser, pages
from harness.clip import Clip
from harness.firefox import running as running_firefox
from harness.stack import NEVER_FULL, REPO, Sluicegate, Stack
from harness.subscriber import Subscriber
from harness.whip_options import Options
from harness.whip_page import PagePublisher

_names = itertools.count(1)
# The sessions of one test are over before the next test begins: they would take its CPU.
IDLE_S = 20


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder in which generated clips are kept from run to run."""
    return Path(os.environ.get("SLUICEGATE_MEDIA", REPO / ".cache/media"))


@pytest.fixture(scope="session")
def clip(media) -> Path:
    """720p30 with B-frames, a frame number, and a flash with a beep each second."""
    return Clip().file(media)


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory):
    """Redis, livekit-server and Sluicegate for the tests that need no special ones."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.start().start_sluicegate()
        yield stack


@pytest.fixture
def stack(shared_stack, request):
    """The shared servers, and a look that they still run when the test is over."""
    remember_logs(request, shared_stack)
    shared_stack.sluicegate.wait_idle(IDLE_S)
    yield shared_stack
    dead = [process.name for process in shared_stack.processes() if not process.alive()]
    assert not dead, f"ended during the test: {dead}"


@pytest.fixture
def another(stack):
    """`another(name, **config)`: one more server on the bus, for one test. One that stayed would take others' pulls."""
    made: list[Sluicegate] = []

    def start(name: str, **config) -> Sluicegate:
        made.append(stack.another(name, **config))
        return made[-1]

    yield start
    for server in made:
        server.stop()
        stack.started.remove(server)


@pytest.fixture
def build_stack(tmp_path, request):
    """`build_stack(**config)`: servers of the test's own, and Sluicegate under that config; once a test.

    For tests that restart or stop them, and for URLs that one particular server has to pull: of several on one bus the
    one with more room does, and which that is depends on the machine's last second."""
    with contextlib.ExitStack() as undo:

        def start(**config) -> Stack:
            built = undo.enter_context(Stack(tmp_path / "stack", **config))
            remember_logs(request, built)
            built.start().start_sluicegate()
            return built

        yield start


@pytest.fixture
def own_stack(build_stack):
    """Servers of the test's own."""
    return build_stack()


@pytest.fixture
def roomy_stack(build_stack):
    """The same for more than one session at a time: it never counts as full, whatever the test makes the machine do."""
    return build_stack(cpu_cost=NEVER_FULL)


@pytest.fixture
def room(request) -> str:
    """A room name of the test's own."""
    return f"{request.node.originalname.removeprefix('test_')[:40]}-{next(_names)}"


@pytest.fixture
def started():
    """Collects what a test started; all of it is stopped afterwards, the newest first."""
    things: list = []
    yield things
    for thing in reversed(things):
        thing.stop()


@pytest.fixture
def files(started) -> urls.Files:
    """An HTTP server of files."""
    server = urls.Files()
    started.append(server)
    return server


@pytest.fixture
def push(started, clip, tmp_path, request):
    """`push(url)`: a pusher that plays the clip and logs each frame; `only="audio"` or `"video"`."""

    def start(url: str, **options) -> sources.Pusher:
        pusher = sources.Pusher(url, options.pop("file", clip), tmp_path, **options)
        started.append(pusher)
        return pusher

    return start


@pytest.fixture
def join(started, tmp_path):
    """`join(stack, room)`: a Python subscriber in the room; options as of `Subscriber`."""

    def start(stack: Stack, room: str, name: str | None = None, **options) -> Subscriber:
        name = name or f"viewer-{next(_names)}"
        token = stack.api.viewer_token(room, name)
        subscriber = Subscriber(stack.livekit.url, token, tmp_path, name, **options)
        started.append(subscriber)
        return subscriber

    return start


@pytest.fixture(scope="session")
def chromium():
    with browser() as running, pages() as base:
        yield running, base


@pytest.fixture(scope="session")
def firefox(tmp_path_factory):
    with running_firefox(tmp_path_factory.mktemp("firefox")) as running, pages() as base:
        yield running, base


@pytest.fixture
def view(chromium):
    """`view(stack, room)`: a page with livekit-client in the room."""
    running, base = chromium
    open_pages: list[Viewer] = []

    def start(stack: Stack, room: str) -> Viewer:
        token = stack.api.viewer_token(room, f"page-{next(_names)}")
        viewer = Viewer(running, base, stack.livekit.url, token)
        open_pages.append(viewer)
        return viewer

    yield start
    for viewer in open_pages:
        viewer.close()


@pytest.fixture
def publish(started, media, tmp_path, request):
    """`publish(cast, "chromium", codec="vp8")`: a WHIP publisher of that kind; options as of `Options`, and for
    browsers those of `PagePublisher`, and `browser`: another one than all tests have. `url`: another endpoint than
    the server's, such as a relay's."""

    def start(cast: Broadcast, kind: str, url: str | None = None, page: dict | None = None, **options) -> whip.Client:
        given = {"key": cast.ingress.stream_key} | options
        wishes = Options(url or cast.server.whip_url, **given)
        match kind:
            case "ffmpeg":
                client = whip.Ffmpeg(wishes, tmp_path, media)
            case "aiortc":
                client = whip.Aiortc(wishes, tmp_path)
            case "webrtcbin":
                client = whip.Webrtcbin(wishes, tmp_path)
            case "chromium" | "firefox":
                running, base = request.getfixturevalue(kind)
                asked = dict(page or {})
                client = PagePublisher(asked.pop("browser", running), base, wishes, **asked)
        started.append(client)
        return client

    return start


def remember_logs(request, stack: Stack) -> None:
    marks = {process: process.log_size() for process in stack.processes()}
    request.node.stash[LOGS] = (stack, marks)


LOGS = pytest.StashKey[tuple]()
# Of each log that belongs to a failed test, this much is shown; the whole file is kept.
SHOWN_BYTES = 12_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and LOGS in item.stash:
        stack, marks = item.stash[LOGS]
        for process in stack.processes():
            text = process.log_text(marks.get(process, 0))[-SHOWN_BYTES:]
            report.sections.append((f"{process.name}, all of it in {process.log}", text))
    return report
