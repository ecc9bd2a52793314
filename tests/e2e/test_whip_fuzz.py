"""Offers with mistakes of all kinds, through the whole endpoint with right keys: each is answered or refused, soon."""

import collections
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import broadcast, proc, whip_mutants, whip_offers
from harness.stack import NEVER_FULL
from harness.whip_http import Resource

SEED, COUNT = 20261121, 2800
# Keys that are used at a time, each by one client after the other.
AT_ONCE = 6
# Contract: the answer to an offer; here six are made at a time while sessions join rooms and leave them.
ANSWER_S = 5
# Contract: some clients read no longer answer.
ANSWER_BYTES = 8192
IDLE_S = 20
KEPT_MIB = 8


@pytest.fixture
def server(another):
    return another("sluicegate-fuzzed", cpu_cost=NEVER_FULL)


def test_every_offer_is_answered_or_refused_with_a_reason(stack, server, room):
    casts = [
        broadcast.make(stack, f"{room}-{n}", server, kind="WHIP", enable_transcoding=False) for n in range(AT_ONCE)
    ]
    first = Resource(server.whip_url, casts[0].ingress.stream_key)
    assert first.offer(whip_offers.GOOD).status == 201
    assert first.delete().status == 200
    server.wait_idle(IDLE_S)
    before, files = proc.pss_mib(server.process.pid), len(proc.descriptors(server.process.pid))
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = pool.map(lambda lane: offers(server, casts[lane].ingress.stream_key, lane), range(AT_ONCE))
        statuses = sum(seen, collections.Counter())
    took = time.monotonic() - began
    server.wait_idle(IDLE_S)
    after = proc.pss_mib(server.process.pid)
    print(f"{dict(statuses)} in {took:.0f} s; {before:.1f} MiB before, {after:.1f} after")
    assert sum(statuses.values()) == COUNT
    assert statuses[201] > COUNT / 10 and statuses[400] > COUNT / 10, "both are met"
    text = server.process.log_text()
    assert " ERROR " not in text and "panicked" not in text
    assert after <= before + KEPT_MIB
    server.wait_descriptors(files, IDLE_S)


def offers(server, key: str, lane: int) -> collections.Counter:
    """Each `AT_ONCE`-th of them, one after the other; the statuses."""
    seen = collections.Counter()
    for number in range(lane, COUNT, AT_ONCE):
        name, offer = whip_mutants.mutant(SEED, number)
        resource, began = Resource(server.whip_url, key), time.monotonic()
        answer = resource.offer(offer)
        took = time.monotonic() - began
        what = f"mutant {number} of {name}: {answer}, {took:.2f} s"
        assert took <= ANSWER_S, what
        assert whip_mutants.PASSWORD not in answer.body, what
        if answer.status == 201:
            assert answer.body.startswith("v=0\r\n") and len(answer.body.encode()) <= ANSWER_BYTES, what
            assert resource.delete().status == 200, what
        else:
            assert 400 <= answer.status < 500, what
            assert "application/problem+json" in answer.headers["content-type"], what
            assert json.loads(answer.body)["detail"], what
        seen[answer.status] += 1
    return seen
