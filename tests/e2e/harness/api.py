"""LiveKit's own API through the `livekit-api` package, from synchronous tests."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.message import Message
from livekit import api
from livekit.protocol import ingress as pi
from livekit.protocol import models as pm
from livekit.protocol import room as pr

from harness import wait

CALL_S = 30


def status_name(state: pi.IngressState) -> str:
    """`PUBLISHING` for ENDPOINT_PUBLISHING."""
    return pi.IngressState.Status.Name(state.status).removeprefix("ENDPOINT_")


class Api:
    """Runs the async client on a thread of its own, because Playwright keeps an event loop in the main one."""

    def __init__(self, url: str, key: str, secret: str):
        self.key, self.secret = key, secret
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.client = self._run(self._connect(url, key, secret))

    async def _connect(self, url: str, key: str, secret: str) -> api.LiveKitAPI:
        return api.LiveKitAPI(url, key, secret)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(CALL_S)

    def create(self, room: str, *, kind: str = "RTMP", preset: str | None = None, **fields) -> pi.IngressInfo:
        """An ingress of `kind` RTMP, WHIP or URL for `room`; `fields` are those of CreateIngressRequest."""
        fields = {"name": room, "participant_identity": f"in-{room}", "participant_name": "Camera"} | fields
        request = pi.CreateIngressRequest(input_type=pi.IngressInput.Value(f"{kind}_INPUT"), room_name=room, **fields)
        if preset:
            request.video.preset = pi.IngressVideoEncodingPreset.Value(preset)
        return self._run(self.client.ingress.create_ingress(request))

    def update(self, ingress_id: str, **fields) -> pi.IngressInfo:
        return self._run(self.client.ingress.update_ingress(pi.UpdateIngressRequest(ingress_id=ingress_id, **fields)))

    def delete(self, ingress_id: str) -> pi.IngressInfo:
        return self._run(self.client.ingress.delete_ingress(pi.DeleteIngressRequest(ingress_id=ingress_id)))

    def get(self, ingress_id: str) -> pi.IngressInfo:
        answer = self._run(self.client.ingress.list_ingress(pi.ListIngressRequest(ingress_id=ingress_id)))
        return answer.items[0]

    def state(self, ingress_id: str) -> pi.IngressState:
        return self.get(ingress_id).state

    def wait_status(self, ingress_id: str, name: str, within: float) -> pi.IngressState:
        """Waits for a status such as PUBLISHING and returns the whole state."""
        return self.wait_for_state(ingress_id, lambda state: status_name(state) == name, within, name)

    def wait_for_state(
        self,
        ingress_id: str,
        holds: Callable[[pi.IngressState], object],
        within: float,
        what: str = "such a state",
    ) -> pi.IngressState:
        """Waits for a state for which `holds` is true and returns it."""
        last = self.state(ingress_id)

        def look() -> pi.IngressState | None:
            nonlocal last
            last = self.state(ingress_id)
            return last if holds(last) else None

        return wait.until(look, within, lambda: f"{what} of {ingress_id}; it is: {last}")

    def participants(self, room: str) -> list[pm.ParticipantInfo]:
        answer = self._run(self.client.room.list_participants(pr.ListParticipantsRequest(room=room)))
        return list(answer.participants)

    def participant(self, room: str, identity: str) -> pm.ParticipantInfo | None:
        """The participant, or None while it or the room is not there."""
        try:
            return next((p for p in self.participants(room) if p.identity == identity), None)
        except api.TwirpError as error:
            if error.code == api.TwirpErrorCode.NOT_FOUND:
                return None
            raise

    def remove_participant(self, room: str, identity: str) -> None:
        self._run(self.client.room.remove_participant(pr.RoomParticipantIdentity(room=room, identity=identity)))

    def create_room(self, room: str, sync_streams: bool = False) -> None:
        """`sync_streams`: subscribers play a participant's sound and picture in step, by the sender reports."""
        self._run(self.client.room.create_room(pr.CreateRoomRequest(name=room, sync_streams=sync_streams)))

    def delete_room(self, room: str) -> None:
        self._run(self.client.room.delete_room(pr.DeleteRoomRequest(room=room)))

    def room_sid(self, room: str) -> str:
        answer = self._run(self.client.room.list_rooms(pr.ListRoomsRequest(names=[room])))
        return answer.rooms[0].sid if answer.rooms else ""

    def watch(self, ingress_id: str) -> "Watch":
        return Watch(self, ingress_id)

    def viewer_token(self, room: str, identity: str) -> str:
        grants = api.VideoGrants(room_join=True, room=room, can_publish=False)
        return api.AccessToken(self.key, self.secret).with_identity(identity).with_grants(grants).to_jwt()

    def publisher_token(self, room: str, identity: str) -> str:
        grants = api.VideoGrants(room_join=True, room=room, can_subscribe=False)
        return api.AccessToken(self.key, self.secret).with_identity(identity).with_grants(grants).to_jwt()

    def stop(self) -> None:
        self._run(self.client.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@dataclass
class Seen:
    """A state, and when it was first seen."""

    status: str
    state: Message
    at: float = field(default_factory=time.time)


class Watch:
    """Asks for the state of one ingress again and again and keeps each change of status."""

    def __init__(self, client: Api, ingress_id: str):
        self.client, self.ingress_id = client, ingress_id
        self.seen: list[Seen] = []
        self.error: Exception | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        wait.until(lambda: self.seen or self.error, 5, "a first state")
        return self

    def __exit__(self, *_) -> None:
        self.stopping.set()
        self.thread.join()

    def statuses(self) -> list[str]:
        return [seen.status for seen in self.seen]

    def wait(self, statuses: list[str], within: float) -> None:
        """Waits until exactly these statuses were seen one after the other."""
        wait.until(lambda: self.statuses() == statuses, within, lambda: f"{statuses}; seen: {self.statuses()}")

    def last(self, status: str) -> Message:
        """The newest state seen under this status."""
        return next(seen.state for seen in reversed(self.seen) if seen.status == status)

    def _loop(self) -> None:
        while not self.stopping.wait(wait.POLL_S):
            try:
                state = self.client.state(self.ingress_id)
            except Exception as error:  # the ingress was deleted, or livekit-server is away
                self.error = error
                continue
            name = status_name(state)
            if self.seen and self.seen[-1].status == name:
                self.seen[-1].state = state
            else:
                self.seen.append(Seen(name, state))
