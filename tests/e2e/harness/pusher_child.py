"""An encoder that costs next to nothing: plays an FLV file at its own pace in a loop and says when each frame left.

    pusher_child.py RTMP-URL FILE [--only audio|video] [--fps 30]

Events: connecting (before TCP's first packet), status (each onStatus), started, sent (frame number and time), playing,
closed. Commands on standard input: {"do": "end"} unpublishes and closes; {"do": "reset"} cuts the connection;
{"do": "stall"} sends nothing any more; {"do": "play", "file": PATH} goes on with another file, from its start, without
a gap in time.
"""

import argparse
import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from harness import rtmp
from harness.lines import say


@dataclass
class Tag:
    """One FLV tag; times in milliseconds."""

    kind: int
    time: int
    body: bytes

    def is_header(self) -> bool:
        if self.kind == rtmp.VIDEO:
            return self.body[1] == 0
        if self.kind == rtmp.AUDIO:
            return self.body[0] >> 4 == 10 and self.body[1] == 0
        return True

    def is_end_of_sequence(self) -> bool:
        return self.kind == rtmp.VIDEO and self.body[1] == 2

    def presented(self) -> int:
        composition = int.from_bytes(self.body[2:5], "big", signed=True) if self.kind == rtmp.VIDEO else 0
        return self.time + composition


def tags(path: str) -> list[Tag]:
    data = Path(path).read_bytes()
    found, at = [], int.from_bytes(data[5:9], "big") + 4
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        when = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        found.append(Tag(data[at] & 31, when, data[at + 11 : at + 11 + size]))
        at += 11 + size + 4
    return [tag for tag in found if not tag.is_end_of_sequence()]


class Tape:
    """One file, with what an encoder sends before its media."""

    def __init__(self, path: str, only: str | None, fps: float):
        wanted = {"audio": {rtmp.AUDIO}, "video": {rtmp.VIDEO}, None: {rtmp.AUDIO, rtmp.VIDEO}}[only]
        everything = [tag for tag in tags(path) if tag.kind in wanted or tag.kind == rtmp.DATA]
        self.headers = [tag for tag in everything if tag.is_header()]
        self.media = [tag for tag in everything if not tag.is_header()]
        video = [tag.presented() for tag in self.media if tag.kind == rtmp.VIDEO]
        self.first_frame, self.fps = min(video, default=0), fps
        # A lap lasts until the next frame would be due; audio alone: until the last packet.
        self.lap_ms = max(video) - min(video) + round(1000 / fps) if video else self.media[-1].time

    def number(self, tag: Tag) -> int:
        return round((tag.presented() - self.first_frame) * self.fps / 1000)


class Pusher:
    def __init__(self, options: argparse.Namespace):
        url = urlparse(options.url)
        self.app, _, self.key = url.path.lstrip("/").rpartition("/")
        self.url = f"rtmp://{url.netloc}/{self.app}"
        self.options = options
        self.tape = Tape(options.file, options.only, options.fps)
        self.next_tape: Tape | None = None
        self.command: str | None = None
        say("connecting")
        self.connection = rtmp.Connection(url.hostname, url.port)

    def run(self) -> None:
        self.stream, status = self.connection.publish(self.app, self.key, self.url)
        say("status", **status)
        threading.Thread(target=self._read_server, daemon=True).start()
        if status["level"] == "error":
            return
        threading.Thread(target=self._read_commands, daemon=True).start()
        self._send_headers(0)
        say("started")
        self._play()

    def _send_headers(self, at: int) -> None:
        for tag in self.tape.headers:
            body = rtmp.encode("@setDataFrame") + tag.body if tag.kind == rtmp.DATA else tag.body
            self._send(tag.kind, at, body)

    def _play(self) -> None:
        start, base = time.time(), 0
        while not self.command:
            base = self._lap(start, base)
            if self.next_tape:
                self.tape, self.next_tape = self.next_tape, None
                self._send_headers(base)
                say("playing")
        self._finish()

    def _lap(self, start: float, base: int) -> int:
        """Plays the tape once, or up to the next command. Returns when what follows begins."""
        tape, at = self.tape, base
        for tag in tape.media:
            at = tag.time - tape.media[0].time + base
            time.sleep(max(0, start + at / 1000 - time.time()))
            if self.command or self.next_tape:
                # The pictures that were sent ahead of their time are over by then.
                return at + round(3000 / tape.fps)
            if tag.kind == rtmp.VIDEO:
                say("sent", n=tape.number(tag), at=time.time())
            self._send(tag.kind, at, tag.body)
        return base + tape.lap_ms

    def _finish(self) -> None:
        if self.command == "reset":
            self.connection.reset()
        elif self.command == "end":
            self.connection.unpublish(self.stream, self.key)
            self.connection.socket.close()
        else:
            threading.Event().wait()

    def _send(self, kind: int, at: int, body: bytes) -> None:
        self.connection.send(6 if kind == rtmp.VIDEO else 4, kind, self.stream, at, body)

    def _read_commands(self) -> None:
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "play":
                self.next_tape = Tape(command["file"], self.options.only, self.options.fps)
            else:
                self.command = command["do"]

    def _read_server(self) -> None:
        self.connection.socket.settimeout(None)
        try:
            while True:
                kind, body = self.connection.message()
                values = rtmp.decode(body) if kind == rtmp.COMMAND else []
                if values and values[0] == "onStatus":
                    say("status", **values[3])
        except (OSError, EOFError) as error:
            say("closed", why=str(error))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file")
    parser.add_argument("--only", choices=["audio", "video"])
    parser.add_argument("--fps", type=float, default=30)
    pusher = Pusher(parser.parse_args())
    try:
        pusher.run()
    except (OSError, EOFError) as error:
        say("closed", why=str(error))
    # The reader says how the server ended a connection that it refused.
    sys.stdin.read()


if __name__ == "__main__":
    main()
