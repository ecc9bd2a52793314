"""`make demo-check`: runs the demo once, headless, and takes its picture.

Opens the page in Chromium, waits until the test picture plays, saves a screenshot, ends the demo as Ctrl-C does, and
looks that nothing is left of it.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests/e2e"))

from harness import ports, proc, wait  # noqa: E402
from harness.browser import browser  # noqa: E402
from harness.process import Process  # noqa: E402

# A release build from nothing takes most of it.
START_S = 1800
PLAYING_S = 30
END_S = 20
SIZE = {"width": 1360, "height": 820}


def descendants(pid: int) -> list[int]:
    direct = proc.children(pid)
    return direct + [further for child in direct for further in descendants(child)]


def look(url: str, screenshot: Path) -> None:
    """Waits until the page shows moving video with its figures, and takes the picture."""
    with browser() as running:
        page = running.new_page(viewport=SIZE)
        page.goto(url)

        playing = "document.getElementById('video').currentTime > 3"
        wait.until(lambda: page.evaluate(playing), PLAYING_S, "the video plays")
        page.click("#sound")
        shown = "document.getElementById('size').textContent.startsWith('1280') && "
        shown += "parseInt(document.getElementById('fps').textContent) > 20 && "
        shown += "parseInt(document.getElementById('audio-rate').textContent) > 0 && "
        shown += "document.getElementById('state').textContent == 'PUBLISHING'"
        text = "[...document.querySelectorAll('dd, #state')].map((e) => e.textContent).join(', ')"
        wait.until(lambda: page.evaluate(shown), PLAYING_S, lambda: f"the figures; shown: {page.evaluate(text)}")
        screenshot.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=screenshot)
        print(f"demo-check: the page shows {page.evaluate(text)}")


def go_live(url: str) -> None:
    """Publishes the test pattern from the page, and stops again."""
    with browser() as running:
        page = running.new_page(viewport=SIZE)
        page.goto(url)
        page.click("[data-source=pattern]")
        page.click("#live")
        state = "document.getElementById('state').textContent"
        text = "document.getElementById('message').textContent"
        wait.until(lambda: page.evaluate(f"{state} == 'LIVE'"), PLAYING_S, lambda: page.evaluate(text))
        sent = "document.getElementById('sent').innerText"
        wait.until(lambda: "kb/s, " in page.evaluate(sent), PLAYING_S, "what is sent")
        page.click("#live")
        wait.until(lambda: page.evaluate(f"{state} == 'OFF AIR'"), PLAYING_S, "the end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="release")
    parser.add_argument("--screenshot", type=Path, required=True)
    options = parser.parse_args()
    argv = [sys.executable, str(REPO / "tools/demo.py"), "--profile", options.profile]
    with tempfile.TemporaryDirectory() as logs:
        demo = Process("demo", argv, Path(logs))
        try:
            url = demo.wait_for_log(r"Watch it at\s+(\S+)", START_S)[1]
            rtmp = demo.wait_for_log(r"OBS server\s+rtmp://[^:]+:(\d+)/", 5)[1]
            look(url, options.screenshot)
            go_live(demo.wait_for_log(r"Go live at\s+(\S+)", 5)[1])
            started = descendants(demo.pid)
            demo.send(signal.SIGINT)
            code = demo.exit_code(END_S)
        except Exception as error:
            error.add_note(demo.tail())
            raise
        finally:
            demo.stop(signal.SIGINT)
        left = [(pid, proc.program(pid)) for pid in started if proc.running(pid)]
        assert code == 0, f"the demo ended with {code}\n{demo.tail()}"
        assert not left, f"still running after the demo: {left}"
        assert not ports.accepts(int(rtmp)), f"port {rtmp} is still open"
        print(f"demo-check: {len(started)} processes were started and ended; {options.screenshot} is new")


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, subprocess.SubprocessError) as error:
        sys.exit("\n".join([f"demo-check: {error}", *getattr(error, "__notes__", [])]))
