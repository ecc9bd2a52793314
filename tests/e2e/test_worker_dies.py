"""A worker that is killed takes nothing with it: neither its own participant nor another session."""

import signal

from harness import broadcast, wait
from harness.subscriber import outlived

# Moving pictures are back by then (issue 3).
BACK_S = 2
# Another session's frames never stand still for as long as a worker takes to start.
UNDISTURBED_GAP_S = 1


def test_killed_worker_is_replaced_and_the_participant_stays(roomy_stack, room, join, push):
    stack = roomy_stack
    idle = set(stack.sluicegate.busy_workers())
    first = broadcast.make(stack, room)
    push(first.url).wait_started()
    viewer = join(stack, room)
    viewer.wait_moving(20)
    worker = wait.until(lambda: set(stack.sluicegate.busy_workers()) - idle, 10, "a worker that works").pop()

    other = broadcast.make(stack, f"{room}-other")
    push(other.url).wait_started()
    watcher = join(stack, other.room)
    watcher.wait_frame(20, w=1280)

    before = first.wait_tracks()
    others = watcher.mark()
    assert outlived(viewer, worker, signal.SIGKILL) <= BACK_S

    now = first.participant()
    assert now.sid == before.sid
    assert {track.sid for track in now.tracks} == {track.sid for track in before.tracks}
    assert not viewer.select("unsubscribed") and not viewer.select("unpublished")
    assert watcher.longest_gap(others) <= UNDISTURBED_GAP_S
    first.wait_live()


def test_stopped_worker_is_replaced(roomy_stack, room, join, push):
    stack = roomy_stack
    idle = set(stack.sluicegate.busy_workers())
    cast = broadcast.make(stack, room)
    push(cast.url).wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280, count=60)
    worker = wait.until(lambda: set(stack.sluicegate.busy_workers()) - idle, 10, "a worker that works").pop()
    assert outlived(viewer, worker, signal.SIGSTOP) <= BACK_S
