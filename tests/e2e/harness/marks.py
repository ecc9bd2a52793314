"""Puts SCTE 35 splices and ID3 tags into a transport stream, which no program of Debian's does.

ISO/IEC 13818-1 (packets, tables, PES), SCTE 35 §9.7.3 (`splice_insert`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

PACKET = 188
SPLICES, TAGS = 0x1F0, 0x1F1
_SPLICE_STREAM = bytes([0x86, 0xE0 | SPLICES >> 8, SPLICES & 0xFF, 0xF0, 6, 5, 4]) + b"CUEI"
_TAG_METADATA = bytes([0x26, 13, 0xFF, 0xFF]) + b"ID3 \xffID3 \x00\x0f"
_TAG_STREAM = bytes([0x15, 0xE0 | TAGS >> 8, TAGS & 0xFF, 0xF0, len(_TAG_METADATA)]) + _TAG_METADATA


@dataclass(frozen=True)
class Splice:
    """Out of the network or back, for the picture that comes so many seconds after the first one."""

    at: float
    event: int
    out: bool

    def packet(self, pts: int, count: int) -> bytes:
        flags = 0x40 | 0x0F | (0x80 if self.out else 0)
        insert = self.event.to_bytes(4) + bytes([0x7F, flags, 0xFE | pts >> 32 & 1]) + (pts & 0xFFFFFFFF).to_bytes(4)
        insert += bytes([0, 1, 0, 0])
        body = bytes([0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, len(insert), 5]) + insert + bytes(2)
        return _section_packet(SPLICES, count, bytes([0xFC]) + (0x3000 | len(body) + 4).to_bytes(2) + body)


@dataclass(frozen=True)
class Tag:
    """An ID3v2.4 tag with one TXXX frame, of that time."""

    at: float
    text: str

    def packet(self, pts: int, count: int) -> bytes:
        value = b"\x03\x00" + self.text.encode() + b"\x00"
        frame = b"TXXX" + len(value).to_bytes(4) + bytes(2) + value
        tag = b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(frame)]) + frame
        pes = b"\x00\x00\x01\xbd" + (len(tag) + 8).to_bytes(2) + bytes([0x84, 0x80, 5]) + _pts(pts) + tag
        # An adaptation field fills the packet.
        fill = PACKET - 4 - len(pes)
        assert fill >= 2, "a tag is one packet"
        field = bytes([fill - 1, 0]) + b"\xff" * (fill - 2)
        return bytes([0x47, 0x40 | TAGS >> 8, TAGS & 0xFF, 0x30 | count]) + field + pes


def put(stream: bytes, marks: list[Splice | Tag]) -> bytes:
    """The stream with those marks, each before the packet of the first picture that is not earlier."""
    table = _first_table(stream)
    waiting, counts, first = sorted(marks, key=lambda mark: mark.at), {Splice: 0, Tag: 0}, None
    pieces: list[bytes] = []
    for packet in _packets(stream):
        if _pid(packet) == table and packet[1] & 0x40:
            packet = _with_streams(packet)
        pts = _video_pts(packet)
        if pts is not None:
            first = pts if first is None else min(first, pts)
            while waiting and pts - first >= 90_000 * waiting[0].at:
                mark = waiting.pop(0)
                pieces.append(mark.packet(first + round(90_000 * mark.at), counts[type(mark)] % 16))
                counts[type(mark)] += 1
        pieces.append(packet)
    assert not waiting, f"the stream ends before {waiting}"
    return b"".join(pieces)


def _packets(stream: bytes) -> Iterator[bytes]:
    return (stream[at : at + PACKET] for at in range(0, len(stream), PACKET))


def _pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def _payload(packet: bytes) -> int:
    return 5 + packet[4] if packet[3] & 0x20 else 4


def _first_table(stream: bytes) -> int:
    """The PID of the first program's table."""
    packet = next(packet for packet in _packets(stream) if _pid(packet) == 0)
    section = packet[_payload(packet) + 1 :]
    return (section[10] & 0x1F) << 8 | section[11]


def _with_streams(packet: bytes) -> bytes:
    at = _payload(packet) + 1
    length = (packet[at + 1] & 0x0F) << 8 | packet[at + 2]
    section = packet[at : at + 3 + length - 4] + _SPLICE_STREAM + _TAG_STREAM
    # Its own length counts what follows, the check sum too.
    section = section[:1] + (0xB000 | len(section) + 1).to_bytes(2) + section[3:]
    return _section_packet(_pid(packet), packet[3] & 0x0F, section)


def _section_packet(pid: int, count: int, section: bytes) -> bytes:
    packet = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | count, 0]) + section + _crc(section).to_bytes(4)
    assert len(packet) <= PACKET, "a section is one packet"
    return packet.ljust(PACKET, b"\xff")


def _video_pts(packet: bytes) -> int | None:
    payload = packet[_payload(packet) :] if packet[1] & 0x40 else b""
    if payload[:3] != b"\x00\x00\x01" or payload[3] & 0xF0 != 0xE0 or not payload[7] & 0x80:
        return None
    a, b, c, d, e = payload[9:14]
    return (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1


def _pts(pts: int) -> bytes:
    return bytes(
        [0x21 | pts >> 29 & 0x0E, pts >> 22 & 0xFF, pts >> 14 & 0xFE | 1, pts >> 7 & 0xFF, pts << 1 & 0xFE | 1]
    )


def _crc(data: bytes) -> int:
    """CRC-32/MPEG-2."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc
