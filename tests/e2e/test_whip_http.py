"""What the WHIP endpoint answers (RFC 9725, bus.md section 6.5), to good requests and to bad ones."""

import json
import socket
import time

import pytest
from harness import broadcast, wait, whip_offers
from harness.api import status_name
from harness.whip_http import Resource, request

# faults.md, row 23.
REFUSED_S = 0.05
# Contract: head and body are read within 10 s; faults.md, row 10.
HALF_OPEN_S = 15
# No media path 10 s after the answer: the session is over.
NOT_CONNECTED_S = 15
WRONG_KEYS = 60
ORIGIN = "https://studio.example"


@pytest.fixture
def cast(stack, room):
    return broadcast.make_whip(stack, room)


@pytest.fixture
def resource(cast):
    """A session that was answered and that nobody connects to."""
    made = Resource(cast.server.whip_url, cast.ingress.stream_key)
    yield made
    if made.url:
        made.delete()


def offer(resource):
    answer = resource.offer(whip_offers.GOOD)
    assert answer.status == 201, answer
    return answer


def test_the_answer_to_an_offer(cast, resource):
    answer = offer(resource)
    headers = answer.headers
    assert headers["content-type"] == "application/sdp"
    assert answer.body.startswith("v=0\r\n") and len(answer.body.encode()) <= 8192
    assert cast.ingress.stream_key not in headers["location"]
    assert headers["etag"].startswith('"') or headers["etag"]
    assert "application/trickle-ice-sdpfrag" in headers["accept-patch"]
    assert "m=audio" in answer.body and "m=video" in answer.body and "H264/90000" in answer.body
    first = next(line for line in answer.body.splitlines() if line.startswith("a=candidate:"))
    assert " udp " in first.lower() and "typ host" in first
    assert resource.delete().status == 200
    assert resource.delete().status == 404


@pytest.mark.parametrize(
    ("rids", "paused"), [(["a"], None), (["f", "h"], None), (["2", "1", "0"], "1"), (["a", "b", "c", "d"], None)]
)
def test_every_rid_is_answered(resource, rids, paused):
    answer = resource.offer(whip_offers.simulcast(rids, paused))
    assert answer.status == 201, answer
    for rid in rids:
        assert f"a=rid:{rid} recv" in answer.body
    simulcast = next(line for line in answer.body.splitlines() if line.startswith("a=simulcast:recv "))
    assert {name.lstrip("~") for name in simulcast.split(" ", 1)[1].split(";")} == set(rids)


def test_a_session_that_nobody_connects_to_ends_with_a_reason(stack, cast, resource):
    began = time.monotonic()
    offer(resource)
    states = ("ERROR", "INACTIVE")
    state = stack.api.wait_for_state(
        cast.id, lambda s: s.started_at and s.ended_at and status_name(s) in states, NOT_CONNECTED_S, "its end"
    )
    assert state.error
    assert time.monotonic() - began < NOT_CONNECTED_S
    cast.wait_left()


def test_patch_needs_the_newest_tag(resource):
    answer = offer(resource)
    candidate = "candidate:1 1 udp 2122260223 192.0.2.9 40000 typ host"
    text = whip_offers.fragment(whip_offers.UFRAG, whip_offers.PASSWORD, candidate)
    assert resource.patch(text).status == 204
    assert resource.patch(text, if_match='"stale"').status == 412
    assert resource.patch(text, if_match="").status == 204, "some clients leave it out"
    assert resource.patch(whip_offers.fragment("nnnn", "p" * 24), if_match="").status == 428
    restart = resource.patch(whip_offers.fragment("nnnn", "p" * 24), if_match="*")
    assert restart.status == 200
    assert restart.headers["content-type"] == "application/trickle-ice-sdpfrag"
    assert restart.headers["etag"] != answer.headers["etag"]
    assert "a=ice-ufrag:" in restart.body and "a=ice-pwd:" in restart.body
    assert resource.patch(text).status == 412, "the tag from before the restart"


def test_browsers_of_any_origin_may_publish(cast, resource):
    url = cast.server.whip_url
    asked = request("OPTIONS", url, origin=ORIGIN, access_control_request_method="POST")
    assert asked.status in (200, 204)
    assert asked.headers["access-control-allow-origin"] in ("*", ORIGIN)
    assert "POST" in asked.headers["access-control-allow-methods"]
    allowed = asked.headers["access-control-allow-headers"].lower()
    assert allowed == "*" or {"authorization", "content-type", "if-match"} <= {w.strip() for w in allowed.split(",")}
    answer = request("POST", url, whip_offers.GOOD, content_type="application/sdp", origin=ORIGIN, **resource.auth)
    exposed = {word.strip() for word in answer.headers["access-control-expose-headers"].lower().split(",")}
    assert answer.status == 201 and {"location", "etag"} <= exposed
    resource.url = url.rsplit("/", 1)[0] + answer.headers["location"]
    refused = request("POST", url, "x", content_type="application/sdp", origin=ORIGIN, authorization="Bearer nobodys")
    assert refused.status >= 400 and refused.headers["access-control-allow-origin"] in ("*", ORIGIN)


@pytest.mark.parametrize("why", whip_offers.BAD)
def test_bad_offers_are_refused_at_once_with_a_reason(stack, cast, why):
    auth = f"Bearer {cast.ingress.stream_key}"
    began = time.monotonic()
    answer = request(
        "POST", stack.sluicegate.whip_url, whip_offers.BAD[why], content_type="application/sdp", authorization=auth
    )
    took = time.monotonic() - began
    assert 400 <= answer.status < 500, answer
    assert "application/problem+json" in answer.headers["content-type"]
    assert any(json.loads(answer.body).get(field) for field in ("detail", "title"))
    # What the test's machine needs comes on top.
    assert took < REFUSED_S + 0.2, f"{1000 * took:.0f} ms"


def test_a_large_body_is_refused(stack, cast):
    auth = f"Bearer {cast.ingress.stream_key}"
    try:
        answer = request(
            "POST", stack.sluicegate.whip_url, whip_offers.LARGE, content_type="application/sdp", authorization=auth
        )
    except OSError:
        # Closed while the rest was on its way.
        return
    assert answer.status == 413


def test_keys_that_are_wrong(stack, room, cast):
    unknown = Resource(stack.sluicegate.whip_url, "nobodys-key").offer(whip_offers.GOOD)
    assert unknown.status == 404
    disabled = broadcast.make_whip(stack, f"{room}-off", enabled=False)
    assert Resource(stack.sluicegate.whip_url, disabled.ingress.stream_key).offer(whip_offers.GOOD).status == 403
    rtmp = broadcast.make(stack, f"{room}-rtmp")
    assert Resource(stack.sluicegate.whip_url, rtmp.ingress.stream_key).offer(whip_offers.GOOD).status == 400
    assert request("POST", stack.sluicegate.whip_url, whip_offers.GOOD).status in (400, 401)
    assert cast.ingress.stream_key not in stack.sluicegate.process.log_text()


def test_a_guesser_of_keys_is_held_off_and_a_right_key_still_works(another, cast):
    # Of its own: what it remembers of this address would hold off the other tests.
    server = another("sluicegate-guessed")
    statuses = [Resource(server.whip_url, f"guess-{i}").offer(whip_offers.GOOD).status for i in range(WRONG_KEYS)]
    assert set(statuses) <= {404, 429} and statuses.count(404) <= 25, statuses
    right = Resource(server.whip_url, cast.ingress.stream_key)
    wait.until(lambda: right.offer(whip_offers.GOOD).status == 201, 10, "the right key is taken")
    assert right.delete().status == 200


def test_half_a_request_is_not_waited_for(stack):
    with socket.create_connection(("127.0.0.1", stack.sluicegate.whip_port), 5) as half:
        half.sendall(b"POST /w HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nv=0\r\n")
        half.settimeout(HALF_OPEN_S)
        while half.recv(4096):
            pass


def test_probes_of_a_load_balancer_leave_no_warning(stack):
    log = stack.sluicegate.process.log_size()
    for _ in range(20):
        socket.create_connection(("127.0.0.1", stack.sluicegate.whip_port), 5).close()
        request("GET", f"http://127.0.0.1:{stack.sluicegate.whip_port}/health")
    assert "WARN" not in stack.sluicegate.process.log_text(log)
