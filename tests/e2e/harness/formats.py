"""The test clip in every container that a URL ingress plays."""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.clip import Clip

# Long enough for a median of beeps, short enough for a table of them.
SECONDS = 8
FRAMES = 30 * SECONDS

_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-b:v", "900k", "-bf")
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
_AAC = ("-c:a", "aac", "-b:a", "128k")


@dataclass(frozen=True)
class Format:
    """One file: its name, what ffmpeg makes it with, and the media types that the API is to show.

    `links`: so many of it one after the other, as Ogg chains them.
    """

    name: str
    options: tuple[str, ...]
    video: str = ""
    audio: str = ""
    links: int = 1

    def file(self, media: Path) -> Path:
        """Made once and kept in `media`."""
        source = Clip(640, 360, kbps=900).file(media)
        recipe = hashlib.sha256(repr((self.options, self.links, SECONDS, source.name)).encode()).hexdigest()[:12]
        path = media / f"format-{recipe}" / self.name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{os.getpid()}.{self.name}")
            cover = ["-f", "lavfi", "-i", "color=red:s=320x320:r=1:d=1"] if "png" in self.options else []
            argv = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i", str(source), *cover]
            whole = b""
            for link in range(self.links):
                # Each has a number of its own.
                number = ["-serial_offset", str(link)] if path.suffix == ".ogg" else []
                made = [*argv, "-t", str(SECONDS), *self.options, *number, str(part)]
                subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
                whole += part.read_bytes()
            part.write_bytes(whole)
            part.rename(path)
        return path


_COVER = ("-c:v", "png", "-disposition:v", "attached_pic", "-id3v2_version", "3")


def _sound(*options: str) -> tuple[str, ...]:
    return ("-vn", *options)


# MP4 has its index at the end unless it says faststart.
FORMATS = [
    Format("end.mp4", (*_X264, "2", *_AAC), "video/H264", "audio/AAC"),
    Format("front.mp4", (*_X264, "0", *_AAC, "-movflags", "+faststart"), "video/H264", "audio/AAC"),
    Format(
        "fragmented.mp4",
        (*_X264, "2", *_AAC, "-movflags", "+frag_keyframe+delay_moov+default_base_moof"),
        "video/H264",
        "audio/AAC",
    ),
    Format("clip.mov", (*_X264, "2", "-c:a", "pcm_s16le"), "video/H264", "audio/x-wav"),
    Format(
        "clip.mkv",
        (*_X265, "-c:a", "ac3"),
        "video/H265",
        "audio/ac3",
    ),
    Format(
        "clip.webm",
        ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "900k", "-c:a", "libopus"),
        "video/VP9",
        "audio/opus",
    ),
    Format(
        "old.webm",
        ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "900k", "-c:a", "libvorbis"),
        "video/VP8",
        "audio/vorbis",
    ),
    Format("clip.avi", ("-c:v", "mpeg4", "-b:v", "1500k", "-c:a", "libmp3lame"), "video/MP4V-ES", "audio/mpeg"),
    Format("clip.flv", ("-c", "copy"), "video/H264", "audio/AAC"),
    Format("clip.ts", (*_X264, "2", "-c:a", "mp2"), "video/H264", "audio/mp2"),
    Format(
        "hevc.ts",
        (*_X265, *_AAC),
        "video/H265",
        "audio/AAC",
    ),
]

SOUNDS = [
    Format(
        "cover.mp3",
        ("-map", "0:a", "-map", "1:v", "-c:a", "libmp3lame", *_COVER),
        audio="audio/mpeg",
    ),
    Format("vorbis.ogg", _sound("-c:a", "libvorbis"), audio="audio/vorbis"),
    Format("opus.ogg", _sound("-c:a", "libopus", "-b:a", "96k"), audio="audio/opus"),
    Format("clip.m4a", _sound(*_AAC), audio="audio/AAC"),
    Format("clip.aac", _sound(*_AAC), audio="audio/AAC"),
    Format("clip.flac", _sound("-c:a", "flac"), audio="audio/flac"),
    Format("clip.wav", _sound("-c:a", "pcm_s16le"), audio="audio/x-wav"),
    Format("24.wav", _sound("-c:a", "pcm_s24le"), audio="audio/x-wav"),
]

RADIOS = [
    Format("radio.mp3", _sound("-c:a", "libmp3lame", "-id3v2_version", "0", "-write_xing", "0"), audio="audio/mpeg"),
    Format("radio.aac", _sound(*_AAC), audio="audio/AAC"),
    Format("radio.ogg", _sound("-c:a", "libvorbis"), audio="audio/vorbis", links=5),
]
