use super::*;
use bytes::Bytes;
use media::TrackId;
use pipeline::Audio;

const MS: Duration = Duration::from_millis(1);
const OURS: SourceId = SourceId(0);
const OTHER: SourceId = SourceId(1);

fn packet(ms: i64, data: &'static str) -> Encoded {
    let pts = MediaTime::from_millis(ms);
    Encoded { output: Output::Audio, pts, keyframe: true, data: Bytes::from_static(data.as_bytes()) }
}

/// A mix and what it has let out: times, and whose they are.
struct Heard {
    now: Instant,
    mix: Mix,
    out: Vec<Encoded>,
}

impl Heard {
    fn new() -> Self {
        let mut mix = Mix::default();
        mix.begin(OURS);
        Self { now: Instant::now(), mix, out: vec![] }
    }

    fn worker(&mut self, times: impl IntoIterator<Item = i64>) {
        times.into_iter().for_each(|ms| self.mix.worker_made(packet(ms, "worker"), &mut self.out));
    }

    /// Packets of 20 ms, as they come.
    fn publisher(&mut self, times: impl IntoIterator<Item = i64>) {
        for ms in times {
            self.now += 20 * MS;
            self.mix.publisher_sent(self.now, OURS, packet(ms, "publisher"), &mut self.out);
        }
    }

    fn take(&mut self) -> Vec<(i64, char)> {
        let mut out = vec![];
        for packet in self.out.drain(..) {
            out.push((packet.pts.millis(), char::from(packet.data[0])));
        }
        out
    }
}

#[test]
fn the_publishers_packets_wait_for_the_workers_last_ones() {
    let mut heard = Heard::new();
    heard.worker([0, 20, 40]);
    heard.publisher([80, 100]);
    assert_eq!(heard.take(), [(0, 'w'), (20, 'w'), (40, 'w')]);
    heard.worker([60, 80, 100]);
    assert_eq!(heard.take(), [(60, 'w'), (80, 'p'), (100, 'p')]);
    heard.publisher([120]);
    heard.worker([120, 140]);
    assert_eq!(heard.take(), [(120, 'p')]);
}

#[test]
fn what_is_played_to_nobody_is_not_heard_nor_the_silence_after_it() {
    let mut heard = Heard::new();
    heard.worker([0, 20]);
    heard.mix.start(MediaTime::from_millis(135));
    heard.worker([40, 60, 80, 100, 120, 140, 160]);
    assert_eq!(heard.take(), [(0, 'w'), (20, 'w'), (140, 'w'), (160, 'w')]);
    heard.mix.start(MediaTime::ZERO);
    heard.publisher([140, 160, 180, 200, 220, 240, 260, 280, 300, 320]);
    assert_eq!(heard.take()[0], (180, 'p'), "it does not go back");
}

#[test]
fn a_worker_that_says_nothing_more_is_not_waited_for_long() {
    let mut heard = Heard::new();
    heard.worker([0]);
    heard.publisher((1..=6).map(|n| n * 20));
    assert_eq!(heard.take().len(), 7, "100 ms after the first that waited");
}

#[test]
fn what_the_worker_gives_of_the_sound_that_was_heard_is_left_out() {
    let mut heard = Heard::new();
    heard.publisher([0, 20, 40]);
    heard.mix.encode(OURS, &mut heard.out);
    // It was given the packets from 0 on to find its feet, and looks 6.5 ms ahead.
    heard.worker([-7, 13, 33, 53, 73]);
    assert_eq!(heard.take(), [(0, 'p'), (20, 'p'), (40, 'p'), (53, 'w'), (73, 'w')]);
}

#[test]
fn only_the_connection_that_feeds_the_session_is_heard() {
    let mut heard = Heard::new();
    heard.publisher([5_000]);
    heard.mix.begin(OURS);
    heard.worker([5_020]);
    assert_eq!(heard.take(), [(5_000, 'p')], "another worker for the same connection changes nothing");
    heard.mix.begin(OTHER);
    heard.publisher([5_020]);
    heard.worker([4_000]);
    assert_eq!(heard.take(), [(4_000, 'w')], "a new connection has times of its own");
}

fn lane() -> Lane {
    let epoch = Instant::now();
    let health = crate::health::Health::new();
    let outlet = Outlet::new(Arc::default(), epoch, Metrics::new("node", health), metrics::Input::Rtmp);
    outlet.begin(OURS);
    Lane::new(OURS, outlet, Audio::STEREO_96K)
}

fn format(codec: Codec) -> Unit {
    let config = Bytes::from_static(b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0");
    Unit::Format(TrackId(1), Format::new(codec, config))
}

/// CELT of 20 ms, mono, of `bytes`.
fn sound(ms: i64, bytes: usize) -> Unit {
    let pts = MediaTime::from_millis(ms);
    let data = Bytes::from(vec![0xf8; bytes]);
    Unit::Packet(Packet { track: TrackId(1), kind: Kind::Audio, pts, dts: pts, keyframe: true, data })
}

fn untouched(news: &Option<Input>) -> bool {
    matches!(news, Some(Input::SoundWay { source: OURS, way: SoundWay::Untouched { channels: 2, .. } }))
}

#[test]
fn opus_goes_past_the_worker_and_over_to_it_with_what_its_decoder_needs() {
    let mut lane = lane();
    assert_eq!(lane.take(format(Codec::Opus)), (vec![], None));
    let (units, news) = lane.take(sound(0, 200));
    assert!(units.is_empty() && untouched(&news), "{news:?}");
    for ms in (20..400).step_by(20) {
        assert_eq!(lane.take(sound(ms, 200)), (vec![], None));
    }
    // 50 kbyte at once is over any bitrate.
    let (units, news) = lane.take(sound(400, 50_000));
    assert_eq!(news, Some(Input::SoundWay { source: OURS, way: SoundWay::Encoded }));
    let times = [320, 340, 360, 380].map(|ms| sound(ms, 200));
    assert_eq!(units, [&[format(Codec::Opus)][..], &times, &[sound(400, 50_000)]].concat());
    assert_eq!(lane.take(sound(420, 200)), (vec![sound(420, 200)], None));
    let back = (440..10_000).step_by(20).find_map(|ms| lane.take(sound(ms, 200)).1);
    assert!(untouched(&back), "{back:?}");
}

#[test]
fn other_sound_and_pictures_go_to_the_worker() {
    let mut lane = lane();
    for unit in [format(Codec::Aac), sound(0, 200), sound(20, 200)] {
        assert_eq!(lane.take(unit.clone()), (vec![unit], None));
    }
    lane.take(format(Codec::Opus));
    assert!(untouched(&lane.take(sound(40, 200)).1));
    let (units, news) = lane.take(format(Codec::Aac));
    assert_eq!(units, [format(Codec::Aac)]);
    assert_eq!(news, Some(Input::SoundWay { source: OURS, way: SoundWay::Encoded }));
    assert_eq!(lane.take(sound(60, 200)), (vec![sound(60, 200)], None));
}
