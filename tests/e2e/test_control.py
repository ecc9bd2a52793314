"""Updates, disabling and deletion through LiveKit's API while a session is live (bus.md section 7)."""

import pytest
from harness import broadcast
from livekit.api import TwirpError

ENDED_S = 10


@pytest.fixture
def live(stack, room, push):
    """A live broadcast and its pusher."""
    cast = broadcast.make(stack, room)
    pusher = push(cast.url)
    pusher.wait_started()
    cast.wait_live()
    stack.webhooks.wait(cast.id, "ingress_started", 10)
    return cast, pusher


def assert_ended_once(cast):
    cast.stack.webhooks.wait(cast.id, "ingress_ended", ENDED_S)
    assert [hook.event for hook in cast.stack.webhooks.of(cast.id)] == ["ingress_started", "ingress_ended"]
    cast.wait_left()


def test_update_ends_the_session_and_the_next_one_has_the_new_settings(live, push):
    cast, pusher = live
    cast.stack.api.update(cast.id, participant_name="Second camera")
    pusher.wait("closed", ENDED_S)
    ended = cast.wait_ended()
    assert not ended.error
    assert_ended_once(cast)

    push(cast.url).wait_started()
    cast.wait_live()
    assert cast.participant().name == "Second camera"


def test_disabling_ends_the_session_and_keeps_the_encoder_out(live, push):
    cast, pusher = live
    cast.stack.api.update(cast.id, enabled=False)
    pusher.wait("closed", ENDED_S)
    cast.wait_ended()
    assert_ended_once(cast)
    assert "disabled" in push(cast.url).refusal()["description"]


def test_deletion_ends_the_session_with_its_webhook(live, push):
    cast, pusher = live
    cast.stack.api.delete(cast.id)
    pusher.wait("closed", ENDED_S)
    assert_ended_once(cast)
    with pytest.raises(TwirpError, match="does not exist"):
        cast.stack.api.get(cast.id)
    push(cast.url).refusal()


def test_removed_participant_ends_the_session_with_that_reason(live):
    cast, pusher = live
    cast.stack.api.remove_participant(cast.room, cast.identity)
    pusher.wait("closed", ENDED_S)
    state = cast.stack.api.wait_status(cast.id, "ERROR", ENDED_S)
    assert state.error == "room disconnected"


def test_deleted_room_ends_the_session_with_that_reason(live):
    cast, pusher = live
    cast.stack.api.delete_room(cast.room)
    pusher.wait("closed", ENDED_S)
    state = cast.stack.api.wait_status(cast.id, "ERROR", ENDED_S)
    assert state.error == "room disconnected"
