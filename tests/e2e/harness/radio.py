"""A radio station as Icecast sends it: sound without end, with titles in between."""

import time
from collections.abc import Iterator
from pathlib import Path

from harness.urls import TYPES, Asked, Page

# Bytes of sound from one title to the next.
INTERVAL = 8000
# What a listener gets at once, before real time.
BURST_S = 2


class Station:
    """For `Files.serve`: a sound file of so many seconds again and again, for each listener from its beginning.

    `cut` ends what is being sent; `stop` that too, and there is nothing at its address from then on.
    """

    def __init__(self, file: Path, seconds: float):
        self.data, self.rate, self.kind = file.read_bytes(), file.stat().st_size / seconds, TYPES[file.suffix]
        self.title = "First"
        self.over = False
        self.cuts = 0

    def __call__(self, asked: Asked) -> Page:
        if self.over:
            return Page(b"no such station", status=404)
        headers = {"icy-name": "Station"} | ({"icy-metaint": str(INTERVAL)} if asked.titles else {})
        return Page(self._play(asked.titles), self.kind, ranges=False, length=False, headers=headers)

    def cut(self) -> None:
        self.cuts += 1

    def stop(self) -> None:
        self.over = True

    def _play(self, titles: bool) -> Iterator[bytes]:
        begin, sent, told, cuts = time.monotonic(), 0, "", self.cuts
        while not self.over and cuts == self.cuts:
            ahead = sent / self.rate - (time.monotonic() - begin) - BURST_S
            if ahead > 0:
                time.sleep(min(ahead, 0.1))
                continue
            at = sent % len(self.data)
            piece = (self.data[at:] + self.data)[:INTERVAL]
            title = self.title
            yield piece + (block(title if title != told else "") if titles else b"")
            told, sent = title, sent + INTERVAL


def block(title: str) -> bytes:
    """The metadata after an interval: a count of 16 bytes, and those."""
    text = f"StreamTitle='{title}';".encode() if title else b""
    blocks = (len(text) + 15) // 16
    return bytes([blocks]) + text.ljust(16 * blocks, b"\0")
