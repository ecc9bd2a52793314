"""GStreamer's webrtcbin as a WHIP publisher, run by Debian's Python: JSON lines out, commands in.

    /usr/bin/python3 -m harness.whip_gst_child URL KEY [as whip_options.parse says]

Events: answer (status, location, body of a refusal), state, stats, stopped.
Commands: {"do": "stats"}, {"do": "stop"} (DELETE, then close).
"""

import json
import re
import sys
import threading
from collections.abc import Callable

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtp", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstRtp, GstSdp, GstWebRTC  # noqa: E402

from harness import whip_picture as picture  # noqa: E402
from harness.lines import say  # noqa: E402
from harness.whip_http import Resource  # noqa: E402
from harness.whip_options import Options, parse  # noqa: E402

OFFER_S = 10
# Bits per second of a picture of 640 x 360; others by area.
BPS = 800_000
# One layer's keyframes come when they are asked for. With rids the requests do not get through the funnel.
FAR, NEAR = 100_000, picture.FPS
RIDS = ("q", "h", "f")
MID, RID = "urn:ietf:params:rtp-hdrext:sdes:mid", "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"


def encoder(codec: str, width: int, height: int, group: int = FAR) -> str:
    """The elements from raw pictures of this size to RTP packets, but for their last properties."""
    bps = BPS * width * height // (640 * 360)
    match codec:
        case "h264":
            x264 = (
                f"x264enc tune=zerolatency speed-preset=ultrafast bframes=0 key-int-max={group} bitrate={bps // 1000}"
            )
            pay = "rtph264pay config-interval=-1 aggregate-mode=zero-latency"
            return f"{x264} ! video/x-h264,profile=constrained-baseline ! {pay}"
        case "vp8":
            vp8 = f"vp8enc deadline=1 cpu-used=8 keyframe-max-dist={group} target-bitrate={bps} end-usage=cbr"
            return f"{vp8} ! rtpvp8pay picture-id-mode=15-bit"
        case "vp9":
            vp9 = f"vp9enc deadline=1 cpu-used=8 keyframe-max-dist={group} target-bitrate={bps} end-usage=cbr"
            return f"{vp9} ! rtpvp9pay picture-id-mode=15-bit"
    raise ValueError(codec)


def video(options: Options) -> str:
    """From the pictures' source to webrtcbin; more than one layer go through one funnel, told apart by rid."""
    width, height = options.size
    source = f"appsrc name=video caps=video/x-raw,format=I420,width={width},height={height},framerate={picture.FPS}/1"
    source += " is-live=true format=time max-buffers=4 leaky-type=downstream"
    name = options.codec.upper()
    caps = f"application/x-rtp,media=video,clock-rate=90000,encoding-name={name},payload=96"
    if options.layers == 1:
        return f"{source} ! {encoder(options.codec, width, height)} pt=96 ! {caps} ! whip. "
    rids = RIDS[-options.layers :]
    text = f"{source} ! tee name=all rtpfunnel name=one ! capsfilter name=rids ! whip. "
    for place, rid in enumerate(rids):
        by = 1 << (len(rids) - 1 - place)
        size = f"videoscale ! video/x-raw,width={width // by},height={height // by}"
        pay = encoder(options.codec, width // by, height // by, NEAR)
        text += f"all. ! queue ! {size} ! {pay} name={rid} pt=96 ssrc={1000 + place} ! one. "
    return text


AUDIO = (
    "appsrc name=audio caps=audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2 is-live=true format=time "
    "! opusenc bitrate=64000 ! rtpopuspay pt=111 "
    "! application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000 ! whip. "
)


class Feed:
    """Gives one appsrc its buffers, each at its time by the pipeline's clock."""

    def __init__(self, pipeline: Gst.Pipeline, name: str, per_second: float, make: Callable[[int], bytes]):
        self.source, self.pipeline = pipeline.get_by_name(name), pipeline
        self.length, self.make = round(Gst.SECOND / per_second), make
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        clock, base = self.pipeline.get_clock(), self.pipeline.get_base_time()
        first = clock.get_time() - base
        number = 0
        while True:
            at = first + number * self.length
            clock.id_wait(clock.new_single_shot_id(base + at))
            buffer = Gst.Buffer.new_wrapped(self.make(number))
            buffer.pts, buffer.duration = at, self.length
            if self.source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            number += 1


class Publisher:
    def __init__(self, options: Options):
        self.options = options
        self.resource = Resource(options.url, options.key, options.in_path)
        parts = video(options) * (options.only != "audio") + AUDIO * (options.only != "video")
        self.pipeline = Gst.parse_launch(f"webrtcbin name=whip bundle-policy=max-bundle latency=0 {parts}")
        self.whip = self.pipeline.get_by_name("whip")
        if options.layers > 1 and options.only != "audio":
            self._simulcast(RIDS[-options.layers :])
        self.promises: list[Gst.Promise] = []
        self.wanted, self.gathered = threading.Event(), threading.Event()
        self.whip.connect("on-negotiation-needed", lambda _: self.wanted.set())
        self.whip.connect("notify::ice-gathering-state", self._gathering)
        self.whip.connect("notify::connection-state", self._state)

    def _simulcast(self, rids: tuple[str, ...]) -> None:
        text = f"application/x-rtp,media=video,clock-rate=90000,encoding-name={self.options.codec.upper()},payload=96"
        text += f',extmap-1={MID},extmap-2={RID},a-simulcast=(string)"send {";".join(rids)}"'
        # It leaves the track's name out with rids; livekit-server's own WHIP takes no layer without one.
        text += ',a-msid=(string)"camera picture"'
        text += "".join(f',rid-{rid}=(string)"send"' for rid in rids)
        self.pipeline.get_by_name("rids").set_property("caps", Gst.Caps.from_string(text))
        for rid in rids:
            # webrtcbin calls the first m-line so.
            self._extend(rid, 1, MID, mid="video0")
            self._extend(rid, 2, RID, rid=rid)

    def _extend(self, payloader: str, number: int, uri: str, **properties: str) -> None:
        extension = GstRtp.RTPHeaderExtension.create_from_uri(uri)
        for name, value in properties.items():
            extension.set_property(name, value)
        extension.set_id(number)
        self.pipeline.get_by_name(payloader).emit("add-extension", extension)

    def _gathering(self, whip: Gst.Element, _spec) -> None:
        if whip.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self.gathered.set()

    def _state(self, whip: Gst.Element, _spec) -> None:
        state = whip.get_property("connection-state").value_nick
        say("state", state=state)

    def _ask(self, signal: str, *arguments) -> Gst.Structure | None:
        # The reply lives no longer than the promise, which the bindings do not know.
        promise = Gst.Promise.new()
        self.promises.append(promise)
        self.whip.emit(signal, *arguments, promise)
        promise.wait()
        return promise.get_reply()

    def run(self) -> None:
        threading.Thread(target=self._bus, daemon=True).start()
        for place in range(1 + (self.options.only is None)):
            # Its user has to ask for it: without, what is lost stays lost.
            self.whip.emit("get-transceiver", place).set_property("do-nack", True)
        self.pipeline.set_state(Gst.State.PLAYING)
        if self.options.only != "audio":
            Feed(self.pipeline, "video", picture.FPS, picture.Picture(*self.options.size).frame)
        if self.options.only != "video":
            Feed(self.pipeline, "audio", picture.SAMPLE_RATE / picture.BLOCK_SAMPLES, picture.Sound().block)
        assert self.wanted.wait(OFFER_S), "webrtcbin wants no negotiation"
        # The offer is part of the reply: to the bindings it is not.
        reply = self._ask("create-offer", None)
        offer = reply.get_value("offer")
        self._ask("set-local-description", offer)
        assert self.gathered.wait(OFFER_S), "candidates were not gathered"
        answer = self.resource.offer(self.whip.get_property("local-description").sdp.as_text())
        refusal = "" if answer.status == 201 else answer.body
        say("answer", status=answer.status, headers=answer.headers, url=self.resource.url, body=refusal)
        if answer.status == 201:
            _, sdp = GstSdp.SDPMessage.new_from_text(answer.body)
            kind = GstWebRTC.WebRTCSDPType.ANSWER
            self._ask("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, sdp))
        self._commands()

    def _bus(self) -> None:
        bus = self.pipeline.get_bus()
        while message := bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.ERROR):
            say("error", text=" ".join(map(str, message.parse_error())))

    def _commands(self) -> None:
        for line in sys.stdin:
            match json.loads(line)["do"]:
                case "stats":
                    say("stats", **self._stats())
                case "stop":
                    say("stopped", status=self.resource.delete().status)
                    break
        self.pipeline.set_state(Gst.State.NULL)

    def _stats(self) -> dict:
        text = self._ask("get-stats", None).to_string().replace("\\", "")
        found = {name: re.findall(rf"{name}-sent=\(\w+\)(\d+)", text) for name in ("packets", "bytes")}
        return {name: sum(map(int, values)) for name, values in found.items()}


Gst.init(None)
Publisher(parse()).run()
