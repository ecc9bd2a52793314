"""What a session takes it gives back."""

from harness import broadcast, proc, wait

CYCLES = 10
# Connections to Redis and for metrics may be open at the one look and closed at the other.
SPARE_DESCRIPTORS = 3
SETTLED_S = 15


def test_ten_sessions_leave_nothing_behind(own_stack, room, push):
    stack, server = own_stack, own_stack.sluicegate
    cast = broadcast.make(stack, room)
    run_session(cast, push)
    wait.until(lambda: not server.busy_workers(), SETTLED_S, "the first session's worker ended")
    workers, descriptors = len(server.workers()), len(proc.descriptors(server.process.pid))
    threads = proc.threads(server.process.pid)

    for _ in range(CYCLES):
        run_session(cast, push)

    def settled() -> bool:
        now = len(proc.descriptors(server.process.pid))
        return now <= descriptors + SPARE_DESCRIPTORS and len(server.workers()) == workers

    wait.until(settled, SETTLED_S, lambda: f"{describe(server)}; before: {workers} workers, {descriptors} descriptors")
    assert proc.threads(server.process.pid) <= threads + 2, "the blocking threads of the runtime come and go"
    assert server.metric("livekit_ingress_requests", type="rtmp") == 0
    cast.wait_left()
    assert proc.zombies(server.process.pid) == []


def run_session(cast, push):
    pusher = push(cast.url)
    pusher.wait_started()
    cast.wait_live()
    pusher.end()
    cast.wait_ended()
    pusher.stop()


def describe(server) -> str:
    return f"workers {server.workers()}, descriptors {sorted(proc.descriptors(server.process.pid).values())}"
