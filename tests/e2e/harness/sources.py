"""What publishes in the tests: ffmpeg, gst-launch-1.0, and a pusher that logs each frame."""

import itertools
import os
import signal
import subprocess
from pathlib import Path

import imageio_ffmpeg

from harness.lines import Talker
from harness.process import Process

_numbers = itertools.count(1)

# A silent worker cannot be told from a slow host by less than this.
CONNECT_S = 20


class Pusher(Talker):
    """Plays a clip over RTMP from a process of its own, see `pusher_child.py`."""

    def __init__(self, url: str, clip: Path, logs: Path, only: str | None = None):
        flags = ["--only", only] if only else []
        super().__init__(f"pusher-{next(_numbers)}", "harness.pusher_child", [url, str(clip), *flags], logs)

    def wait_started(self) -> None:
        self.wait("started", CONNECT_S)

    def refusal(self) -> dict:
        """The onStatus of level error, and then the end of the connection."""
        status = self.wait("status", CONNECT_S, lambda e: e["level"] == "error")
        self.wait("closed", 10)
        return status

    def end(self) -> None:
        """As OBS's stop button does."""
        self.tell(do="end")
        self.wait("closed", 10)

    def reset(self) -> None:
        self.tell(do="reset")

    def play(self, clip: Path) -> None:
        """Goes on with another clip, on the same connection."""
        mark = self.mark()
        self.tell(do="play", file=str(clip))
        self.wait("playing", 10, since=mark)


def ffmpeg(url: str, clip: Path, logs: Path) -> Process:
    """Pushes the clip in a loop, in real time, without encoding it again (so with its B-frames)."""
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(clip)]
    return Process(f"ffmpeg-{next(_numbers)}", [*argv, "-c", "copy", "-f", "flv", url], logs)


def ffmpeg_with_opus(url: str, clip: Path, logs: Path, kbps: int = 96) -> Process:
    """The same with the sound as Opus in enhanced RTMP, which the system's ffmpeg cannot write: by PyPI's ffmpeg 9."""
    read = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(clip)]
    sound = ["-c:a", "libopus", "-b:a", f"{kbps}k", "-ac", "2", "-ar", "48000"]
    return Process(f"ffmpeg9-{next(_numbers)}", [*read, "-c:v", "copy", *sound, "-f", "flv", url], logs)


def gstreamer(
    url: str,
    logs: Path,
    sink: str = "rtmp2sink",
    video: bool = True,
    audio: bool = True,
    aac: str = "avenc_aac",
) -> Process:
    """A live test picture and ticking sound, encoded by gst-launch-1.0; ends cleanly on SIGINT."""
    picture = (
        "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 "
        "! timeoverlay font-desc=Sans,36 ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=3000 key-int-max=60 "
        "! video/x-h264,profile=main ! h264parse ! queue ! mux. "
    )
    sound = (
        "audiotestsrc is-live=true wave=ticks volume=0.6 ! audio/x-raw,rate=48000,channels=2 "
        f"! audioconvert ! {aac} bitrate=128000 ! aacparse ! queue ! mux. "
    )
    pipeline = picture * video + sound * audio + f"flvmux name=mux streamable=true ! {sink} location={url}"
    env = os.environ | {"GST_DEBUG": "2"}
    return Process(f"gstreamer-{next(_numbers)}", ["gst-launch-1.0", "-e", *pipeline.split()], logs, env=env)


def test_picture(url: str, logs: Path) -> Process:
    """The demo's source: moving colour bars with the time, and a beep each second."""
    picture = (
        "videotestsrc is-live=true pattern=smpte75 horizontal-speed=3 "
        "! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 "
        "! timeoverlay halignment=center valignment=center font-desc=Sans,40 "
        "! x264enc tune=zerolatency speed-preset=veryfast bitrate=3000 key-int-max=60 "
        "! video/x-h264,profile=high ! h264parse ! queue ! mux. "
    )
    sound = (
        "audiotestsrc is-live=true wave=ticks freq=440 sine-periods-per-tick=100 volume=0.3 "
        "! audio/x-raw,rate=48000,channels=2 ! audioconvert ! avenc_aac bitrate=128000 ! aacparse ! queue ! mux. "
    )
    pipeline = f"{picture}{sound}flvmux name=mux streamable=true ! rtmp2sink location={url}"
    return Process("source", ["gst-launch-1.0", "-e", *pipeline.split()], logs)


def file(url: str, path: str, logs: Path) -> Process:
    """Pushes a media file in a loop, in real time; what RTMP cannot carry as it is, is encoded."""
    argv = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", path]
    codecs = set(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split())
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-g", "60", "-c:a", "aac"]
    how = ["-c", "copy"] if codecs <= {"h264", "aac"} else encode
    read = ["ffmpeg", "-hide_banner", "-nostdin", "-re", "-stream_loop", "-1", "-i", path]
    return Process("source", [*read, "-map", "0:v?", "-map", "0:a?", *how, "-f", "flv", url], logs)


def end_of_stream(source: Process) -> None:
    """Ends ffmpeg or gst-launch as Ctrl-C does: the stream is finished properly."""
    source.stop(signal.SIGINT)
