"""A small HTTP file server that URL ingresses pull from, with or without ranges, which remembers what it was asked."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness import broadcast, ports, wait
from harness.broadcast import Broadcast
from harness.stack import Sluicegate, Stack

CHUNK = 64 * 1024


@dataclass(frozen=True)
class Asked:
    """A request: its path, its range header if any, and when it came."""

    path: str
    range: str | None
    agent: str
    at: float


@dataclass
class Page:
    """What is served at a path. `ranges`: parts are given. `length`: it says how long it is."""

    data: bytes | Path
    type: str = "application/octet-stream"
    ranges: bool = True
    length: bool = True
    bytes_per_second: float | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Files:
    """Listens on a port that the OS picks. `serve` adds a page; what is not there is 404."""

    def __init__(self):
        self.pages: dict[str, Page | Callable[[Asked], Page]] = {}
        self.asked: list[Asked] = []
        self.stopping = threading.Event()
        files = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                files._answer(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # A client that goes away in the middle is what happens when an ingress is deleted.
            handle_error = lambda *_: None  # noqa: E731

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def serve(self, path: str, page: Page | bytes | Path | Callable[[Asked], Page]) -> str:
        """Serves it and returns its URL."""
        self.pages[path] = Page(page) if isinstance(page, bytes | Path) else page
        return self.url(path)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server.server_port}{path}"

    def requests(self, path: str) -> list[Asked]:
        return [asked for asked in list(self.asked) if asked.path == path]

    def stop(self) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        asked = Asked(path, request.headers["Range"], request.headers.get("User-Agent", ""), time.time())
        self.asked.append(asked)
        page = self.pages.get(path, Page(b"no such file", status=404))
        page = page(asked) if callable(page) else page
        data = page.data if isinstance(page.data, bytes) else page.data.read_bytes()
        first, last, status = 0, len(data) - 1, page.status
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.range or "")
        if page.ranges and status == 200 and wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or last), last)
            status = 206 if first < len(data) else 416
        part = data[first : last + 1]
        request.send_response(HTTPStatus(status))
        request.send_header("Content-Type", page.type)
        for name, value in page.headers.items():
            request.send_header(name, value)
        if page.ranges:
            request.send_header("Accept-Ranges", "bytes")
        if status == 206:
            request.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        if status == 416:
            request.send_header("Content-Range", f"bytes */{len(data)}")
            part = b""
        if page.length:
            request.send_header("Content-Length", str(len(part)))
        else:
            request.send_header("Connection", "close")
            request.close_connection = True
        request.end_headers()
        self._write(request, part, page.bytes_per_second)

    def _write(self, request: BaseHTTPRequestHandler, data: bytes, bytes_per_second: float | None) -> None:
        began = time.monotonic()
        for at in range(0, len(data), CHUNK):
            if bytes_per_second and self.stopping.wait(max(0.0, at / bytes_per_second - (time.monotonic() - began))):
                return
            request.wfile.write(data[at : at + CHUNK])


def free_port() -> int:
    """A port at which nobody listens."""
    return ports.tcp()


def pull(stack: Stack, room: str, url: str, server: Sluicegate | None = None, **fields) -> Broadcast:
    """Creates a URL ingress, which begins at once, when the stack's server has room; `fields` as of `Api.create`."""
    (server or stack.sluicegate).wait_available(broadcast.ROOM_S)
    return Broadcast(stack, server or stack.sluicegate, room, stack.api.create(room, kind="URL", url=url, **fields))


def wait_failed(cast: Broadcast, within: float) -> str:
    """Waits for the end of a pull that cannot be played, and returns what its user is told."""
    return cast.stack.api.wait_status(cast.id, "ERROR", within).error


def wait_complete(cast: Broadcast, within: float):
    """Waits for the end of a file, and for room for the next session."""
    state = cast.stack.api.wait_status(cast.id, "COMPLETE", within)
    cast.server.wait_available(broadcast.ROOM_S)
    return state


def wait_asked(files: Files, path: str, within: float, count: int = 1) -> list[Asked]:
    """Waits until this path was asked for so often."""
    return wait.until(
        lambda: (asked := files.requests(path))[count - 1 :] and asked,
        within,
        lambda: f"{count} requests for {path}; came: {files.asked}",
    )
