"""`whip_proxy_enabled`: livekit-server has publishers of untranscoded WHIP itself; HTTP and the state stay here."""

import json
import time

import pytest
from harness import broadcast, wait, whip_offers
from harness.api import status_name
from harness.stack import ACTIVE
from harness.whip_http import Resource

# From the answer to PUBLISHING: livekit-server says what it receives each 10 s.
NOTICE_S = 10
PICTURE_S = 20
FRAMES = 60
SIZE = {"w": 640, "h": 360}
ENDED_S = 5
# livekit-server's own: ICE is disconnected after some 5 s, and failed some 5 s to 25 s later.
VANISHED_S = 60
# models.ParticipantInfo.Kind.
INGRESS = 1


@pytest.fixture(scope="module")
def proxy(shared_stack):
    """One more server on the bus, that hands publishers over."""
    server = shared_stack.another("sluicegate-proxy", whip_proxy_enabled=True)
    yield server
    server.stop()
    shared_stack.started.remove(server)


@pytest.fixture
def cast(stack, room, proxy):
    fields = {"participant_metadata": '{"seat": 1}'}
    return broadcast.make_whip(stack, room, server=proxy, **fields)


def udp_ports(answer: str) -> set[str]:
    """Of the host candidates of an SDP."""
    lines = [line.split() for line in answer.splitlines() if line.startswith("a=candidate:")]
    return {parts[5] for parts in lines if parts[2].lower() == "udp"}


def wait_over(cast) -> None:
    state = cast.wait_ended(ENDED_S)
    assert not state.error and state.ended_at
    cast.wait_left()
    cast.stack.webhooks.wait(cast.id, "ingress_ended", ENDED_S)
    cast.server.wait_idle(ENDED_S)


@pytest.mark.parametrize(("kind", "codec"), [("aiortc", "vp8"), ("aiortc", "h264"), ("chromium", "vp8")])
def test_pictures_reach_the_room_past_us(stack, join, publish, cast, kind, codec):
    client = publish(cast, kind, codec=codec)
    client.wait_started()
    viewer = join(stack, cast.room)
    viewer.wait_frame(PICTURE_S, **SIZE)
    mark = viewer.mark()
    viewer.wait_frame(PICTURE_S, mark, count=FRAMES)
    viewer.assert_moving(mark)
    viewer.wait("beep", 5, since=mark, count=2)
    assert viewer.track("video")["mime"].lower() == f"video/{codec}"
    who = cast.participant()
    assert (who.identity, who.name, who.metadata) == (cast.identity, "Camera", '{"seat": 1}')
    assert who.kind == INGRESS and who.attributes["ingress.ingressID"] == cast.id
    state = stack.api.wait_status(cast.id, "PUBLISHING", NOTICE_S + 5)
    assert codec in state.video.mime_type.lower() and "opus" in state.audio.mime_type.lower()
    assert state.resource_id.startswith("WH_") and state.started_at
    stack.webhooks.wait(cast.id, "ingress_started", ENDED_S)
    assert cast.server.metric(ACTIVE, type="whip", transcoding="false") == 1
    assert not cast.server.frames("high") and not cast.server.frames("audio"), "no media of it comes here"
    assert cast.id not in stack.sluicegate.process.log_text(), "the other server has nothing to do with it"
    client.stop()
    wait_over(cast)


def test_the_answer_is_ours_and_its_candidates_are_livekit_servers(stack, cast):
    resource = Resource(cast.server.whip_url, cast.ingress.stream_key)
    answer = resource.offer(whip_offers.GOOD)
    assert answer.status == 201 and answer.headers["content-type"] == "application/sdp"
    location = answer.headers["location"]
    assert location.startswith("/w/WH_") and cast.ingress.stream_key not in location and "PA_" not in location
    assert answer.headers["accept-patch"] == "application/trickle-ice-sdpfrag"
    assert udp_ports(answer.body) == {str(stack.livekit.config["rtc"]["udp_port"])}
    assert stack.api.wait_status(cast.id, "BUFFERING", ENDED_S).started_at
    assert resource.delete().status == 200
    assert resource.delete().status == 404
    wait_over(cast)


def test_another_server_may_get_the_delete(stack, cast):
    made = Resource(cast.server.whip_url, cast.ingress.stream_key)
    assert made.offer(whip_offers.GOOD).status == 201
    other = Resource(stack.sluicegate.whip_url, cast.ingress.stream_key)
    other.url = made.url.replace(cast.server.whip_url, stack.sluicegate.whip_url)
    assert other.delete().status == 200
    wait_over(cast)


def test_candidates_and_a_restart_are_handed_on(cast):
    resource = Resource(cast.server.whip_url, cast.ingress.stream_key)
    tag = resource.offer(whip_offers.GOOD).headers["etag"]
    assert tag.startswith('"') and tag.endswith('"')
    candidate = "candidate:1 1 udp 2130706431 192.0.2.9 5000 typ host"
    text = whip_offers.fragment(whip_offers.UFRAG, whip_offers.PASSWORD, candidate)
    assert resource.patch(text).status == 204
    assert resource.patch(text, if_match='"another"').status == 412
    other = whip_offers.fragment("nnnn", "p" * 24)
    assert resource.patch(other, if_match="").status == 428
    restart = resource.patch(other, if_match="*")
    assert restart.status == 200, restart
    assert restart.headers["content-type"] == "application/trickle-ice-sdpfrag"
    assert "a=ice-ufrag:" in restart.body and "a=ice-pwd:" in restart.body
    assert restart.headers["etag"] not in ("", tag)
    assert resource.patch(text).status == 412, "the tag from before the restart"
    resource.etag = restart.headers["etag"]
    assert resource.patch(whip_offers.fragment("nnnn", "p" * 24, candidate)).status == 204
    resource.delete()
    wait_over(cast)


def test_a_browser_restarts_ice(stack, join, publish, cast):
    client = publish(cast, "chromium", codec="vp8", page={"trickle": True})
    client.wait_started()
    viewer = join(stack, cast.room)
    viewer.wait_frame(PICTURE_S, w=640)
    client.restart_ice()
    viewer.wait_frame(PICTURE_S, viewer.mark(), count=FRAMES)
    assert any("PATCH 200" in text for text in client.log()), client.log()
    assert not [text for text in client.log() if "refused" in text]
    assert not viewer.select("unsubscribed")
    client.stop()
    wait_over(cast)


def test_a_participant_that_is_removed_ends_the_session(stack, publish, cast):
    client = publish(cast, "aiortc", codec="vp8")
    client.wait_started()
    stack.api.wait_status(cast.id, "PUBLISHING", NOTICE_S + 5)
    stack.api.remove_participant(cast.room, cast.identity)
    wait_over(cast)
    gone = Resource(cast.server.whip_url, cast.ingress.stream_key)
    gone.url = client.answer()["url"]
    assert gone.delete().status == 404


def test_a_publisher_that_vanishes_ends_the_session(stack, publish, cast):
    client = publish(cast, "aiortc", codec="vp8")
    client.wait_started()
    stack.api.wait_status(cast.id, "PUBLISHING", NOTICE_S + 5)
    client.kill()
    began = time.monotonic()
    cast.wait_ended(VANISHED_S)
    print(f"it is over after {time.monotonic() - began:.1f} s")
    wait_over(cast)


@pytest.mark.parametrize("how", ["update", "delete"])
def test_the_api_ends_the_session(stack, publish, cast, how):
    publish(cast, "aiortc", codec="vp8").wait_started()
    stack.api.wait_status(cast.id, "PUBLISHING", NOTICE_S + 5)
    if how == "update":
        stack.api.update(cast.id, name="renamed")
        wait_over(cast)
        return
    stack.api.delete(cast.id)
    stack.webhooks.wait(cast.id, "ingress_ended", ENDED_S)
    cast.wait_left()


def test_a_second_publisher_takes_over(stack, join, publish, cast):
    publish(cast, "aiortc", codec="vp8").wait_started()
    started = stack.api.wait_status(cast.id, "PUBLISHING", NOTICE_S + 5).started_at
    viewer = join(stack, cast.room)
    viewer.wait_frame(PICTURE_S, **SIZE)
    first = cast.participant().sid
    with stack.api.watch(cast.id) as watch:
        second = publish(cast, "aiortc", codec="vp8")
        second.wait_started()
        wait.until(lambda: (who := cast.participant()) and who.sid != first, PICTURE_S, "another participant")
        viewer.wait_frame(PICTURE_S, viewer.mark(), count=FRAMES)
        assert watch.statuses() == ["PUBLISHING"]
    assert stack.api.state(cast.id).started_at == started
    assert cast.server.metric(ACTIVE) == 1
    second.stop()
    wait_over(cast)


def test_what_is_transcoded_is_not_handed_over(stack, room, proxy, publish):
    cast = broadcast.make_whip(stack, room, transcode=True, preset="H264_720P_30FPS_1_LAYER", server=proxy)
    client = publish(cast, "aiortc", codec="vp8")
    client.wait_started()
    cast.wait_live()
    wait.until(lambda: proxy.frames("high") > 30, PICTURE_S, "pictures of our encoder")
    client.stop()
    wait_over(cast)


def test_refusals_of_livekit_server_are_told_and_leave_nothing(stack, room, started):
    """A livekit-server that is away, and one that does not know our key: neither is the publisher's fault."""
    cases = [({"ws_url": "ws://127.0.0.1:9"}, 503, "no connection"), ({"api_secret": "z" * 32}, 502, "401")]
    for number, (config, status, detail) in enumerate(cases):
        server = stack.another(f"sluicegate-refused-{number}", whip_proxy_enabled=True, **config)
        try:
            cast = broadcast.make_whip(stack, f"{room}-{number}", server=server)
            answer = Resource(server.whip_url, cast.ingress.stream_key).offer(whip_offers.GOOD)
            assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
            problem = json.loads(answer.body)
            assert problem["status"] == status and detail in problem["detail"], problem
            assert cast.ingress.stream_key not in server.process.log_text()
            assert status_name(stack.api.state(cast.id)) == "INACTIVE"
            server.wait_idle(ENDED_S)
        finally:
            server.stop()
            stack.started.remove(server)
