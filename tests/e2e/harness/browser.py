"""A subscriber of a room: livekit-client in headless Chromium."""

import os
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

from harness import clip, wait

REPO = Path(__file__).resolve().parents[3]
PAGES = REPO / "tests/e2e/pages"
VENDOR = REPO / "web/node_modules/livekit-client/dist"

# Chromium as root has no sandbox of its own, and here it shall talk to nobody but the servers of the test.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    # A camera and a microphone of its own, for pages that publish.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def chromium() -> str:
    """Debian's Chromium, Chrome, or the one that CHROMIUM names: it has to decode H.264."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "no Chromium with H.264: run `make setup`, or set CHROMIUM=/path/to/it"
    return found


@contextmanager
def browser():
    """A headless browser for any number of pages."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield running
        running.close()


@contextmanager
def pages(address: str = "127.0.0.1"):
    """Serves the pages of the tests, with livekit-client under /vendor; yields the base URL."""

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            name = Path(path.split("?")[0]).name
            return str((VENDOR if path.startswith("/vendor/") else PAGES) / name)

        def log_message(self, *_):
            pass

    Handler.extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}
    server = ThreadingHTTPServer((address, 0), partial(Handler, directory=str(PAGES)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Viewer:
    """One page that joined a room and shows its video."""

    def __init__(self, running, base: str, url: str, token: str):
        self.page: Page = running.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(f"{base}/viewer.html?{urlencode({'url': url, 'token': token})}")
        self._until("window.viewer?.joined", 20, "the page joined the room")

    def _until(self, condition: str, within: float, what: str) -> None:
        # Not through page.wait_for_function: its failure would not tell what the page said.
        wait.until(lambda: self.page.evaluate(condition), within, lambda: f"{what}; the page said: {self.said[-8:]}")

    def wait_playing(self, within: float) -> None:
        self._until("window.viewer.playing() && window.viewer.frames().length > 0", within, "the video plays")

    def wait_frames(self, more: int, within: float) -> list[dict]:
        """That many further presented frames."""
        have = self.page.evaluate("window.viewer.frames().length")
        self._until(f"window.viewer.frames().length >= {have + more}", within, f"{more} more frames")
        return self.page.evaluate("window.viewer.frames()")[have:]

    def wait_size(self, width: int, height: int, within: float) -> None:
        size = f"window.viewer.size()[0] == {width} && window.viewer.size()[1] == {height}"
        self._until(size, within, f"{width}x{height} on the page")

    def set_quality(self, name: str) -> None:
        self.page.evaluate(f"window.viewer.setQuality({name.upper()!r})")

    def stats(self) -> dict:
        """decoded: frames; energy: libwebrtc's totalAudioEnergy; level: 0..1."""
        return self.page.evaluate("window.viewer.stats()")

    def counter_steps(self, frames: list[dict]) -> list[int]:
        return clip.steps([frame["n"] for frame in frames])

    def close(self) -> None:
        self.page.close()
