"""Somebody who means no good to a WHIP endpoint: JSON lines out.

    whip_abuse_child.py wrong-keys|handshakes|large|slow URL KEY COUNT

Events: done (what was answered how often, by status; "closed" where the connection was).
"""

import asyncio
import collections
import os
import re
import socket
import sys
from urllib.parse import urlsplit

from aioice import stun

from harness import whip_offers
from harness.lines import say

# Row 14 of faults.md; handshakes: all of them are under way at once, since each has 10 s.
WRONG_KEYS_PER_S, OFFERS_PER_S = 1000, 250
AT_ONCE = 16
# One byte of a slow body.
DRIP_S = 1
ANSWER_S = 30
# A DTLS 1.2 ClientHello with one cipher suite and no extension, sent once.
HELLO = (
    bytes.fromhex("16fefd000000000000000000360100002a000000000000002afefd")
    + bytes(32)
    + bytes.fromhex("00000002c02b0100")
)


class Abuser:
    def __init__(self, url: str, key: str):
        parts = urlsplit(url)
        self.host, self.port, self.path, self.key = parts.hostname, parts.port, parts.path, key
        self.seen: collections.Counter[str] = collections.Counter()

    async def run(self, kind: str, count: int) -> None:
        await getattr(self, kind.replace("-", "_"))(count)
        say("done", seen=self.seen)

    def head(self, key: str, length: int, more: str = "") -> bytes:
        text = f"POST {self.path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {key}\r\n{more}"
        return f"{text}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n".encode()

    async def wrong_keys(self, count: int) -> None:
        """All from one address but for each tenth, which a proxy says is from another one each time."""
        offer = whip_offers.GOOD.encode()

        def request(number: int) -> bytes:
            far = (
                f"X-Forwarded-For: 10.{number >> 16}.{number >> 8 & 255}.{number & 255}\r\n" if number % 10 == 0 else ""
            )
            return self.head(f"guess-{number}", len(offer), far) + offer

        await self.paced(count, WRONG_KEYS_PER_S, request)

    async def handshakes(self, count: int) -> None:
        """Right keys, then nothing; or an answered check and nothing; or a ClientHello, too, or an unanswered one."""
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(AT_ONCE)]
        for one in sockets:
            one.setblocking(False)

        def request(number: int) -> bytes:
            setup = ("actpass", "actpass", "active", "passive")[number % 4]
            offer = whip_offers.GOOD.replace("a=setup:actpass", f"a=setup:{setup}").encode()
            return self.head(self.key, len(offer)) + offer

        def answered(number: int, status: int, body: str) -> None:
            if status == 201 and number % 4:
                self.knock(sockets[number % AT_ONCE], body, hello=number % 4 == 2)

        await self.paced(count, OFFERS_PER_S, request, answered)

    def knock(self, by: socket.socket, answer: str, hello: bool) -> None:
        """A check that the server answers, and the first message of a handshake."""
        value = lambda name: re.search(rf"^a={name}:(\S+)", answer, re.M)[1]  # noqa: E731
        address, port = re.search(r"^a=candidate:\S+ 1 udp \d+ (\d\S+\.\d+) (\d+) typ host", answer, re.M).groups()
        check = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        check.attributes["USERNAME"] = f"{value('ice-ufrag')}:{whip_offers.UFRAG}"
        check.attributes["PRIORITY"] = 2_122_260_223
        check.attributes["ICE-CONTROLLING"] = int.from_bytes(os.urandom(8))
        check.attributes["USE-CANDIDATE"] = None
        check.add_message_integrity(value("ice-pwd").encode())
        for datagram in [bytes(check), HELLO][: 1 + hello]:
            by.sendto(datagram, (address, int(port)))

    async def large(self, count: int) -> None:
        await self.paced(count, OFFERS_PER_S, lambda _: self.head(self.key, len(whip_offers.LARGE)) + whip_offers.LARGE)

    async def slow(self, count: int) -> None:
        """Bodies that come byte by byte, until the server closes."""
        await asyncio.gather(*(self.drip() for _ in range(count)))

    async def drip(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            writer.write(self.head(self.key, 1000))
            answer = asyncio.create_task(reader.readline())
            while not (await asyncio.wait([answer], timeout=DRIP_S))[0]:
                writer.write(b"v")
            self.seen[(answer.result().split() or [b"", b"closed"])[1].decode()] += 1
            writer.close()
        except OSError:
            self.seen["closed"] += 1

    async def paced(self, count: int, per_s: int, request, answered=lambda *_: None) -> None:
        """So many requests at an even pace over some connections that are kept."""
        numbers, loop = iter(range(count)), asyncio.get_running_loop()
        began = loop.time()

        async def work() -> None:
            reader = writer = None
            for number in numbers:
                await asyncio.sleep(began + number / per_s - loop.time())
                try:
                    if writer is None:
                        reader, writer = await asyncio.open_connection(self.host, self.port)
                    writer.write(request(number))
                    status, body = await asyncio.wait_for(answer(reader), ANSWER_S)
                except (OSError, asyncio.IncompleteReadError):
                    self.seen["closed"] += 1
                    writer = None
                    continue
                self.seen[str(status)] += 1
                answered(number, status, body)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"^content-length: (\d+)", head, re.M | re.I)
    body = await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split()[1]), body.decode()


asyncio.run(Abuser(sys.argv[2], sys.argv[3]).run(sys.argv[1], int(sys.argv[4])))
