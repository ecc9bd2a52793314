"""One process that publishes a clip to many sessions: a process each would cost more than what is measured.

    python -m bench.fleet_child FILE

Commands on standard input: {"do": "publish", "url": rtmp-url}, {"do": "end"}. Events: taken, refused and closed, each
with its url. Sessions play the same clip, each from its own start on, so that their keyframes are spread.
"""

import heapq
import json
import select
import sys
import threading
import time
from queue import Empty, SimpleQueue
from urllib.parse import urlparse

from harness import rtmp
from harness.lines import say
from harness.pusher_child import Tag, tags

# While nobody publishes, orders are looked for this often.
IDLE_S = 0.05


class Publisher:
    """One connection, and where in the clip it is."""

    def __init__(self, url: str, media: list[Tag], headers: list[Tag]):
        self.url, self.media = url, media
        parts = urlparse(url)
        app, _, self.key = parts.path.lstrip("/").rpartition("/")
        self.connection = rtmp.Connection(parts.hostname, parts.port)
        base = f"rtmp://{parts.netloc}/{app}"
        self.stream, status = self.connection.publish(app, self.key, base)
        if status["level"] == "error":
            raise ConnectionRefusedError(status["description"])
        self.lap_ms = max(tag.time for tag in media) - media[0].time + 33
        self.start, self.at, self.lap = time.monotonic(), 0, 0
        for tag in headers:
            self._send(tag, 0)

    def due(self) -> float:
        return self.start + self._time() / 1000

    def step(self) -> None:
        """Sends what is due."""
        self._send(self.media[self.at], self._time())
        self.at += 1
        if self.at == len(self.media):
            self.at, self.lap = 0, self.lap + 1
        # What the server says is of no interest, but it must not fill the buffers.
        if select.select([self.connection.socket], [], [], 0)[0] and not self.connection.socket.recv(65536):
            raise EOFError("the server closed the connection")

    def end(self) -> None:
        self.connection.unpublish(self.stream, self.key)
        self.connection.socket.close()

    def _time(self) -> int:
        return self.media[self.at].time - self.media[0].time + self.lap * self.lap_ms

    def _send(self, tag: Tag, at: int) -> None:
        picture = tag.kind == rtmp.VIDEO
        self.connection.send(6 if picture else 4, tag.kind, self.stream, at, tag.body)


def read_orders(orders: SimpleQueue) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    orders.put({"do": "end"})


def connect(url: str, media: list[Tag], headers: list[Tag], ready: SimpleQueue) -> None:
    """On a thread of its own: the others play on meanwhile."""
    try:
        ready.put(Publisher(url, media, headers))
        say("taken", url=url)
    except (OSError, EOFError) as error:
        say("refused", url=url, why=str(error))


def main() -> None:
    everything = [tag for tag in tags(sys.argv[1]) if tag.kind in (rtmp.AUDIO, rtmp.VIDEO)]
    headers = [tag for tag in everything if tag.is_header()]
    media = [tag for tag in everything if not tag.is_header()]
    orders, ready, playing, number = SimpleQueue(), SimpleQueue(), [], 0
    threading.Thread(target=read_orders, args=(orders,), daemon=True).start()
    while True:
        while not orders.empty():
            order = orders.get()
            if order["do"] == "end":
                for *_, publisher in playing:
                    publisher.end()
                return
            threading.Thread(target=connect, args=(order["url"], media, headers, ready), daemon=True).start()
        try:
            publisher = ready.get_nowait()
            number += 1
            heapq.heappush(playing, (publisher.due(), number, publisher))
        except Empty:
            pass
        if not playing:
            time.sleep(IDLE_S)
            continue
        due, order, publisher = playing[0]
        time.sleep(min(IDLE_S, max(0, due - time.monotonic())))
        if due > time.monotonic():
            continue
        try:
            publisher.step()
            heapq.heapreplace(playing, (publisher.due(), order, publisher))
        except (OSError, EOFError) as error:
            heapq.heappop(playing)
            say("closed", url=publisher.url, why=str(error))


if __name__ == "__main__":
    main()
