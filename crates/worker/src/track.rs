use std::sync::Arc;

use gst::prelude::*;
use gstreamer as gst;
use media::{Encoded, Format, Kind, MediaTime, Output, Packet, TrackId};
use pipeline::{Event, Plan, Source, plan};

use crate::{
    build::{self, Chain, Error, News},
    clock,
    inbox::{Frame, Inbox, Origin},
    outbox::Outbox,
};

/// Access units inside a decoder's chain that wait for it: enough to keep it busy between two looks. The others wait in
/// their lane of the inbox, where what is too late can be dropped.
const MAX_UNDECODED: u64 = 4;

/// One track of the source and the chain that decodes it.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) format: Format,
    chain: Chain,
    started: bool,
    /// Of a sound track.
    encoder: Option<gst::Element>,
}

/// Where a track's chain delivers to.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) outbox: Outbox,
    /// Sound before it is not sent.
    pub(crate) output_from: Option<MediaTime>,
}

impl Track {
    /// Builds and starts the chain of a track. `None` for a codec that publishers don't send here.
    pub(crate) fn start(
        id: TrackId,
        format: Format,
        plan: &Plan,
        ways: &Ways,
    ) -> Result<Option<Self>, Error> {
        let Some(caps) = plan::track_caps(&format) else { return Ok(None) };
        let kind = format.codec.kind();
        let chain = Chain::new(kind)?;
        chain.source.set_caps(Some(&build::caps(&caps)?));
        let mut elements = plan.decode(format.codec);
        if !elements.iter().all(build::is_installed) {
            build::tune_decoders(&chain.pipeline, plan::decoder_properties(kind));
            elements = plan.autoplug(kind);
        }
        let last = chain.append(chain.source.upcast_ref(), &elements)?;
        match kind {
            Kind::Video => {
                build::refuse_large(&chain.pipeline);
                build::follow_rotation(&chain.pipeline);
                build::turn(&chain.pipeline, format.shape.turn);
                let inbox = ways.inbox.clone();
                chain.sink(&last, move |sample| inbox.offer(Frame { from: Origin::Decoder, sample }))?;
            }
            Kind::Audio => {
                announce_sound(&chain, &format, plan.audio.channels, &ways.outbox);
                chain.sink(&last, send_sound(ways.clone()))?;
            }
        }
        let encoder = last.factory().filter(|factory| factory.name() == "opusenc").map(|_| last);
        chain.play()?;
        Ok(Some(Self { id, format, chain, started: false, encoder }))
    }

    /// The receiver misses so many percent of a sound's packets: takes effect with the next one.
    pub(crate) fn set_loss(&self, percent: u8) {
        for property in pipeline::opus::on_loss(percent) {
            // Where the encoder has no such property, sound goes on without repetition.
            let _ = self.encoder.as_ref().and_then(|encoder| build::set(encoder, &property));
        }
    }

    /// A new configuration of the same codec: the decoder follows without a restart.
    pub(crate) fn reconfigure(&mut self, format: Format) -> Result<(), Error> {
        if let Some(caps) = plan::track_caps(&format) {
            self.chain.source.set_caps(Some(&build::caps(&caps)?));
        }
        if self.format.shape.turn != format.shape.turn {
            build::turn(&self.chain.pipeline, format.shape.turn);
        }
        self.format = format;
        Ok(())
    }

    /// The decoder is not behind.
    pub(crate) fn has_room(&self) -> bool {
        self.chain.source.property::<u64>("current-level-buffers") < MAX_UNDECODED
    }

    /// Hands one access unit to the decoder; the bytes are shared, not copied.
    pub(crate) fn push(&mut self, packet: Packet) {
        let Some(pts) = clock::to_gst(packet.pts) else { return };
        let dts = clock::to_gst(packet.dts).filter(|_| packet.kind == Kind::Video);
        let mut buffer = gst::Buffer::from_slice(packet.data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(pts);
            buffer.set_dts(dts);
            if !packet.keyframe {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        // A chain that has failed says why on its bus.
        let _ = if std::mem::replace(&mut self.started, true) {
            self.chain.source.push_buffer(buffer)
        } else {
            self.push_first(&buffer, dts.map_or(pts, |dts| dts.min(pts)))
        };
    }

    /// The first buffer goes with a segment that starts at its time, and in which running time is buffer time.
    fn push_first(
        &self,
        buffer: &gst::Buffer,
        start: gst::ClockTime,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(start);
        segment.set_base(start);
        segment.set_time(start);
        let sample = gst::Sample::builder().buffer(buffer).segment(&segment);
        let caps = self.chain.source.caps();
        self.chain.source.push_sample(&sample.caps_if_some(caps.as_ref()).build())
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        let _ = self.chain.source.end_of_stream();
    }

    pub(crate) fn news(&self) -> Option<News> {
        self.chain.news()
    }
}

/// Tells the server what the sound turned out to be, when the decoder knows: before the first packet leaves.
fn announce_sound(chain: &Chain, format: &Format, channels: u8, outbox: &Outbox) {
    let (codec, outbox) = (format.codec, outbox.clone());
    let Some(pad) = chain.pipeline.iterate_elements().into_iter().flatten().find_map(|element| {
        let convert = element.factory().is_some_and(|factory| factory.name() == "audioconvert");
        element.static_pad("sink").filter(|_| convert)
    }) else {
        return;
    };
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Some(caps) = event.caps().structure(0)
        {
            let number = |name| u32::try_from(caps.get::<i32>(name).unwrap_or(0)).unwrap_or(0);
            let sound = Source::Audio { codec, channels: number("channels"), sample_rate: number("rate") };
            outbox.send(Event::Source(sound));
            outbox.send(Event::Audio { channels });
        }
        gst::PadProbeReturn::Ok
    });
}

/// Longest packet by which an Opus encoder in DTX says that nothing changed (RFC 6716 §3.4: a TOC byte, maybe one more).
const DTX_PACKET: usize = 2;

fn send_sound(ways: Ways) -> impl FnMut(gst::Sample) + Send + 'static {
    let mut silent = false;
    move |sample| {
        let Some(pts) = packet_start(&sample).map(clock::from_gst) else { return };
        if ways.output_from.is_some_and(|from| pts < from) {
            return;
        }
        let Some(data) = copy(&sample) else { return };
        // The first packet of a silence tells the receiver; the others need not be sent (as libwebrtc does it).
        let was_silent = std::mem::replace(&mut silent, data.len() <= DTX_PACKET);
        if !(was_silent && silent) {
            let encoded = Encoded { output: Output::Audio, pts, keyframe: true, data };
            ways.outbox.send(Event::Encoded(encoded));
        }
    }
}

/// An Opus packet's time.
const PACKET: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// When a packet of sound starts. The encoder counts the first one of a stretch as shorter, by what a decoder that knows
/// of pre-skip would cut off its start; RTP receivers play it whole.
fn packet_start(sample: &gst::Sample) -> Option<gst::ClockTime> {
    let time = clock::running_time(sample)?;
    let buffer = sample.buffer()?;
    let cut = buffer.duration().map_or(gst::ClockTime::ZERO, |duration| PACKET.saturating_sub(duration));
    if buffer.flags().contains(gst::BufferFlags::DISCONT) { time.checked_sub(cut) } else { Some(time) }
}

/// The bytes of a sample, out of the encoder's memory.
pub(crate) fn copy(sample: &gst::Sample) -> Option<bytes::Bytes> {
    let map = sample.buffer()?.map_readable().ok()?;
    Some(bytes::Bytes::copy_from_slice(&map))
}
