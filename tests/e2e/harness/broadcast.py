"""An ingress with something that publishes to it, as most tests need one."""

from dataclasses import dataclass

from livekit.api import TwirpError
from livekit.protocol import ingress as pi

from harness import wait
from harness.stack import Sluicegate, Stack

# From the encoder's connection to PUBLISHING: join, worker start and the first keyframe, on a busy machine.
LIVE_S = 20
# From the end of a session: the participant has left before the last state is told.
LEFT_S = 2
# Sessions that just ended have given back their CPU by then.
ROOM_S = 20


@dataclass
class Broadcast:
    """One ingress of a room on the server that `url` points at."""

    stack: Stack
    server: Sluicegate
    room: str
    ingress: pi.IngressInfo

    @property
    def id(self) -> str:
        return self.ingress.ingress_id

    @property
    def url(self) -> str:
        return self.server.url(self.ingress.stream_key)

    @property
    def identity(self) -> str:
        return self.ingress.participant_identity

    def wait_live(self) -> pi.IngressState:
        return self.stack.api.wait_status(self.id, "PUBLISHING", LIVE_S)

    def wait_ended(self, within: float = 15) -> pi.IngressState:
        """Until the API says so, and the server has room for the next session."""
        state = self.stack.api.wait_status(self.id, "INACTIVE", within)
        self.server.wait_available(ROOM_S)
        return state

    def wait_left(self) -> None:
        """Until the room's list, which livekit-server writes on its own time, has it no more."""
        wait.until(lambda: self.participant() is None, LEFT_S, lambda: f"it leaves: {self.participant()}")

    def participant(self):
        return self.stack.api.participant(self.room, self.identity)

    def wait_tracks(self, count: int = 2):
        """The participant once it has published that many tracks: PUBLISHING is posted with the first of them."""

        def look():
            who = self.participant()
            return who if who and len(who.tracks) == count else None

        return wait.until(look, LIVE_S, lambda: f"{count} tracks of {self.participant()}")


def make(stack: Stack, room: str, server: Sluicegate | None = None, **fields) -> Broadcast:
    """Creates the ingress once its server, which is the stack's, has room for it; `fields` as of `Api.create`.

    One that has just started may count as full: it has tried its encoders."""
    server = server or stack.sluicegate
    server.wait_available(ROOM_S)
    return create(stack, room, server, **fields)


def create(stack: Stack, room: str, server: Sluicegate, **fields) -> Broadcast:
    """The same for a server that is not to take it."""
    return Broadcast(stack, server, room, stack.api.create(room, **fields))


def make_whip(stack: Stack, room: str, transcode: bool = False, **fields) -> Broadcast:
    """The same for WHIP, whose packets go to the room as they are unless `transcode`."""
    return make(stack, room, kind="WHIP", enable_transcoding=transcode, **fields)


def make_when_possible(stack: Stack, room: str, within: float) -> Broadcast:
    """Creates the ingress as soon as the API takes it: livekit-server needs Redis for that."""

    def attempt() -> Broadcast | None:
        try:
            return make(stack, room)
        except TwirpError:
            return None

    return wait.until(attempt, within, "the API creates an ingress")
