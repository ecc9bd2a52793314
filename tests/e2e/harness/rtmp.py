"""Just enough of an RTMP publishing client to see each answer of the server and to log each frame's time.

Written from the RTMP 1.0 and AMF0 specifications; it shares no code with the server.
"""

import os
import socket
import struct

CHUNK = 4096
CONNECT_S = 10
ANSWER_S = 15

SET_CHUNK_SIZE, AUDIO, VIDEO, DATA, COMMAND = 1, 8, 9, 18, 20


def encode(value) -> bytes:
    """One AMF0 value."""
    match value:
        case None:
            return b"\x05"
        case bool():
            return bytes([1, value])
        case int() | float():
            return b"\x00" + struct.pack(">d", value)
        case str():
            return b"\x02" + _short(value)
        case dict():
            body = b"".join(_short(key) + encode(item) for key, item in value.items())
            return b"\x03" + body + b"\x00\x00\x09"
    raise TypeError(value)


def _short(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def decode(data: bytes) -> list:
    """All AMF0 values in a command message."""
    values, at = [], 0
    while at < len(data):
        value, at = _decode_one(data, at)
        values.append(value)
    return values


def _decode_one(data: bytes, at: int):
    marker, at = data[at], at + 1
    match marker:
        case 0:
            return struct.unpack_from(">d", data, at)[0], at + 8
        case 1:
            return bool(data[at]), at + 1
        case 2:
            return _text(data, at)
        case 3:
            return _pairs(data, at)
        case 8:
            return _pairs(data, at + 4)
        case 10:
            count, at, items = struct.unpack_from(">I", data, at)[0], at + 4, []
            for _ in range(count):
                item, at = _decode_one(data, at)
                items.append(item)
            return items, at
        case 5 | 6:
            return None, at
        case 10:
            return _array(data, at)
    raise ValueError(f"AMF0 marker {marker} at byte {at - 1}")


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + struct.unpack_from(">H", data, at)[0]
    return data[at + 2 : end].decode(), end


def _array(data: bytes, at: int) -> tuple[list, int]:
    found, count, at = [], struct.unpack_from(">I", data, at)[0], at + 4
    for _ in range(count):
        value, at = _decode_one(data, at)
        found.append(value)
    return found, at


def _pairs(data: bytes, at: int) -> tuple[dict, int]:
    found = {}
    while data[at : at + 3] != b"\x00\x00\x09":
        key, at = _text(data, at)
        found[key], at = _decode_one(data, at)
    return found, at + 3


class Connection:
    """A client connection after the simple handshake."""

    def __init__(self, host: str, port: int):
        self.socket = socket.create_connection((host, port), CONNECT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(ANSWER_S)
        self.received = b""
        self.in_chunk = 128
        self.streams: dict[int, dict] = {}
        self._handshake()
        self.out_chunk = 128
        self.send(2, SET_CHUNK_SIZE, 0, 0, struct.pack(">I", CHUNK))
        self.out_chunk = CHUNK

    def _handshake(self) -> None:
        self.socket.sendall(b"\x03" + bytes(8) + os.urandom(1528))
        answer = self._read(1 + 1536)
        self._read(1536)
        self.socket.sendall(answer[1:])

    def _read(self, count: int) -> bytes:
        while len(self.received) < count:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("the server closed the connection")
            self.received += data
        head, self.received = self.received[:count], self.received[count:]
        return head

    def send(self, chunk_stream: int, kind: int, stream: int, time_ms: int, payload: bytes) -> None:
        """One message as a type-0 chunk and type-3 ones after it."""
        extended = struct.pack(">I", time_ms) if time_ms >= 0xFFFFFF else b""
        short = min(time_ms, 0xFFFFFF).to_bytes(3, "big")
        head = bytes([chunk_stream]) + short + len(payload).to_bytes(3, "big") + bytes([kind])
        parts = [head + struct.pack("<I", stream) + extended + payload[: self.out_chunk]]
        for at in range(self.out_chunk, len(payload), self.out_chunk):
            parts.append(bytes([0xC0 | chunk_stream]) + extended + payload[at : at + self.out_chunk])
        self.socket.sendall(b"".join(parts))

    def command(self, stream: int, *values) -> None:
        self.send(8 if stream else 3, COMMAND, stream, 0, b"".join(encode(value) for value in values))

    def message(self) -> tuple[int, bytes]:
        """The next whole message of the server but for chunk sizes, which are obeyed."""
        while True:
            done = self._chunk()
            if done and done[0] == SET_CHUNK_SIZE:
                self.in_chunk = struct.unpack(">I", done[1])[0]
            elif done:
                return done

    def _chunk(self) -> tuple[int, bytes] | None:
        first = self._read(1)[0]
        form, number = first >> 6, first & 63
        if number == 0:
            number = 64 + self._read(1)[0]
        stream = self.streams.setdefault(number, {"length": 0, "kind": 0, "extended": False, "body": b""})
        head = self._read((11, 7, 3, 0)[form])
        if form < 3:
            stream["extended"] = head[:3] == b"\xff\xff\xff"
        if form < 2:
            stream["length"], stream["kind"] = int.from_bytes(head[3:6], "big"), head[6]
        if stream["extended"]:
            self._read(4)
        stream["body"] += self._read(min(self.in_chunk, stream["length"] - len(stream["body"])))
        if len(stream["body"]) < stream["length"]:
            return None
        body, stream["body"] = stream["body"], b""
        return stream["kind"], body

    def answer(self, to: str | int) -> list:
        """The values of the command `to`, or of the _result or _error of this transaction."""
        while True:
            kind, body = self.message()
            if kind != COMMAND:
                continue
            values = decode(body)
            if values[0] == to or (values[0] in ("_result", "_error") and values[1] == to):
                return values

    def publish(self, app: str, key: str, url: str) -> tuple[int, dict]:
        """OBS's command sequence. Returns the message stream and the `info` object of onStatus."""
        self.command(0, "connect", 1, {"app": app, "type": "nonprivate", "flashVer": "FMLE/3.0", "tcUrl": url})
        self.answer(1)
        self.command(0, "releaseStream", 2, None, key)
        self.command(0, "FCPublish", 3, None, key)
        self.command(0, "createStream", 4, None)
        stream = int(self.answer(4)[3])
        self.command(stream, "publish", 5, None, key, "live")
        return stream, self.answer("onStatus")[3]

    def unpublish(self, stream: int, key: str) -> None:
        self.command(0, "FCUnpublish", 6, None, key)
        self.command(0, "deleteStream", 7, None, stream)

    def reset(self) -> None:
        """Closes with a TCP reset, as a host that lost power seems to after it came back."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
