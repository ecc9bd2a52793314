"""One ingress that a clip is pushed to, and those who watch it."""

import itertools
import time
from pathlib import Path

from harness import wait
from harness.api import status_name
from harness.sources import CONNECT_S, Pusher
from harness.subscriber import Subscriber

from bench.stage import END_S, Cannot, Ingress, Stage

_names = itertools.count(1)
# From the encoder's connection to the first picture, on a machine that is busy with other things.
LIVE_S = 40
# Other work on the machine may take so long to leave a gap.
ROOM_S = 90
SHIFT = {"high": 0, "medium": 1, "low": 2}


class Session:
    """An ingress in a room of its own; nothing is pushed until `push`."""

    def __init__(
        self,
        stage: Stage,
        ingress: Ingress,
        preset: str | None = None,
        kind: str = "RTMP",
        transcode: bool = True,
    ):
        self.stage, self.ingress = stage, ingress
        self.room = f"bench-{next(_names)}"
        self.info = stage.api.create(self.room, kind=kind, preset=preset, enable_transcoding=transcode)
        self.url = ingress.url(self.info.stream_key)
        self.pusher: Pusher | None = None

    def push(self, clip: Path, patience: float = ROOM_S) -> Pusher:
        """A publisher that the server took. One that is refused is followed by another for `patience` seconds: servers
        take no session while other work leaves them no idle CPU, however cheap sessions are said to be."""
        end = time.monotonic() + patience
        while True:
            self.pusher = self.stage.add(Pusher(self.url, clip, self.stage.logs))
            answer = self.pusher.wait("status", CONNECT_S)
            if answer["level"] != "error":
                break
            self.pusher.stop()
            if time.monotonic() > end:
                raise Cannot(f"the publisher is refused: {answer['description']}")
        self.pusher.wait("started", CONNECT_S)
        return self.pusher

    def wait_live(self) -> None:
        """Until LiveKit's API says that it publishes."""
        try:
            self.stage.api.wait_status(self.info.ingress_id, "PUBLISHING", LIVE_S)
        except AssertionError as error:
            raise Cannot(f"not PUBLISHING: {error}") from error

    def viewer(self, quality: str = "", manual: bool = False) -> Subscriber:
        return self.watch(self.stage, self.room, quality, manual)

    @staticmethod
    def watch(stage: Stage, room: str, quality: str = "", manual: bool = False) -> Subscriber:
        """A subscriber of any room."""
        name = f"viewer-{next(_names)}"
        token = stage.api.viewer_token(room, name)
        return stage.add(Subscriber(stage.livekit.url, token, stage.logs, name, manual=manual, quality=quality))

    def end(self) -> None:
        """As OBS's stop button does, and until the API says so."""
        self.pusher.end()
        wait.until(self._inactive, END_S, "the session ends")

    def _inactive(self) -> bool:
        return status_name(self.stage.api.state(self.info.ingress_id)) in ("INACTIVE", "COMPLETE")


def first_picture(viewer: Subscriber, since: int = 0, **fields):
    """The first decoded frame with these fields, such as w=320."""
    try:
        return viewer.wait_frame(LIVE_S, since, **fields)
    except AssertionError as error:
        raise Cannot(f"no picture {fields or ''} came: {error}".splitlines()[0]) from error
