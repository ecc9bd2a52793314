"""From the push to the decoded picture, with everything on one machine of two cores."""

from harness import broadcast, meters

P95_MS = 400
FPS = 29
MEASURED_FRAMES = 900


def test_latency_of_three_layers_at_720p30(stack, room, join, push, clip):
    cast = broadcast.make(stack, room)
    pusher = push(cast.url)
    pusher.wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(20, w=1280, count=150)
    server = stack.sluicegate
    window = meters.Window([server.process.pid, *server.busy_workers()])
    mark = viewer.mark()
    viewer.wait_frame(60, mark, count=MEASURED_FRAMES)
    usage, seen = window.end(), meters.latency(pusher, viewer.frames(mark))
    pusher.end()
    print(f"{seen}\nserver and worker: {usage}")
    print(f"the same graph in bare GStreamer: {meters.bare_graph(clip)}")
    assert seen.p95 <= P95_MS
    assert seen.frames_per_second >= FPS
