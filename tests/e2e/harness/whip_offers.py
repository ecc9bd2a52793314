"""Offers to send by hand: a good one in the way of libdatachannel (OBS), and ones that no server may take."""

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
UFRAG, PASSWORD = "mvxr", "8f9Zk2Lr0qWxTn4uYb7Gc1Pd"
HEAD = (
    "v=0\r\no=rtc 3902817451 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=group:LS 0 1\r\n"
    "a=msid-semantic:WMS *\r\na=setup:actpass\r\n"
    f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\na=ice-options:ice2,trickle\r\na=fingerprint:{FINGERPRINT}\r\n"
)
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n"
    "a=ssrc:1001 cname:x\r\na=ssrc:1001 msid:stream audio\r\na=msid:stream audio\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;useinbandfec=1\r\n"
)
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\na=rtcp-mux\r\n"
    "a=ssrc:1002 cname:x\r\na=ssrc:1002 msid:stream video\r\na=msid:stream video\r\n"
    "a=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\n"
    "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n"
)
GOOD = HEAD + AUDIO + VIDEO

BAD: dict[str, bytes] = {
    "empty": b"",
    "no SDP": b'{"type": "offer"}',
    "not UTF-8": GOOD.encode().replace(b"cname:x", b"cname:\xff\xfe"),
    "no m-line": HEAD.encode(),
    "no fingerprint": GOOD.replace(f"a=fingerprint:{FINGERPRINT}\r\n", "").encode(),
    "bad fingerprint": GOOD.replace(FINGERPRINT, "sha-256 AB:CD").encode(),
    "no setup": GOOD.replace("a=setup:actpass\r\n", "").encode(),
    "no credentials": GOOD.replace(f"a=ice-ufrag:{UFRAG}\r\n", "").encode(),
    "the same mid twice": GOOD.replace("a=mid:1", "a=mid:0").encode(),
    # As many as fit in a body.
    "7 000 m-lines": (HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 7_000).encode(),
    "only codecs that nobody has": (HEAD + VIDEO.replace("H264", "H261")).encode(),
}
# Over what one body may have (256 KiB).
LARGE = (GOOD + "a=x:" + "y" * 1_000_000 + "\r\n").encode()


def simulcast(rids: list[str], paused: str | None = None) -> str:
    """The good offer with the picture in layers, the largest first as OBS has it; one of them not sent for now."""
    extensions = ("mid", "rtp-stream-id", "repaired-rtp-stream-id")
    text = "".join(f"a=extmap:{i} urn:ietf:params:rtp-hdrext:sdes:{name}\r\n" for i, name in enumerate(extensions, 1))
    text += "".join(f"a=rid:{rid} send\r\n" for rid in rids)
    text += "a=simulcast:send " + ";".join("~" * (rid == paused) + rid for rid in rids) + "\r\n"
    return HEAD + AUDIO + "".join(line for line in VIDEO.splitlines(keepends=True) if "ssrc" not in line) + text


def fragment(ufrag: str = UFRAG, password: str = PASSWORD, *candidates: str) -> str:
    """An SDP fragment as browsers send it (RFC 8840)."""
    head = f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    return head + "".join(f"a={text}\r\n" for text in candidates)
