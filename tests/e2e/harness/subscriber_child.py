"""The Python subscriber's process: LiveKit's SDK (libwebrtc) in, JSON lines out.

    subscriber_child.py URL TOKEN [--manual] [--quality low|medium|high]

Lines on standard output are events, see `subscriber.py`; lines on standard input are commands:
{"do": "quality", "quality": "low"}, {"do": "subscribe", "on": false}, {"do": "stats"}, {"do": "leave"}.
"""

import argparse
import asyncio
import json
import sys
import time

import numpy as np
from livekit import rtc

from harness import clip
from harness.lines import say

# The clip's beep has an amplitude of 0.6 of full scale, its background 0.02.
BEEP_LEVEL = 6000
# The quietest 10 ms of the bench's clips are far above it; a gap in the sound is below.
QUIET_LEVEL = 60
# Longer than the beep, shorter than the second between two.
BEEP_GAP_S = 0.5
SAMPLE_RATE = 48_000
# One line about the sound every so often.
AUDIO_REPORT_S = 0.25


class Subscriber:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.room = rtc.Room()
        self.quality: str | None = options.quality
        self.readers: dict[str, asyncio.Task] = {}
        self.left = asyncio.Event()

    async def run(self) -> None:
        self._listen()
        options = rtc.RoomOptions(auto_subscribe=not self.options.manual)
        await self.room.connect(self.options.url, self.options.token, options)
        say("joined", sid=await self.room.sid)
        for participant in self.room.remote_participants.values():
            self._participant(participant, True)
            for publication in participant.track_publications.values():
                self._published(publication, participant)
        commands = asyncio.create_task(self._commands())
        await self.left.wait()
        commands.cancel()
        for reader in self.readers.values():
            reader.cancel()
        await self.room.disconnect()

    def _listen(self) -> None:
        room = self.room
        room.on("participant_connected", lambda who: self._participant(who, True))
        room.on("participant_disconnected", lambda who: self._participant(who, False))
        room.on("track_published", self._published)
        room.on("track_unpublished", lambda track, who: say("unpublished", sid=track.sid))
        room.on("track_subscribed", self._subscribed)
        room.on("track_unsubscribed", self._unsubscribed)
        room.on("active_speakers_changed", lambda who: say("speakers", who=[one.identity for one in who]))
        room.on("data_received", lambda it: say("data", topic=it.topic or "", text=it.data.decode(errors="replace")))
        room.on("participant_attributes_changed", lambda changed, _who: say("attributes", changed=dict(changed)))
        room.on("reconnecting", lambda: say("reconnecting"))
        room.on("reconnected", lambda: say("reconnected"))
        room.on("disconnected", lambda reason: say("disconnected", reason=str(reason)))

    def _participant(self, who: rtc.RemoteParticipant, here: bool) -> None:
        attributes = dict(who.attributes)
        say("participant", here=here, sid=who.sid, identity=who.identity, kind=int(who.kind), attributes=attributes)

    def _published(self, track: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        say("published", sid=track.sid, who=who.identity, **describe(track))

    def _subscribed(self, track: rtc.Track, publication: rtc.RemoteTrackPublication, who) -> None:
        say("subscribed", sid=track.sid, who=who.identity, **describe(publication))
        video = track.kind == rtc.TrackKind.KIND_VIDEO
        # The SDK refuses a choice among one layer, with an exception that would end this handler.
        if video and self.quality and publication.simulcasted:
            publication.set_video_quality(quality_of(self.quality))
        self.readers[track.sid] = asyncio.create_task(read_video(track) if video else read_audio(track))

    def _unsubscribed(self, track: rtc.Track, _publication, _who) -> None:
        say("unsubscribed", sid=track.sid)
        if reader := self.readers.pop(track.sid, None):
            reader.cancel()

    async def _commands(self) -> None:
        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        while line := await stdin.readline():
            command = json.loads(line)
            await getattr(self, "do_" + command.pop("do"))(**command)
        self.left.set()

    async def do_quality(self, quality: str) -> None:
        self.quality = quality
        for publication in self._publications():
            if publication.kind == rtc.TrackKind.KIND_VIDEO:
                publication.set_video_quality(quality_of(quality))
        say("quality", quality=quality)

    async def do_subscribe(self, on: bool) -> None:
        for publication in self._publications():
            publication.set_subscribed(on)
        say("asked_to_subscribe", on=on)

    async def do_stats(self) -> None:
        found = {}
        for publication in self._publications():
            if publication.track:
                found[publication.sid] = await inbound(publication.track)
        say("stats", tracks=found)

    async def do_leave(self) -> None:
        self.left.set()

    def _publications(self) -> list[rtc.RemoteTrackPublication]:
        return [t for who in self.room.remote_participants.values() for t in who.track_publications.values()]


def describe(track: rtc.RemoteTrackPublication) -> dict:
    return {
        "kind": "video" if track.kind == rtc.TrackKind.KIND_VIDEO else "audio",
        "name": track.name,
        "source": int(track.source),
        "width": track.width,
        "height": track.height,
        "simulcast": track.simulcasted,
        "mime": track.mime_type,
    }


def quality_of(name: str):
    return getattr(rtc.VideoQuality, "VIDEO_QUALITY_" + name.upper())


async def read_video(track: rtc.Track) -> None:
    # No queue limit: a frame dropped here would look like one that the server lost.
    async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420, capacity=0):
        at = time.time()
        frame = event.frame
        width, height = frame.width, frame.height
        luma = np.frombuffer(frame.data, dtype=np.uint8, count=width * height).reshape(height, width)
        number, flash, mean = clip.read_counter(luma), clip.flashes(luma), luma[::8, ::8].mean()
        say("frame", sid=track.sid, at=at, w=width, h=height, n=number, flash=flash, mean=round(float(mean), 2))


async def read_audio(track: rtc.Track) -> None:
    quiet_until = next_report = 0.0
    peak = samples = quiet = longest = 0
    async for event in rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1):
        at = time.time()
        level = np.abs(np.frombuffer(event.frame.data, dtype=np.int16).astype(np.int32))
        loud = level > BEEP_LEVEL
        if loud.any() and at > quiet_until:
            quiet_until = at + BEEP_GAP_S
            say("beep", sid=track.sid, at=at - (len(level) - int(np.argmax(loud))) / SAMPLE_RATE)
        peak, samples = max(peak, int(level.max())), samples + len(level)
        quiet = quiet + len(level) if level.max() < QUIET_LEVEL else 0
        longest = max(longest, quiet)
        if at > next_report:
            say("audio", sid=track.sid, peak=peak, seconds=samples / SAMPLE_RATE, quiet=longest / SAMPLE_RATE)
            next_report, peak, longest = at + AUDIO_REPORT_S, 0, 0


async def inbound(track: rtc.Track) -> dict:
    """libwebrtc's own figures of a track that comes in."""
    for entry in await track.get_stats():
        if entry.WhichOneof("stats") == "inbound_rtp":
            counts, received = entry.inbound_rtp.inbound, entry.inbound_rtp.received
            return {
                "bytes": counts.bytes_received,
                "decoded": counts.frames_decoded,
                "keyframes": counts.key_frames_decoded,
                "lost": received.packets_lost,
                "packets": received.packets_received,
                "freezes": counts.freeze_count,
                "pli": counts.pli_count,
                "nack": counts.nack_count,
                # Samples made up for want of packets, as time.
                "concealed_ms": 1000 * counts.concealed_samples / SAMPLE_RATE,
                "jitter_ms": 1000 * received.jitter,
                "buffer_ms": 1000 * counts.jitter_buffer_delay / max(1, counts.jitter_buffer_emitted_count),
            }
    return {}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--manual", action="store_true")
    parser.add_argument("--quality", choices=["low", "medium", "high"])
    # Made inside the loop: a Room keeps the loop of the moment it is made in.
    await Subscriber(parser.parse_args()).run()


asyncio.run(main())
