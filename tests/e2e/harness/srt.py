"""SRT clients that send the test clip, and a bad network for them."""

import heapq
import itertools
import random
import select
import socket
import threading
import time
from pathlib import Path

from harness.process import Process
from harness.whip_relay import LARGEST, Due, Weather

# For what was lost to be sent again several times, on a busy machine.
LATENCY_MS = 1000


class Relay:
    """`port` in the place of the server's UDP `port`, for one client. Delays do not change the order of datagrams."""

    def __init__(self, port: int, loss: float = 0.02, jitter_s: float = 0.05, seed: int = 1):
        self.ways = [Weather(loss, jitter_s, random.Random(f"{seed} {way}")) for way in ("up", "down")]
        self.front, self.back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.front.bind(("127.0.0.1", 0))
        self.back.bind(("127.0.0.1", 0))
        self.port, self.server, self.client = self.front.getsockname()[1], ("127.0.0.1", port), None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def lost(self) -> int:
        return sum(way.lost for way in self.ways)

    def stop(self) -> None:
        self.ending.set()
        self.thread.join()
        self.front.close()
        self.back.close()

    def _run(self) -> None:
        due: list[Due] = []
        orders, last = itertools.count(), [0.0, 0.0]
        while not self.ending.is_set():
            now = time.monotonic()
            while due and due[0].at <= now:
                datagram = heapq.heappop(due)
                datagram.by.sendto(datagram.data, datagram.to)
            wait_s = min(max(due[0].at - now, 0), 0.1) if due else 0.1
            for ready in select.select([self.front, self.back], [], [], wait_s)[0]:
                data, sender = ready.recvfrom(LARGEST)
                up = ready is self.front
                if up:
                    self.client = sender
                delay = self.ways[not up].delay()
                if delay is None:
                    continue
                last[up] = max(last[up], time.monotonic() + delay)
                by, to = (self.back, self.server) if up else (self.front, self.client)
                heapq.heappush(due, Due(last[up], next(orders), by, to, data))


def ffmpeg(port: int, stream_id: str, clip: Path, logs: Path, options: str = "") -> Process:
    """Plays the clip, again and again, to a listener; `options` are further ones of the URL."""
    url = f"srt://127.0.0.1:{port}?streamid={stream_id}&latency={LATENCY_MS * 1000}&pkt_size=1316{options}"
    return Process(f"ffmpeg-{port}", _ffmpeg(clip, url), logs)


def ffmpeg_listener(port: int, clip: Path, logs: Path) -> Process:
    """The same to whoever calls."""
    return Process(f"ffmpeg-{port}", _ffmpeg(clip, f"srt://127.0.0.1:{port}?mode=listener&pkt_size=1316"), logs)


def srtsink(port: int, stream_id: str, clip: Path, logs: Path) -> Process:
    """Plays the clip once, to a listener, with GStreamer."""
    argv = ["gst-launch-1.0", "filesrc", f"location={clip}", "!", "flvdemux", "name=d"]
    argv += ["mpegtsmux", "name=m", "alignment=7", "!", "srtsink", f"uri=srt://127.0.0.1:{port}"]
    argv += [f"streamid={stream_id}", f"latency={LATENCY_MS}", "wait-for-connection=true"]
    argv += ["d.video", "!", "queue", "!", "h264parse", "config-interval=-1", "!", "identity", "sync=true", "!", "m."]
    argv += ["d.audio", "!", "queue", "!", "aacparse", "!", "identity", "sync=true", "!", "m."]
    return Process(f"srtsink-{port}", argv, logs)


def _ffmpeg(clip: Path, url: str) -> list[str]:
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "info", "-re", "-stream_loop", "-1", "-i", str(clip)]
    return [*argv, "-c", "copy", "-f", "mpegts", url]
