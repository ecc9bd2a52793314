use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use media::{Codec, Kind, MediaTime, SoundLevel};
use str0m::{
    Rtc,
    bwe::Bitrate,
    media::{KeyframeRequestKind, Mid, Rid},
    rtp::{ExtensionValues, RtpPacket, Ssrc, StreamRx},
};

use super::{
    Stats, Track,
    bandwidth::{Bandwidth, Gaps},
    clock::{Clock, Report, Shift},
    plain::Plain,
    start::Start,
};

/// SSRCs that are remembered: sound, four layers, and what comes after each of them is restarted some times. Past it the one that was silent
/// for longest is forgotten.
const MAX_STREAMS: usize = 32;

/// SSRCs that are taken on the word of a payload type.
const MAX_GUESSES: usize = 8;

/// Of a gap in a stream's numbers the engine has so many asked for again. What is behind a longer one makes no picture before
/// the next keyframe, and the subscribers' own requests take a second to come.
pub const RESENDABLE: u64 = 100;

/// A layer of which nothing came for so long is not sent.
const RECENT: Duration = Duration::from_secs(2);

/// There and back, where it is not known.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// What is known of each SSRC: where it belongs, its clock, where its pictures begin.
pub(super) struct Streams {
    /// All times count from here.
    born: Instant,
    shift: Shift,
    media: Vec<Offered>,
    streams: HashMap<Ssrc, Stream>,
    /// How many there have been.
    begun: u32,
    /// What the forgotten ones had received.
    gone: Vec<Stats>,
    guesses: usize,
    /// For publishers that have to be told.
    bandwidth: Option<Bandwidth>,
    /// There and back.
    round_trip: Duration,
}

/// A track as it was offered.
struct Offered {
    mid: Mid,
    codec: Codec,
    payload_type: u8,
    /// What the engine calls the layers; empty where there is one only.
    rids: Vec<Rid>,
    resends: bool,
    /// A packet of it came.
    heard: bool,
}

struct Stream {
    track: Track,
    number: u32,
    clock: Clock,
    start: Start,
    /// When its newest packet came, how many came, and from which number to which.
    last: Instant,
    packets: u64,
    bytes: u64,
    numbers: Option<(u64, u64)>,
    gaps: Gaps,
}

impl Streams {
    /// Tells the engine the SSRCs that were offered.
    pub(super) fn new(born: Instant, plain: &Plain, rtc: &mut Rtc) -> Self {
        let mut offered = Vec::new();
        for (mid, media) in plain.media() {
            let (rids, resends) = (media.engine_rids(), media.resends());
            if media.rids.is_empty() {
                let mut api = rtc.direct_api();
                for (layer, (ssrc, resent)) in media.ssrcs.iter().enumerate() {
                    let rid = rids.get(layer).copied();
                    let stream = api.expect_stream_rx((*ssrc).into(), resent.map(Into::into), mid, rid);
                    stream.suppress_nack(!resends);
                }
            }
            let (codec, payload_type) = (media.codec, media.payload_type);
            offered.push(Offered { mid, codec, payload_type, rids, resends, heard: false });
        }
        let told = plain.media().any(|(_, media)| media.is_told_bandwidth());
        Self {
            born,
            shift: Shift::default(),
            media: offered,
            streams: HashMap::new(),
            begun: 0,
            gone: Vec::new(),
            guesses: 0,
            bandwidth: told.then(Bandwidth::default),
            round_trip: ROUND_TRIP,
        }
    }

    /// A packet as the world outside sees it; `None` when it belongs to nothing that was offered.
    pub(super) fn packet(&mut self, rtc: &mut Rtc, packet: RtpPacket) -> Option<(Track, media::RtpPacket)> {
        let ssrc = packet.header.ssrc;
        if !self.streams.contains_key(&ssrc) {
            let stream = self.begin(rtc, ssrc, packet.timestamp)?;
            if self.streams.len() >= MAX_STREAMS {
                self.forget_one();
            }
            self.streams.insert(ssrc, stream);
        }
        let stream = self.streams.get_mut(&ssrc)?;
        let arrived = MediaTime::from_duration(packet.timestamp.saturating_duration_since(self.born));
        // One from before the first packet has no RTP time to tell: senders write 0.
        let told = packet.last_sender_info.filter(|info| info.sender_packet_count > 0);
        let report = told.map(|info| Report {
            timestamp: truncated(info.rtp_time.numer()),
            at: unix_nanos(info.ntp_time),
        });
        let (sequence, timestamp) = (*packet.seq_no, packet.header.timestamp);
        if let (Some(bandwidth), Track::Video(_)) = (&mut self.bandwidth, stream.track) {
            let (gaps, bytes) = (&mut stream.gaps, packet.payload.len());
            bandwidth.note(packet.timestamp, gaps, sequence, bytes, self.round_trip);
        }
        let after_gap = stream.count(packet.timestamp, sequence, packet.payload.len());
        if after_gap && let Some(stream) = rtc.direct_api().stream_rx(&ssrc) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            forget_gap(stream, sequence);
        }
        let marked = media::RtpPacket {
            stream: stream.number,
            sequence,
            timestamp,
            captured: stream.clock.captured(timestamp, arrived, report, &mut self.shift),
            marker: packet.header.marker,
            keyframe: stream.start.is_keyframe(sequence, timestamp, &packet.payload),
            level: level(&packet.header.ext_vals),
            payload: packet.payload,
        };
        Some((stream.track, marked))
    }

    /// Asks for a keyframe of a layer, if packets of it came.
    pub(super) fn request_keyframe(&self, rtc: &mut Rtc, layer: usize) {
        let of_layer = self.streams.iter().filter(|(_, stream)| stream.track == Track::Video(layer));
        let newest = of_layer.max_by_key(|(_, stream)| stream.last).map(|(ssrc, _)| ssrc);
        let mut api = rtc.direct_api();
        if let Some(stream) = newest.and_then(|ssrc| api.stream_rx(ssrc)) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// A publisher that names neither its SSRCs nor, in its packets, their tracks means those that have the payload type
    /// (RFC 9143 section 9.2, the last resort there). `datagram` may be anything.
    pub(super) fn guess(&mut self, rtc: &mut Rtc, datagram: &[u8]) {
        if self.guesses >= MAX_GUESSES || self.media.iter().all(|media| media.heard) {
            return;
        }
        let Some((&[first, second, .., a, b, c, d], _)) = datagram.split_first_chunk::<12>() else { return };
        let (payload_type, ssrc) = (second & 0x7f, Ssrc::from(u32::from_be_bytes([a, b, c, d])));
        let candidate =
            |media: &&Offered| !media.heard && media.rids.is_empty() && media.payload_type == payload_type;
        let Some(media) = self.media.iter().find(candidate) else { return };
        let mut api = rtc.direct_api();
        if first >> 6 == 2 && !ssrc.is_probe() && api.stream_rx(&ssrc).is_none() {
            self.guesses += 1;
            api.expect_stream_rx(ssrc, None, media.mid, None).suppress_nack(!media.resends);
        }
    }

    /// When [`Streams::tell_bandwidth`] is due.
    pub(super) fn bandwidth_due(&self) -> Option<Instant> {
        self.bandwidth.as_ref()?.due()
    }

    /// Tells the publisher what there is for all its layers together, if it has to be told and it is time. Each layer's SSRC gets the
    /// same word: some senders look for their own in it.
    pub(super) fn tell_bandwidth(&mut self, rtc: &mut Rtc, now: Instant) {
        let Some(told) = self.bandwidth.as_mut().and_then(|bandwidth| bandwidth.tell(now)) else { return };
        let mut api = rtc.direct_api();
        let sent = |stream: &Stream| stream.track != Track::Audio && now < stream.last + RECENT;
        for (ssrc, _) in self.streams.iter().filter(|(_, stream)| sent(stream)) {
            if let Some(stream) = api.stream_rx(ssrc) {
                stream.request_remb(Bitrate::from(told));
            }
        }
    }

    /// What was received of each track so far.
    pub(super) fn stats(&mut self, rtt: Option<Duration>) -> impl Iterator<Item = Stats> {
        self.round_trip = rtt.unwrap_or(ROUND_TRIP);
        let all = self.streams.values().map(Stream::stats).chain(self.gone.iter().copied());
        summed(all).into_iter().map(move |stats| Stats { rtt, ..stats })
    }

    fn forget_one(&mut self) {
        let oldest = self.streams.iter().min_by_key(|(_, stream)| stream.last).map(|(ssrc, _)| *ssrc);
        if let Some(stream) = oldest.and_then(|ssrc| self.streams.remove(&ssrc)) {
            self.gone = summed(self.gone.drain(..).chain([stream.stats()]));
        }
    }

    /// An SSRC that is heard for the first time; `None` for one of no track that was offered.
    fn begin(&mut self, rtc: &mut Rtc, ssrc: Ssrc, now: Instant) -> Option<Stream> {
        let mut api = rtc.direct_api();
        let known = api.stream_rx(&ssrc)?;
        let (mid, rid) = (known.mid(), known.rid());
        let media = self.media.iter_mut().find(|media| media.mid == mid)?;
        known.suppress_nack(!media.resends);
        let (track, rate, codec) = match media.codec.kind() {
            Kind::Audio => (Track::Audio, 48_000, None),
            Kind::Video if media.rids.is_empty() => (Track::Video(0), 90_000, Some(media.codec)),
            Kind::Video => {
                let layer = media.rids.iter().position(|offered| Some(*offered) == rid)?;
                (Track::Video(layer), 90_000, Some(media.codec))
            }
        };
        media.heard = true;
        self.begun += 1;
        let number = self.begun;
        let (clock, start) = (Clock::new(rate), Start::new(codec));
        let (numbers, gaps) = (None, Gaps::default());
        Some(Stream { track, number, clock, start, last: now, packets: 0, bytes: 0, numbers, gaps })
    }
}

impl Stream {
    /// Whether what came before this picture's packet is missing for good.
    fn count(&mut self, now: Instant, sequence: u64, bytes: usize) -> bool {
        self.last = now;
        self.packets += 1;
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        let (first, last) = self.numbers.unwrap_or((sequence, sequence));
        self.numbers = Some((first.min(sequence), last.max(sequence)));
        self.track != Track::Audio && sequence > last + RESENDABLE
    }

    fn stats(&self) -> Stats {
        let expected = self.numbers.map_or(0, |(first, last)| last - first + 1);
        let lost = expected.saturating_sub(self.packets);
        Stats { track: self.track, packets: self.packets, bytes: self.bytes, lost, rtt: None }
    }
}

/// Nothing before this packet is asked for again. Browsers send resends before new pictures: a hundred of them at the bitrate that they begin
/// with after an outage held the pictures after the key picture up for 0.7 s.
fn forget_gap(stream: &mut StreamRx, sequence: u64) {
    // str0m has a way to begin with other numbers. It takes the upper half of the next packet's number as told, so none may be told
    // where that may be another one.
    const CLOSE: u64 = 1 << 12;
    if (CLOSE..(1 << 16) - CLOSE).contains(&(sequence & 0xffff)) {
        stream.reset_roc(sequence >> 16);
    }
}

/// One for each track.
fn summed(all: impl Iterator<Item = Stats>) -> Vec<Stats> {
    let mut tracks: BTreeMap<Track, Stats> = BTreeMap::new();
    for stats in all {
        let none = Stats { packets: 0, bytes: 0, lost: 0, ..stats };
        let sum = tracks.entry(stats.track).or_insert(none);
        sum.packets += stats.packets;
        sum.bytes += stats.bytes;
        sum.lost += stats.lost;
    }
    tracks.into_values().collect()
}

/// The engine has it as decibels from 0 down.
fn level(values: &ExtensionValues) -> Option<SoundLevel> {
    let below_peak_db = values.audio_level?.unsigned_abs();
    Some(SoundLevel { below_peak_db, voice: values.voice_activity.unwrap_or(false) })
}

/// An extended RTP time as it stands in packets.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn truncated(time: u64) -> u32 {
    time as u32
}

fn unix_nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
