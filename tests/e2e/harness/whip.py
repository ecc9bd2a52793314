"""WHIP publishers that nobody here wrote: ffmpeg, aiortc, GStreamer's webrtcbin; Chromium is in `whip_page.py`.

Made with `Options` they start at once, and all have the methods of `Client`.
"""

import itertools
import signal
from pathlib import Path
from typing import Protocol

import imageio_ffmpeg

from harness.clip import Clip
from harness.lines import Event, Talker
from harness.process import Process
from harness.whip_options import Options

# From the start of the program to the media path: a GStreamer or a Python starts, on a busy machine.
START_S = 20
_numbers = itertools.count(1)
DEBIANS_PYTHON = Path("/usr/bin/python3")


class Client(Protocol):
    """What each of them can."""

    def wait_started(self, within: float = START_S) -> None:
        """Until the media path stands."""

    def refusal(self, within: float = START_S) -> int:
        """The status of the answer to an offer that was refused."""

    def stats(self) -> dict:
        """`packets` and `bytes` sent so far, sound and picture together."""

    def stop(self) -> None:
        """Ends as its user would end it: DELETE, and the connection closed. Twice is safe."""

    def kill(self) -> None:
        """Gone from one moment to the next."""


class _Child(Talker):
    """A client that is a script of the harness, in a process of its own."""

    def wait_started(self, within: float = START_S) -> None:
        assert self.answer(within)["status"] == 201, self.answer(within)
        last = self.wait("state", within, lambda e: e["state"] in ("connected", "failed", "closed"))
        assert last["state"] == "connected", f"no media path: {self.events[-4:]}"

    def answer(self, within: float = START_S) -> Event:
        """Status, headers and, of a refusal, the body."""
        return self.wait("answer", within)

    def refusal(self, within: float = START_S) -> int:
        status = self.answer(within)["status"]
        assert status != 201, "the offer was not refused"
        return status

    def stats(self) -> dict:
        since = self.mark()
        self.tell(do="stats")
        return self.wait("stats", 5, since=since)

    def stop(self) -> None:
        if self.process.alive() and self.select("answer", where=lambda e: e["status"] == 201):
            self.tell(do="stop")
            self.wait("stopped", 10)
        super().stop()

    def kill(self) -> None:
        self.process.kill()


class Aiortc(_Child):
    """VP8 or H.264, no simulcast."""

    def __init__(self, options: Options, logs: Path):
        super().__init__(f"aiortc-{next(_numbers)}", "harness.whip_aiortc_child", options.arguments(), logs)


class Webrtcbin(_Child):
    """GStreamer of Debian: VP8, VP9 or H.264."""

    def __init__(self, options: Options, logs: Path):
        arguments = ["-m", "harness.whip_gst_child", *options.arguments()]
        super().__init__(f"webrtcbin-{next(_numbers)}", DEBIANS_PYTHON, arguments, logs)


class Ffmpeg:
    """PyPI's ffmpeg 9 with a clip whose pictures it does not encode again: keyframes come once a second, unasked."""

    def __init__(self, options: Options, logs: Path, media: Path):
        width, height = options.size
        clip = Clip(width, height, kbps=800 * width * height // (640 * 360), b_frames=0, group=1, profile="baseline")
        read = ["-hide_banner", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(clip.file(media))]
        kinds = {None: [], "audio": ["-vn"], "video": ["-an"]}[options.only]
        encode = ["-c:v", "copy", "-c:a", "libopus", "-b:a", "64k", "-ac", "2", "-ar", "48000"]
        write = ["-authorization", options.key, "-f", "whip", options.url]
        if options.in_path:
            write = ["-f", "whip", f"{options.url}/{options.key}"]
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "verbose", *read, *kinds, *encode, *write]
        self.process = Process(f"ffmpeg-whip-{next(_numbers)}", argv, logs)

    def wait_started(self, within: float = START_S) -> None:
        self.process.wait_for_log(r"SRTP setup done", within)

    def refusal(self, within: float = START_S) -> int:
        return int(self.process.wait_for_log(r"HTTP error (\d+)", within)[1])

    def stats(self) -> dict:
        """It tells nothing."""
        return {}

    def stop(self) -> None:
        self.process.stop(signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()
