"""aiortc as a WHIP publisher: JSON lines out, commands in.

    whip_aiortc_child.py URL KEY [--codec vp8|h264] [--size 640x360] [--in-path] [--only audio|video]

Events: answer (status, location, body of a refusal), state, stats, stopped.
Commands: {"do": "stats"}, {"do": "stop"} (DELETE, then close).
"""

import asyncio
import itertools
import json
import sys
import time
from fractions import Fraction

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from harness import whip_picture as picture
from harness.lines import say
from harness.whip_http import Resource
from harness.whip_options import Options, parse

CLOCK = 90_000
# With `--garbage`, before the packets of each so many-th picture: H.264 packets that are none (RFC 6184).
GARBAGE_EACH = 10
GARBAGE = [
    b"",
    bytes([0x00]) + bytes(40),  # NAL units of type 0 and 31 are not defined
    bytes([0x1F]) + bytes(range(200)),
    bytes([0x78, 0xFF, 0xFF, 0x65, 1, 2]),  # STAP-A whose unit is longer than the packet
    bytes([0x78, 0x00]),
    bytes([0x7C, 0x05]) + bytes(100),  # the middle of a FU-A without its beginning
    bytes([0x7C]),
    bytes([0x65]) + bytes(range(256)),  # a slice of noise
]


class Paced(MediaStreamTrack):
    """Gives frame after frame, each at its time."""

    def __init__(self, per_second: float):
        super().__init__()
        self.per_second, self.number, self.began = per_second, 0, time.monotonic()

    async def recv(self):
        await asyncio.sleep(self.began + self.number / self.per_second - time.monotonic())
        frame = self.make(self.number)
        self.number += 1
        return frame


class Video(Paced):
    kind = "video"

    def __init__(self, width: int, height: int):
        super().__init__(picture.FPS)
        self.picture = picture.Picture(width, height)

    def make(self, number: int) -> av.VideoFrame:
        data = np.frombuffer(self.picture.frame(number), np.uint8)
        frame = av.VideoFrame.from_ndarray(data.reshape(-1, self.picture.width), "yuv420p")
        frame.pts, frame.time_base = number * CLOCK // picture.FPS, Fraction(1, CLOCK)
        return frame


class Audio(Paced):
    kind = "audio"

    def __init__(self, late_s: float):
        super().__init__(picture.SAMPLE_RATE / picture.BLOCK_SAMPLES)
        self.began += late_s
        self.sound = picture.Sound()

    def make(self, number: int) -> av.AudioFrame:
        data = np.frombuffer(self.sound.block(number), np.int16)
        frame = av.AudioFrame.from_ndarray(data.reshape(1, -1), "s16", "stereo")
        frame.sample_rate = picture.SAMPLE_RATE
        frame.pts, frame.time_base = number * picture.BLOCK_SAMPLES, Fraction(1, picture.SAMPLE_RATE)
        return frame


class Publisher:
    def __init__(self, options: Options):
        self.options = options
        self.resource = Resource(options.url, options.key, options.in_path)
        self.pc = RTCPeerConnection()
        self.pc.on("connectionstatechange", self._state)

    async def run(self) -> None:
        if self.options.only != "audio":
            video = self.pc.addTransceiver(Video(*self.options.size), "sendonly")
            video.setCodecPreferences(self._codecs())
            if self.options.garbage:
                spoil(video.sender)
        if self.options.only != "video":
            self.pc.addTransceiver(Audio(self.options.late_sound_s), "sendonly")
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await asyncio.to_thread(self.resource.offer, self.pc.localDescription.sdp)
        refusal = "" if answer.status == 201 else answer.body
        say("answer", status=answer.status, headers=answer.headers, url=self.resource.url, body=refusal)
        if answer.status == 201:
            await self.pc.setRemoteDescription(RTCSessionDescription(answer.body, "answer"))
        await self._commands()

    def _codecs(self) -> list:
        wanted = f"video/{self.options.codec}"
        return [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType.lower() == wanted]

    def _state(self) -> None:
        say("state", state=self.pc.connectionState)

    async def _commands(self) -> None:
        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        while line := await stdin.readline():
            match json.loads(line)["do"]:
                case "stats":
                    say("stats", **await self._stats())
                case "stop":
                    answer = await asyncio.to_thread(self.resource.delete)
                    await self.pc.close()
                    say("stopped", status=answer.status)
                    return

    async def _stats(self) -> dict:
        sent = [s for s in (await self.pc.getStats()).values() if s.type == "outbound-rtp"]
        return {"packets": sum(s.packetsSent for s in sent), "bytes": sum(s.bytesSent for s in sent)}


def spoil(sender: RTCRtpSender) -> None:
    """Has it send garbage between what it encodes."""
    encoded, numbers = sender._next_encoded_frame, itertools.count(1)

    async def spoilt(codec):
        frame = await encoded(codec)
        if frame and next(numbers) % GARBAGE_EACH == 0:
            frame.payloads = [*GARBAGE, *frame.payloads]
        return frame

    sender._next_encoded_frame = spoilt


asyncio.run(Publisher(parse()).run())
