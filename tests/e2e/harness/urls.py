"""A small HTTP file server that URL ingresses pull from, with or without ranges, which remembers what it was asked."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness import broadcast, ports, wait
from harness.broadcast import Broadcast
from harness.stack import Sluicegate, Stack

CHUNK = 64 * 1024
TYPES = {
    ".aac": "audio/aac",
    ".avi": "video/x-msvideo",
    ".flac": "audio/flac",
    ".flv": "video/x-flv",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".m4s": "video/iso.segment",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".ts": "video/mp2t",
    ".wav": "audio/wav",
    ".webm": "video/webm",
}


@dataclass(frozen=True)
class Asked:
    """A request: its path, its range header if any, whether it is for a radio's titles too, and when it came."""

    path: str
    range: str | None
    agent: str
    titles: bool
    at: float


@dataclass
class Page:
    """What is served at a path: an iterator's data as it comes. `ranges`: in parts. `length`: says how long it is."""

    data: bytes | Path | Iterator[bytes]
    type: str = "application/octet-stream"
    ranges: bool = True
    length: bool = True
    bytes_per_second: float | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Files:
    """Listens on a port that the OS picks. `serve` adds a page, `folder` a folder; what is not there is 404."""

    def __init__(self):
        self.pages: dict[str, Page | Callable[[Asked], Page]] = {}
        self.folders: dict[str, tuple[Path, bool]] = {}
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

    def folder(self, folder: Path, ranges: bool = True) -> str:
        """Serves what is in a folder when it is asked for, and returns the URL of that folder, with its slash."""
        path = f"/{folder.name}{'' if ranges else '-whole'}/"
        self.folders[path] = folder, ranges
        return self.url(path)

    def file(self, file: Path, ranges: bool = True) -> str:
        """Serves a file with its neighbours."""
        return self.folder(file.parent, ranges) + file.name

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
        of = request.headers
        asked = Asked(path, of["Range"], of.get("User-Agent", ""), of["Icy-MetaData"] == "1", time.time())
        self.asked.append(asked)
        page = self.pages.get(path) or self._in_folder(path) or Page(b"no such file", status=404)
        page = page(asked) if callable(page) else page
        if isinstance(page.data, Iterator):
            self._head(request, page, page.status, {})
            for piece in page.data:
                if self.stopping.is_set():
                    return
                request.wfile.write(piece)
            return
        data = page.data if isinstance(page.data, bytes) else page.data.read_bytes()
        first, last, status = 0, len(data) - 1, page.status
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.range or "")
        if page.ranges and status == 200 and wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or last), last)
            status = 206 if first < len(data) else 416
        part = data[first : last + 1]
        more = {}
        if status == 206:
            more["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        if status == 416:
            more["Content-Range"], part = f"bytes */{len(data)}", b""
        if page.length:
            more["Content-Length"] = str(len(part))
        self._head(request, page, status, more)
        self._write(request, part, page.bytes_per_second)

    def _in_folder(self, path: str) -> Page | None:
        name, slash, rest = path[1:].partition("/")
        folder, ranges = self.folders.get(f"/{name}{slash}", (None, True))
        file = folder and folder / rest
        if not file or ".." in file.parts or not file.is_file():
            return None
        return Page(file, TYPES.get(file.suffix, "application/octet-stream"), ranges)

    def _head(self, request: BaseHTTPRequestHandler, page: Page, status: int, more: dict[str, str]) -> None:
        request.send_response(HTTPStatus(status))
        headers = {"Content-Type": page.type} | page.headers | more
        if page.ranges:
            headers["Accept-Ranges"] = "bytes"
        if "Content-Length" not in headers:
            headers["Connection"] = "close"
            request.close_connection = True
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()

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
    return broadcast.make(stack, room, server, kind="URL", url=url, **fields)


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
