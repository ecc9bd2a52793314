"""SIGTERM lets sessions end by themselves; SIGINT or a second SIGTERM ends them now. All states are delivered."""

import signal

from harness import broadcast, ports, proc, wait
from harness.stack import http_status

NOW_S = 10


def start_session(stack, room, push):
    cast = broadcast.make(stack, room)
    pusher = push(cast.url)
    pusher.wait_started()
    cast.wait_live()
    return cast, pusher


def test_sigterm_drains(own_stack, room, join, push):
    stack, server = own_stack, own_stack.sluicegate
    cast, pusher = start_session(stack, room, push)
    viewer = join(stack, room)
    viewer.wait_moving(20)

    server.process.send(signal.SIGTERM)
    ready = f"http://127.0.0.1:{server.health_port}/readyz"
    wait.until(lambda: http_status(ready) == 503, 1, "not ready any more")
    late = broadcast.create(stack, f"{room}-late", server)
    if ports.accepts(server.rtmp_port):
        assert "shutting down" in push(late.url).refusal()["description"]
    viewer.wait_frame(10, viewer.mark(), count=60)
    assert server.process.alive(), "the live session goes on"

    pusher.end()
    assert server.process.exit_code(NOW_S) == 0
    assert not stack.api.wait_status(cast.id, "INACTIVE", 1).error
    assert stack.webhooks.wait(cast.id, "ingress_ended", 5)


def test_sigint_ends_sessions_now(own_stack, room, push):
    assert_ends_now(own_stack, room, push, [signal.SIGINT])


def test_second_sigterm_ends_sessions_now(own_stack, room, push):
    assert_ends_now(own_stack, room, push, [signal.SIGTERM, signal.SIGTERM])


def assert_ends_now(stack, room, push, signals):
    server = stack.sluicegate
    cast, pusher = start_session(stack, room, push)
    workers = server.workers()
    for number in signals:
        mark = server.process.log_size()
        server.process.send(number)
        # Two signals at once are one: the second is sent when the first was seen.
        server.process.wait_for_log(r"\S", 5, mark)
    pusher.wait("closed", NOW_S)
    assert server.process.exit_code(NOW_S) == 0
    assert stack.api.state(cast.id).ended_at > 0
    stack.webhooks.wait(cast.id, "ingress_ended", 5)
    cast.wait_left()
    wait.until(lambda: not any(proc.running(pid) for pid in workers), 5, "no worker is left")


def test_server_that_crashes_leaves_no_worker(own_stack, room, push):
    server = own_stack.sluicegate
    start_session(own_stack, room, push)
    workers = server.workers()
    server.process.kill()
    wait.until(lambda: not any(proc.running(pid) for pid in workers), 5, "no worker is left")
