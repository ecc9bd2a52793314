use bytes::Bytes;
use gstreamer::{self as gst, prelude::*};
use media::{Codec, Format, Kind, MediaTime, Packet, TrackId};

pub const VIDEO: TrackId = TrackId(0);
pub const AUDIO: TrackId = TrackId(1);

/// A clip's picture track.
#[derive(Debug, Clone, Copy)]
pub struct Clip {
    pub width: usize,
    pub height: usize,
    pub fps: usize,
    pub frames: usize,
    pub b_frames: usize,
    /// As GStreamer names it: I420, or Y444 for High 4:4:4.
    pub format: &'static str,
    /// First presentation time; each frame's is rounded to the millisecond, as RTMP's are.
    pub start_ms: i64,
}

impl Clip {
    pub const HD: Clip =
        Clip { width: 1280, height: 720, fps: 30, frames: 90, b_frames: 2, format: "I420", start_ms: 0 };

    /// The presentation time of a frame.
    pub fn pts(&self, frame: usize) -> MediaTime {
        MediaTime::from_millis(self.start_ms + (frame * 1000 / self.fps) as i64)
    }

    /// Encodes the clip: frame `n` carries `n` as a barcode in its top rows.
    pub fn encode(&self) -> (Format, Vec<Packet>) {
        self.encode_with("key-int-max=30")
    }

    /// The same with other properties of `x264enc`.
    pub fn encode_with(&self, properties: &str) -> (Format, Vec<Packet>) {
        let b_frames = self.b_frames;
        let encoder = format!(
            "x264enc speed-preset=superfast b-adapt=false bframes={b_frames} bitrate=4000 {properties} ! \
             video/x-h264,stream-format=avc,alignment=au"
        );
        let (config, packets) = self.encode_by(&encoder);
        (Format::new(Codec::H264, config), packets)
    }

    /// As a WebRTC publisher sends it: no configuration beside the pictures.
    pub fn encode_as(&self, codec: Codec) -> (Format, Vec<Packet>) {
        let encoder = match codec {
            Codec::H264 => {
                "x264enc tune=zerolatency speed-preset=superfast ! video/x-h264,stream-format=byte-stream,alignment=au"
            }
            Codec::H265 => {
                "x265enc tune=zerolatency speed-preset=ultrafast ! video/x-h265,stream-format=byte-stream,alignment=au"
            }
            Codec::Vp8 => "vp8enc deadline=1 cpu-used=8",
            Codec::Vp9 => "vp9enc deadline=1 cpu-used=8 lag-in-frames=0",
            Codec::Av1 => {
                "av1enc usage-profile=realtime cpu-used=10 lag-in-frames=0 ! av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu"
            }
            other => panic!("{other} is not a codec of pictures"),
        };
        (Format::new(codec, Bytes::new()), self.encode_by(encoder).1)
    }

    /// Configuration, if there is any, and packets.
    fn encode_by(&self, encoder: &str) -> (Bytes, Vec<Packet>) {
        super::init();
        let Clip { width, height, fps, b_frames, format, .. } = *self;
        let caps = format!("video/x-raw,format={format},width={width},height={height},framerate={fps}/1");
        let text =
            format!("appsrc name=in format=time caps={caps} ! {encoder} ! appsink name=out sync=false");
        let (pipeline, source, sink) = launch(&text);
        let step = gst::ClockTime::SECOND / fps as u64;
        let sender = {
            let (clip, source) = (*self, source.clone());
            std::thread::spawn(move || {
                for n in 0..clip.frames {
                    let mut buffer = gst::Buffer::from_mut_slice(clip.picture(n));
                    let fields = buffer.get_mut().unwrap();
                    fields.set_pts(step * n as u64);
                    fields.set_duration(step);
                    source.push_buffer(buffer).unwrap();
                }
                source.end_of_stream().unwrap();
            })
        };
        let mut packets = Vec::new();
        let mut config = Bytes::new();
        while let Ok(sample) = sink.pull_sample() {
            config = codec_data(&sample);
            let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap();
            let buffer = sample.buffer().unwrap();
            let shown = segment.to_running_time(buffer.pts().unwrap()).unwrap();
            let frame = ((shown.nseconds() + step.nseconds() / 2) / step.nseconds()) as usize;
            let reorder_ms = (b_frames * 1000 / fps) as i64;
            let decoded = self.start_ms + (packets.len() * 1000 / fps) as i64 - reorder_ms;
            packets.push(Packet {
                track: VIDEO,
                kind: Kind::Video,
                pts: self.pts(frame),
                dts: MediaTime::from_millis(decoded),
                keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
                data: Bytes::copy_from_slice(&buffer.map_readable().unwrap()),
            });
        }
        sender.join().unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(packets.len(), self.frames, "the test's own encoder lost frames");
        (config, packets)
    }

    /// Fine moving detail, so that an encoder needs its bits, below a row of cells (see [`cells`]).
    fn picture(&self, n: usize) -> Vec<u8> {
        let (w, h) = (self.width, self.height);
        let chroma = if self.format == "Y444" { 2 * w * h } else { 2 * w.div_ceil(2) * h.div_ceil(2) };
        let mut bytes = vec![128_u8; w * h + chroma];
        let cells = cells(n);
        let bar = h / 10;
        for (y, row) in bytes[..w * h].chunks_exact_mut(w).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = if y < bar {
                    cells[x * cells.len() / w]
                } else {
                    let (a, b) = (x + 3 * n, y + 2 * n);
                    let grain = (((a * 7919) ^ (b * 104_729) ^ (n * 31)) >> 3) & 31;
                    (96 + ((a / 4) ^ (b / 4)) % 48 + grain) as u8
                };
            }
        }
        bytes
    }
}

/// Bits of the frame counter, between a white and a black cell.
const BITS: usize = 12;

/// Luma of the cells that say `n`: white, black, then the bits of `n`, lowest first.
fn cells(n: usize) -> Vec<u8> {
    let bits = (0..BITS).map(|bit| if (n >> bit) & 1 == 1 { 235 } else { 16 });
    [235, 16].into_iter().chain(bits).collect()
}

/// Reads the counter out of a luma plane, whatever its size.
pub fn counter(luma: &[u8], stride: usize, width: usize, height: usize) -> usize {
    let count = BITS + 2;
    let y = height / 20;
    let cell = |at: usize| luma[y * stride + (2 * at + 1) * width / (2 * count)];
    assert!(cell(0) > 180 && cell(1) < 80, "no barcode: {} {}", cell(0), cell(1));
    (0..BITS).filter(|&bit| cell(bit + 2) > 128).map(|bit| 1 << bit).sum()
}

/// `count` frames of AAC-LC, 48 kHz stereo, a 440 Hz tone (or silence).
pub fn aac(count: usize, start_ms: i64, silent: bool) -> (Format, Vec<Packet>) {
    super::init();
    let wave = if silent { "silence" } else { "sine" };
    let text = format!(
        "audiotestsrc num-buffers={count} samplesperbuffer=1024 wave={wave} ! \
         audio/x-raw,rate=48000,channels=2 ! avenc_aac ! audio/mpeg,stream-format=raw ! \
         appsink name=out sync=false"
    );
    let (pipeline, sink) = launch_source(&text);
    let mut packets = Vec::new();
    let mut config = Bytes::new();
    while let Ok(sample) = sink.pull_sample() {
        config = codec_data(&sample);
        let pts = MediaTime::from_millis(start_ms + (packets.len() * 1024 * 1000 / 48_000) as i64);
        let data = Bytes::copy_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
        packets.push(Packet { track: AUDIO, kind: Kind::Audio, pts, dts: pts, keyframe: true, data });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    (Format::new(Codec::Aac, config), packets)
}

/// `count` frames of MP3, 44.1 kHz mono, a 440 Hz tone. A frame is 1152 samples.
pub fn mp3(count: usize) -> (Format, Vec<Packet>) {
    super::init();
    let text = format!(
        "audiotestsrc num-buffers={count} samplesperbuffer=1152 ! audio/x-raw,rate=44100,channels=1 ! \
         lamemp3enc ! mpegaudioparse ! appsink name=out sync=false"
    );
    let (pipeline, sink) = launch_source(&text);
    let mut packets = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let pts = MediaTime::from_millis((packets.len() * 1152 * 1000 / 44_100) as i64);
        let data = Bytes::copy_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
        packets.push(Packet { track: AUDIO, kind: Kind::Audio, pts, dts: pts, keyframe: true, data });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    (Format::new(Codec::Mp3, Bytes::new()), packets)
}

/// `count` packets of Opus, 20 ms of a 440 Hz tone each.
pub fn opus(count: usize, channels: u8) -> (Format, Vec<Packet>) {
    super::init();
    let text = format!(
        "audiotestsrc num-buffers={count} samplesperbuffer=960 ! audio/x-raw,rate=48000,channels={channels} ! \
         opusenc bitrate=64000 ! appsink name=out sync=false"
    );
    let (pipeline, sink) = launch_source(&text);
    let mut packets = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let pts = MediaTime::from_millis((packets.len() * 20) as i64);
        let data = Bytes::copy_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
        packets.push(Packet { track: AUDIO, kind: Kind::Audio, pts, dts: pts, keyframe: true, data });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    // RFC 7845 §5.1.
    let head = [&b"OpusHead\x01"[..], &[channels], b"\x38\x01\x80\xbb\0\0\0\0\0"].concat();
    (Format::new(Codec::Opus, head.into()), packets)
}

fn codec_data(sample: &gst::Sample) -> Bytes {
    let data = sample.caps().unwrap().structure(0).unwrap().get::<gst::Buffer>("codec_data");
    data.map_or_else(|_| Bytes::new(), |data| Bytes::copy_from_slice(&data.map_readable().unwrap()))
}

fn launch(text: &str) -> (gst::Pipeline, gstreamer_app::AppSrc, gstreamer_app::AppSink) {
    let (pipeline, sink) = launch_source(text);
    let source = pipeline.by_name("in").unwrap().downcast().unwrap();
    (pipeline, source, sink)
}

pub fn launch_source(text: &str) -> (gst::Pipeline, gstreamer_app::AppSink) {
    let pipeline = gst::parse::launch(text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    (pipeline, sink)
}
