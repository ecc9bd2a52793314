"""A bad network between a WHIP publisher and the server: loses and delays datagrams, the same ones for a seed.

It is an HTTP proxy too: candidates are taken out of what the publisher sends, and the server's are replaced by one of
the relay's own, so that every client's media goes this way without knowing of it.
"""

import heapq
import http.server
import itertools
import random
import re
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.whip_http import request

CANDIDATE = re.compile(r"^a=candidate:(\S+) (\d) (\S+) (\d+) (\S+) (\d+) typ ")
LARGEST = 2048
KEPT = ("content-type", "authorization", "if-match", "origin")
KEPT += ("access-control-request-method", "access-control-request-headers")
NOT_PASSED_ON = ("content-length", "connection", "date", "server", "transfer-encoding")


@dataclass
class Weather:
    """What happens to the datagrams of one direction."""

    loss: float
    jitter_s: float
    dice: random.Random
    sent: int = 0
    lost: int = 0

    def delay(self) -> float | None:
        """Seconds for the next datagram, None when it is lost."""
        lost, delay = self.dice.random() < self.loss, self.dice.random() * self.jitter_s
        self.sent += 1
        self.lost += lost
        return None if lost else delay


@dataclass(order=True)
class Due:
    at: float
    order: int
    by: socket.socket = field(compare=False)
    to: tuple = field(compare=False)
    data: bytes = field(compare=False)


class Relay:
    """`url` in the place of the server's `endpoint`. `cut` drops everything while it is true."""

    def __init__(self, endpoint: str, loss: float = 0.05, jitter_s: float = 0.05, seed: int = 1):
        parts = urlsplit(endpoint)
        self.origin, self.path = f"{parts.scheme}://{parts.netloc}", parts.path
        self.up, self.down = (Weather(loss, jitter_s, random.Random(f"{seed} {way}")) for way in ("up", "down"))
        self.cut = False
        self.server: tuple | None = None
        self.front: socket.socket | None = None
        self.backs: dict[tuple, socket.socket] = {}
        self.owners: dict[socket.socket, tuple] = {}
        self.due: list[Due] = []
        self.orders = itertools.count()
        self.ending = threading.Event()
        self.media: threading.Thread | None = None
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{self.path}"

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.ending.set()
        if self.media:
            self.media.join()
        for one in (self.front, *self.backs.values()):
            if one:
                one.close()

    def _handler(relay):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                relay._pass_on(self)

            do_POST = do_PATCH = do_DELETE = do_OPTIONS = handle_any

        return Handler

    def _pass_on(self, client: http.server.BaseHTTPRequestHandler) -> None:
        body = client.rfile.read(int(client.headers.get("content-length", 0))).decode()
        headers = {name.replace("-", "_"): value for name in KEPT if (value := client.headers.get(name))}
        body = re.sub(r"^a=candidate:.*\r?\n", "", body, flags=re.M)
        answer = request(client.command, self.origin + client.path, body or None, **headers)
        text = self._ours(answer.body).encode()
        client.send_response(answer.status)
        for name, value in answer.headers.items():
            if name not in NOT_PASSED_ON:
                client.send_header(name, value.removeprefix(self.origin))
        # There is no body, and so no length, with a 204.
        if answer.status != 204:
            client.send_header("content-length", str(len(text)))
        client.end_headers()
        client.wfile.write(text)

    def _ours(self, sdp: str) -> str:
        """The same with our candidate in the place of the first over UDP in each m-line, and none of the others."""
        lines, here = [], False
        for line in sdp.splitlines(keepends=True):
            here &= not line.startswith("m=")
            found = CANDIDATE.match(line)
            if not found:
                lines.append(line)
            elif found[3].lower() == "udp" and not here:
                here = True
                self._listen((found[5], int(found[6])))
                port = self.front.getsockname()[1]
                lines.append(f"a=candidate:1 1 udp {found[4]} {found[5]} {port} typ host\r\n")
        return "".join(lines)

    def _listen(self, server: tuple) -> None:
        self.server = server
        if self.front:
            return
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.front = socket.socket(family, socket.SOCK_DGRAM)
        # At the server's address: the publisher's checks are answered from where they were sent to.
        self.front.bind((server[0], 0))
        self.media = threading.Thread(target=self._run, daemon=True)
        self.media.start()

    def _run(self) -> None:
        while not self.ending.is_set():
            ahead = self.due[0].at - time.monotonic() if self.due else 0.05
            ready, _, _ = select.select([self.front, *self.backs.values()], [], [], max(0, min(ahead, 0.05)))
            for one in ready:
                data, source = one.recvfrom(LARGEST)
                if one is self.front:
                    self._throw(self.up, self._back(source), self.server, data)
                else:
                    self._throw(self.down, self.front, self.owners[one], data)
            now = time.monotonic()
            while self.due and self.due[0].at <= now:
                late = heapq.heappop(self.due)
                late.by.sendto(late.data, late.to)

    def _back(self, publisher: tuple) -> socket.socket:
        """Each address of a publisher has a socket of its own towards the server."""
        if publisher not in self.backs:
            back = socket.socket(self.front.family, socket.SOCK_DGRAM)
            back.bind((self.server[0], 0))
            self.backs[publisher], self.owners[back] = back, publisher
        return self.backs[publisher]

    def _throw(self, weather: Weather, by: socket.socket, to: tuple, data: bytes) -> None:
        delay = weather.delay()
        if delay is not None and not self.cut:
            heapq.heappush(self.due, Due(time.monotonic() + delay, next(self.orders), by, to, data))
