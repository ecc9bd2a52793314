use std::fmt::Write;

use media::Codec;
use str0m::{
    format::FormatParams,
    media::{Mid, Rid},
};

/// The extensions that are of use here, of all that browsers offer: what tells layers apart, congestion control, and how loud the sound
/// is, by which a room knows who speaks.
pub(super) const EXTENSIONS: [&str; 5] = [
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    TRANSPORT_WIDE,
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
];

const TRANSPORT_WIDE: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// The feedback that we can give.
pub(super) const FEEDBACK: [&str; 5] = ["nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"];

/// What of an offer is kept for the engine: enough to write an offer that says the same and nothing else, since the engine's
/// parser needs not see what clients write.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Plain {
    /// Never to be shown.
    pub(super) pwd: String,
    /// `a=setup`.
    pub(super) setup: &'static str,
    /// `sha-256 …`.
    pub(super) fingerprint: String,
    pub(super) ice_lite: bool,
    /// It names no candidate, nor will it: it comes to us, and nobody can come to it.
    pub(super) hides: bool,
    /// `candidate:…`.
    pub(super) candidates: Vec<String>,
    /// All m-lines, in their order: an answer has as many.
    pub(super) lines: Vec<Line>,
}

/// An m-line.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: String,
    pub(super) protocol: String,
    /// The first of its formats.
    pub(super) format: String,
    pub(super) mid: Option<String>,
    /// What is taken of it; `None` refuses it.
    pub(super) media: Option<Media>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) codec: Codec,
    pub(super) payload_type: u8,
    pub(super) resend: Option<u8>,
    pub(super) format: FormatParams,
    /// Of [`FEEDBACK`].
    pub(super) feedback: Vec<&'static str>,
    /// Numbers, and which of [`EXTENSIONS`].
    pub(super) extensions: Vec<(u8, &'static str)>,
    pub(super) rids: Vec<String>,
    /// Where there are no rids: the SSRC of each layer, and of its resent packets.
    pub(super) ssrcs: Vec<(u32, Option<u32>)>,
}

impl Media {
    /// What the engine calls the layers; empty where there is one only. SSRC groups get names of ours.
    pub(super) fn engine_rids(&self) -> Vec<Rid> {
        match (self.rids.len(), self.ssrcs.len()) {
            (0, 0 | 1) => Vec::new(),
            (0, layers) => (0..layers).map(|layer| Rid::from(layer.to_string().as_str())).collect(),
            _ => self.rids.iter().map(|rid| Rid::from(rid.as_str())).collect(),
        }
    }

    /// Whether the sender has to be told what bandwidth there is: it cannot find out by transport-wide feedback.
    pub(super) fn is_told_bandwidth(&self) -> bool {
        let numbered = self.extensions.iter().any(|(_, name)| *name == TRANSPORT_WIDE);
        self.feedback.contains(&"goog-remb") && !(numbered && self.feedback.contains(&"transport-cc"))
    }

    /// Whether missing packets may be asked for.
    pub(super) fn resends(&self) -> bool {
        self.feedback.contains(&"nack")
    }
}

impl Plain {
    /// The m-lines that are taken.
    pub(super) fn media(&self) -> impl Iterator<Item = (Mid, &Media)> {
        self.lines.iter().filter_map(|line| Some((Mid::from(line.mid.as_deref()?), line.media.as_ref()?)))
    }

    fn mids(&self) -> String {
        let taken = self.lines.iter().filter(|line| line.media.is_some());
        let mids: Vec<&str> = taken.filter_map(|line| line.mid.as_deref()).collect();
        mids.join(" ")
    }

    /// Its tracks are called `video0`, `audio1`: so does GStreamer's webrtcbin, and no other client that is known.
    pub(super) fn is_of_gstreamer(&self) -> bool {
        let is_index = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut mids = self.lines.iter().filter_map(|line| line.mid.as_deref()).peekable();
        mids.peek().is_some()
            && mids.all(|mid| {
                let index = mid.strip_prefix("video").or_else(|| mid.strip_prefix("audio"));
                index.is_some_and(is_index)
            })
    }

    /// An offer of what is taken, with these credentials.
    pub(super) fn offer(&self, ufrag: &str, pwd: &str) -> String {
        let mids = self.mids();
        let lite = if self.ice_lite { "a=ice-lite\r\n" } else { "" };
        let mut text =
            format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n{lite}");
        for line in &self.lines {
            let (Some(mid), Some(media)) = (&line.mid, &line.media) else { continue };
            let (setup, fingerprint) = (self.setup, &self.fingerprint);
            let keys = format!(
                "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n"
            );
            media.write(&mut text, mid, &keys).unwrap_or_default();
        }
        text
    }

    /// What tells the publisher our new credentials (RFC 8840 section 9).
    pub(super) fn restarted(
        &self,
        ufrag: &str,
        pwd: &str,
        candidates: impl Iterator<Item = String>,
    ) -> String {
        let mut text = format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n");
        if let Some(Line { kind, protocol, format, mid: Some(mid), .. }) =
            self.lines.iter().find(|line| line.media.is_some())
        {
            text.push_str(&format!("m={kind} 9 {protocol} {format}\r\na=mid:{mid}\r\n"));
        }
        for candidate in candidates {
            text.push_str(&format!("a={candidate}\r\n"));
        }
        text + "a=end-of-candidates\r\n"
    }

    /// Our answer, from the engine's to [`Plain::offer`]: with the publisher's names and the m-lines that are refused, and without
    /// feedback that was not offered.
    pub(super) fn answer(&self, engine: &str) -> String {
        let mut parts = engine.split_inclusive("\r\n").peekable();
        let mut text = String::new();
        while let Some(line) = parts.next_if(|line| !line.starts_with("m=")) {
            match line.starts_with("a=group:BUNDLE") {
                true => text.push_str(&format!("a=group:BUNDLE {}\r\n", self.mids())),
                false => text.push_str(line),
            }
        }
        for line in &self.lines {
            let Some(media) = &line.media else {
                text.push_str(&line.refused());
                continue;
            };
            text.extend(parts.next());
            while let Some(own) = parts.next_if(|line| !line.starts_with("m=")) {
                let unknown = own.strip_prefix("a=rtcp-fb:").is_some_and(|rest| {
                    let kind = rest.trim_end().split_once(' ').map_or("", |(_, kind)| kind);
                    !media.feedback.contains(&kind)
                });
                match own.starts_with("a=mid:") {
                    true => text.push_str(&format!("a=mid:{}\r\n", line.mid.as_deref().unwrap_or_default())),
                    false if unknown => {}
                    false => text.push_str(own),
                }
            }
        }
        text
    }
}

impl Media {
    fn write(&self, text: &mut String, mid: &str, keys: &str) -> std::fmt::Result {
        let Self { payload_type: pt, resend, format, .. } = self;
        let (kind, codec) = match self.codec {
            Codec::H264 => ("video", "H264/90000"),
            Codec::H265 => ("video", "H265/90000"),
            Codec::Vp8 => ("video", "VP8/90000"),
            Codec::Vp9 => ("video", "VP9/90000"),
            Codec::Av1 => ("video", "AV1/90000"),
            _ => ("audio", "opus/48000/2"),
        };
        let more = resend.map_or_else(String::new, |resend| format!(" {resend}"));
        write!(text, "m={kind} 9 UDP/TLS/RTP/SAVPF {pt}{more}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n{keys}")?;
        write!(text, "a=sendonly\r\na=rtcp-mux\r\na=rtpmap:{pt} {codec}\r\n")?;
        let format = format.to_string();
        if !format.is_empty() {
            write!(text, "a=fmtp:{pt} {format}\r\n")?;
        }
        for kind in &self.feedback {
            write!(text, "a=rtcp-fb:{pt} {kind}\r\n")?;
        }
        if let Some(resend) = resend {
            write!(text, "a=rtpmap:{resend} rtx/90000\r\na=fmtp:{resend} apt={pt}\r\n")?;
        }
        for (number, name) in &self.extensions {
            write!(text, "a=extmap:{number} {name}\r\n")?;
        }
        for rid in &self.rids {
            write!(text, "a=rid:{rid} send\r\n")?;
        }
        if !self.rids.is_empty() {
            write!(text, "a=simulcast:send {}\r\n", self.rids.join(";"))?;
        }
        Ok(())
    }
}

impl Line {
    /// Port 0 (RFC 3264 section 6).
    fn refused(&self) -> String {
        let Self { kind, protocol, format, .. } = self;
        let mid = self.mid.as_ref().map_or_else(String::new, |mid| format!("a=mid:{mid}\r\n"));
        format!("m={kind} 0 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\n{mid}a=inactive\r\n")
    }
}
