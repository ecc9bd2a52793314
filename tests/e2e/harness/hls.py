"""HLS as ffmpeg writes it: recordings of the test clip, and live."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.clip import Clip
from harness.formats import SECONDS
from harness.process import Process

SEGMENT_S = 2
_KEY = bytes(range(16))


@dataclass(frozen=True)
class Recording:
    """A folder with `index.m3u8`: what it is written with, and whether sound stands alone."""

    name: str
    options: tuple[str, ...] = ()
    alternate: bool = False
    encrypted: bool = False

    def folder(self, media: Path) -> Path:
        """Made once and kept in `media`."""
        source = Clip(640, 360, kbps=900, b_frames=2).file(media)
        recipe = hashlib.sha256(repr((self, SECONDS, source.name)).encode()).hexdigest()[:12]
        folder = media / f"hls-{recipe}"
        if not folder.exists():
            part = media / f"hls-{recipe}.{os.getpid()}.part"
            part.mkdir(parents=True)
            self._write(source, part)
            part.rename(folder)
        return folder

    def _write(self, source: Path, folder: Path) -> None:
        argv = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i", str(source), "-t", str(SECONDS)]
        hls = ["-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_playlist_type", "vod", *self.options]
        if self.encrypted:
            (folder / "key").write_bytes(_KEY)
            # The playlist's address of the key, where ffmpeg reads it, and the first vector.
            (folder / "info").write_text(f"key\n{folder / 'key'}\n{'0' * 31}1\n")
            hls += ["-hls_key_info_file", str(folder / "info")]
        if self.alternate:
            streams = "a:0,agroup:sound,default:yes,language:en v:0,agroup:sound"
            hls += ["-var_stream_map", streams, "-master_pl_name", "index.m3u8"]
            argv += ["-map", "0:a", "-map", "0:v", "-c", "copy", *hls, str(folder / "stream_%v.m3u8")]
        else:
            argv += ["-c", "copy", *hls, str(folder / "index.m3u8")]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, cwd=folder)


RECORDINGS = [
    Recording("ts"),
    Recording("fmp4", ("-hls_segment_type", "fmp4")),
    Recording("aes-128", encrypted=True),
    Recording("byte-ranges", ("-hls_flags", "single_file")),
    Recording("alternate", alternate=True),
    Recording("alternate-fmp4", ("-hls_segment_type", "fmp4"), alternate=True),
]


def live(clip: Path, folder: Path, logs: Path, fmp4: bool = False) -> Process:
    """Writes `index.m3u8` in `folder`, in real time without end: five segments of two seconds, old ones go."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kind = ("-hls_segment_type", "fmp4") if fmp4 else ()
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy"]
    hls = ["-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_list_size", "5", "-hls_flags", "delete_segments", *kind]
    return Process(f"hls-{folder.name}", [*argv, *hls, "index.m3u8"], logs, cwd=folder)
