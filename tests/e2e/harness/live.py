"""Servers of other people's live streams: GStreamer's for RTSP, ffmpeg's for RTMP."""

import itertools
from pathlib import Path

from harness import ports
from harness.lines import Talker
from harness.process import Process

# A silent server cannot be told from a slow host by less than this.
START_S = 20
CHILD = Path(__file__).with_name("rtsp_child.py")

_numbers = itertools.count(1)


class RtspServer(Talker):
    """Serves a clip at /film, from its beginning for each one that asks."""

    def __init__(self, clip: Path, logs: Path, *flags: str):
        # GStreamer 1.22's server aborts on flvdemux's own segments.
        same = "queue ! identity single-segment=true"
        picture = f"d.video ! {same} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
        sound = f"d.audio ! {same} ! aacparse ! rtpmp4gpay name=pay1 pt=97"
        launch = f"filesrc location={clip} ! flvdemux name=d {picture} {sound}"
        name = f"rtsp-{next(_numbers)}"
        super().__init__(name, Path("/usr/bin/python3"), [str(CHILD), *flags, "/film", launch], logs)
        self.port = self.wait("listening", START_S)["port"]


class RtmpServer:
    """ffmpeg plays a clip to the first one that asks for it, in real time, and closes the connection at its end."""

    def __init__(self, clip: Path, logs: Path, port: int | None = None):
        self.port = port or ports.tcp()
        read = ["ffmpeg", "-hide_banner", "-nostdin", "-re", "-i", str(clip)]
        url = f"rtmp://127.0.0.1:{self.port}/live/film"
        argv = [*read, "-c", "copy", "-f", "flv", "-listen", "1", url]
        self.process = Process(f"rtmp-{next(_numbers)}", argv, logs)

    def stop(self) -> None:
        self.process.stop()
