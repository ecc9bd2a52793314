"""Publishers that may not publish: each is told, and log, metric and (bus.md section 7) state give the same reason."""

import pytest
from harness import broadcast, sources
from harness.api import status_name

REFUSED = "livekit_ingress_publish_status"
BY_REASON = "sluicegate_refusals"


def refuse(server, push, url, label, text):
    """Publishes to `url`, and looks for the refusal everywhere but in the state."""
    log, counted = server.process.log_size(), server.metric(BY_REASON, reason=label)
    refused = server.metric(REFUSED, type="rtmp", status="4xx")
    status = push(url).refusal()
    assert status["code"] == "NetStream.Publish.Failed" or status["level"] == "error"
    assert status["description"], "the broadcaster gets a reason"
    server.process.wait_for_log(text, 5, log)
    assert server.metric(BY_REASON, reason=label) == counted + 1
    assert server.metric(REFUSED, type="rtmp", status="4xx") == refused + 1


def assert_error(cast, text):
    state = cast.stack.api.wait_status(cast.id, "ERROR", 5)
    assert state.error == text
    cast.stack.webhooks.wait(cast.id, "ingress_ended", 10)


def test_unknown_key(stack, push):
    refuse(stack.sluicegate, push, stack.sluicegate.url("nobodys-key"), "unknown_key", "ingress does not exist")


def test_disabled_ingress(stack, room, push):
    cast = broadcast.make(stack, room, enabled=False)
    refuse(cast.server, push, cast.url, "disabled", "session is disabled")
    assert_error(cast, "session is disabled")


def test_ingress_without_a_room(stack, room, push):
    cast = broadcast.make(stack, "", participant_identity=room)
    refuse(cast.server, push, cast.url, "no_room", "invalid ingress: no room name")
    assert_error(cast, "invalid ingress: no room name")


def test_key_of_a_whip_ingress(stack, room, push):
    cast = broadcast.make(stack, room, kind="WHIP")
    refuse(cast.server, push, cast.url, "wrong_type", "invalid ingress type")
    assert_error(cast, "invalid ingress type")


@pytest.fixture
def full_server(another):
    """One more server on the bus, whose configured cost of a session no machine here can meet."""
    return another("sluicegate-full", cpu_cost={"rtmp_cpu_cost": 1000.0})


def test_full_server(stack, room, full_server, push):
    full_server.process.wait_for_log("WARN.*cpu_cost", 5)
    cast = broadcast.create(stack, room, full_server)
    refuse(full_server, push, cast.url, "full", "server capacity exceeded")
    assert_error(cast, "server capacity exceeded")


def test_refusal_does_not_touch_a_live_session_of_the_same_key(stack, room, full_server, join, push):
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    live = cast.wait_live()
    elsewhere = broadcast.Broadcast(stack, full_server, room, cast.ingress)
    push(elsewhere.url).refusal()
    state = stack.api.state(cast.id)
    assert status_name(state) == "PUBLISHING"
    assert state.started_at == live.started_at
    join(stack, room).wait_moving(20)


def test_ffmpeg_is_told_too(stack, clip, started, tmp_path):
    source = sources.ffmpeg(stack.sluicegate.url("nobodys-key"), clip, tmp_path)
    started.append(source)
    assert source.exit_code(20) != 0
