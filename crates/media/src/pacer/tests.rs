mod live;

use bytes::Bytes;

use super::*;
use crate::{Codec, Format, Packet};

const VIDEO: TrackId = TrackId(0);
const AUDIO: TrackId = TrackId(1);
const FRAME_MS: i64 = 40;
const SOUND_MS: i64 = 20;
const KEY_MS: i64 = 2000;

fn ms(ms: i64) -> MediaTime {
    MediaTime::from_millis(ms)
}

fn packet(track: TrackId, at: i64) -> Unit {
    let kind = if track == VIDEO { Kind::Video } else { Kind::Audio };
    let keyframe = kind == Kind::Audio || at % KEY_MS == 0;
    let data = Bytes::from_static(&[0; 100]);
    Unit::Packet(Packet { track, kind, pts: ms(at), dts: ms(at), keyframe, data })
}

/// All that a source has from `from` up to `to`, in the order of its times.
fn media(from: i64, to: i64) -> impl Iterator<Item = Unit> {
    (from..to).flat_map(|at| {
        let video = (at % FRAME_MS == 0).then(|| packet(VIDEO, at));
        video.into_iter().chain((at % SOUND_MS == 0).then(|| packet(AUDIO, at)))
    })
}

/// A unit that was given, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Given {
    at: i64,
    /// As a person who knows the source would say: the number of milliseconds from its beginning.
    source: i64,
    dts: i64,
    video: bool,
}

/// A pacer and a caller that does as it is told, on a virtual clock of 1 ms.
struct Rig {
    pacer: Pacer,
    now: i64,
    given: Vec<Given>,
    over: Option<i64>,
}

impl Rig {
    fn new(pace: Pace) -> Self {
        let mut pacer = Pacer::new(pace);
        pacer.expect(2);
        Self { pacer, now: 100_000, given: Vec::new(), over: None }
    }

    fn push(&mut self, unit: Unit) {
        self.pacer.push(ms(self.now), mark(unit));
    }

    /// Reads a file as far as it is wanted, as fast as that.
    fn read(&mut self, file: &mut impl Iterator<Item = Unit>) {
        while self.pacer.wants() {
            match file.next() {
                Some(unit) => self.push(unit),
                None => self.pacer.finish(),
            }
        }
    }

    fn give(&mut self) {
        loop {
            match self.pacer.next(ms(self.now)) {
                Step::Give(Unit::Packet(packet)) => self.given.push(Given {
                    at: self.now,
                    source: i64::from_be_bytes(packet.data[..8].try_into().unwrap()),
                    dts: packet.dts.millis(),
                    video: packet.kind == Kind::Video,
                }),
                Step::Give(Unit::Format(..)) => {}
                Step::Wait(Some(until)) if until <= ms(self.now) => {}
                Step::Wait(_) => return,
                Step::Over => {
                    self.over.get_or_insert(self.now);
                    return;
                }
            }
        }
    }

    fn play_file(&mut self, file: &mut impl Iterator<Item = Unit>, time: i64) {
        for _ in 0..time {
            self.read(file);
            self.give();
            self.now += 1;
        }
    }

    /// Times of each track never go back, and are those of the source but for a shift: gives all shifts there were.
    fn shifts(&self) -> Vec<i64> {
        for video in [true, false] {
            let of_track: Vec<_> = self.given.iter().filter(|given| given.video == video).collect();
            assert!(of_track.windows(2).all(|pair| pair[0].dts <= pair[1].dts), "back in time");
        }
        let mut shifts: Vec<i64> = self.given.iter().map(|given| given.dts - given.source).collect();
        shifts.dedup();
        shifts
    }
}

/// Writes down where in the source it is.
fn mark(unit: Unit) -> Unit {
    match unit {
        Unit::Packet(packet) => {
            let mut data = packet.dts.millis().to_be_bytes().to_vec();
            data.resize(packet.data.len(), 0);
            Unit::Packet(Packet { data: data.into(), ..packet })
        }
        format => format,
    }
}

#[test]
fn a_file_starts_at_once_is_given_as_fast_as_it_plays_and_ends_when_its_last_picture_was_shown() {
    let mut rig = Rig::new(Pace::File);
    rig.pacer.start_over();
    let start = rig.now;
    let mut file = media(0, 60_000);
    rig.play_file(&mut file, 61_000);
    assert_eq!(rig.given.len(), 60_000 / 40 + 60_000 / 20);
    for given in &rig.given {
        assert!((0..=1).contains(&(given.at - start - given.source)), "{given:?}");
    }
    assert_eq!(rig.shifts(), [start]);
    assert_eq!(rig.pacer.dry(), 0);
}

#[test]
fn a_file_is_over_when_its_last_picture_was_shown() {
    let mut pacer = Pacer::new(Pace::File);
    media(0, 1000).for_each(|unit| pacer.push(ms(0), unit));
    pacer.finish();
    let mut last = 0;
    for now in 0..2000 {
        while let Step::Give(_) = pacer.next(ms(now)) {
            last = now;
        }
        if pacer.next(ms(now)) == Step::Over {
            assert!((960..=981).contains(&last) && (1000..=1001).contains(&now), "last {last}, over {now}");
            return;
        }
    }
    panic!("never over");
}

#[test]
fn no_more_of_a_file_is_read_than_is_needed() {
    let mut rig = Rig::new(Pace::File);
    rig.read(&mut media(0, 600_000));
    let spans = rig.pacer.buffered();
    let most = AHEAD + READ_AT_ONCE;
    assert!(spans >= most && spans < most + Duration::from_millis(100), "{spans:?}");
}

#[test]
fn a_file_is_read_a_second_at_a_time_and_never_so_late_that_it_is_noticed() {
    let mut rig = Rig::new(Pace::File);
    rig.pacer.start_over();
    let mut file = media(0, 60_000);
    let (mut reads, mut before) = (0, 0);
    for _ in 0..20_000 {
        rig.read(&mut file);
        rig.give();
        let ahead = rig.pacer.buffered();
        assert!(ahead + ms(FRAME_MS).to_duration() >= AHEAD, "{ahead:?} at {}", rig.now);
        reads += usize::from(ahead.as_millis() > before + 100);
        before = ahead.as_millis();
        rig.now += 1;
    }
    assert!((15..=21).contains(&reads), "{reads} reads in 20 s");
}

#[test]
fn sound_alone_is_given_two_or_three_units_at_once() {
    let mut rig = Rig::new(Pace::File);
    rig.pacer.expect(1);
    rig.pacer.start_over();
    let start = rig.now;
    let mut file = media(0, 20_000).filter(|unit| matches!(unit, Unit::Packet(p) if p.track == AUDIO));
    rig.play_file(&mut file, 21_000);
    assert_eq!(rig.given.len(), 1000);
    for given in &rig.given {
        assert!((-50..=1).contains(&(given.at - start - given.source)), "{given:?}");
    }
    let mut times: Vec<_> = rig.given.iter().map(|given| given.at).collect();
    times.dedup();
    assert!((300..=350).contains(&times.len()), "{} times", times.len());
    assert_eq!(rig.shifts(), [start]);
}

#[test]
fn sound_that_a_file_keeps_seconds_behind_its_pictures_is_given_in_time() {
    let mut rig = Rig::new(Pace::File);
    rig.pacer.start_over();
    let start = rig.now;
    let (mut video, mut audio): (Vec<_>, Vec<_>) =
        media(0, 60_000).partition(|unit| matches!(unit, Unit::Packet(packet) if packet.track == VIDEO));
    let mut file = Vec::new();
    while !video.is_empty() {
        // Four seconds of pictures, then four seconds of sound.
        file.extend(video.drain(..100));
        file.extend(audio.drain(..200));
    }
    rig.play_file(&mut file.into_iter(), 60_000);
    assert!(rig.given.iter().all(|given| (0..=1).contains(&(given.at - start - given.source))));
    assert_eq!(rig.given.iter().filter(|given| !given.video).count(), 3000);
}

#[test]
fn a_track_that_ends_early_does_not_stop_the_other() {
    let mut rig = Rig::new(Pace::File);
    rig.pacer.start_over();
    let start = rig.now;
    let mut file = media(0, 30_000)
        .filter(|unit| !matches!(unit, Unit::Packet(p) if p.track == AUDIO && p.dts > ms(5_000)));
    rig.play_file(&mut file, 30_000);
    let last = rig.given.last().unwrap();
    assert_eq!(last.source, 29_960);
    assert!(last.at - start - last.source <= 1, "{last:?}");
    assert_eq!(rig.pacer.dry(), 0);
}

#[test]
fn a_file_that_runs_dry_stands_and_goes_on_where_it_was_sound_and_pictures_together() {
    let mut rig = Rig::new(Pace::File);
    rig.pacer.start_over();
    let mut file = media(0, 60_000);
    rig.play_file(&mut file, 10_000);
    for _ in 0..15_000 {
        rig.give();
        rig.now += 1;
    }
    let stood = rig.given.last().unwrap().source;
    let resumed = (rig.now, rig.given.len());
    rig.play_file(&mut file, 20_000);
    let next = rig.given[resumed.1];
    assert!((0..=40).contains(&(next.source - stood)) && next.at == resumed.0, "{stood} {next:?}");
    let shifts = rig.shifts();
    assert_eq!((shifts.len(), rig.pacer.dry()), (2, 1), "{shifts:?}");
    assert!(
        (12_000..=13_300).contains(&(shifts[1] - shifts[0])),
        "what was read ahead was played: {shifts:?}"
    );
    assert!(
        rig.given[resumed.1..].iter().all(|given| given.at - given.dts <= 1),
        "nothing is late afterwards"
    );
}

#[test]
fn what_was_played_to_nobody_is_played_again_from_the_start() {
    let mut rig = Rig::new(Pace::File);
    let mut file = media(0, 20_000);
    rig.play_file(&mut file, 800);
    assert!(rig.given.last().unwrap().source >= 760);
    rig.pacer.start_over();
    let (again, from) = (rig.now, rig.given.len());
    rig.play_file(&mut file, 19_000);
    assert_eq!(rig.given[from].source, 0);
    assert!((0..=80).contains(&(rig.given[from].at - again)), "when what a decoder has is past");
    let sound = |given: &[Given]| {
        given.iter().filter(|given| !given.video).map(|given| given.dts).collect::<Vec<_>>()
    };
    let seam = sound(&rig.given[from..])[0] - sound(&rig.given[..from]).last().unwrap();
    assert!(seam >= 46 + 20, "sound is {seam} ms apart: a worker would take that for a clock's rounding");
    let sources: Vec<_> =
        rig.given[from..].iter().filter(|given| given.video).map(|given| given.source).collect();
    assert!(sources.iter().enumerate().all(|(n, source)| *source == n as i64 * 40), "none is left out");
    rig.shifts();
}

#[test]
fn a_long_wait_for_somebody_who_sees_it_keeps_little() {
    let mut rig = Rig::new(Pace::File);
    let mut file = media(0, 60_000);
    rig.play_file(&mut file, 8_000);
    rig.pacer.start_over();
    let from = rig.given.len();
    rig.play_file(&mut file, 1_000);
    assert!(rig.given[from].source >= 7_900, "it goes on where it is");
}

#[test]
fn another_item_follows_without_a_gap() {
    let mut rig = Rig::new(Pace::File);
    rig.pacer.start_over();
    let start = rig.now;
    for unit in media(0, 3_000) {
        rig.pacer.push(ms(rig.now), unit);
    }
    let base = rig.pacer.next_item(Pace::File);
    assert_eq!(base, ms(3_000));
    for unit in media(0, 3_000) {
        let Unit::Packet(packet) = unit else { unreachable!() };
        let shifted = Packet { pts: packet.pts + base, dts: packet.dts + base, ..packet };
        rig.pacer.push(ms(rig.now), Unit::Packet(shifted));
    }
    rig.pacer.finish();
    rig.play_file(&mut std::iter::empty(), 7_000);
    let pictures: Vec<_> =
        rig.given.iter().filter(|given| given.video).map(|given| given.dts - start).collect();
    assert!(pictures.iter().enumerate().all(|(n, dts)| *dts == n as i64 * 40), "{pictures:?}");
    assert!(rig.over.is_some_and(|over| (6_000..=6_001).contains(&(over - start))));
}

#[test]
fn formats_go_before_their_packets() {
    let mut pacer = Pacer::new(Pace::File);
    pacer.push(ms(0), Unit::Format(VIDEO, Format::new(Codec::H264, Bytes::new())));
    pacer.push(ms(0), packet(VIDEO, 0));
    assert_eq!(pacer.next(ms(0)), Step::Wait(None), "half a second is waited for");
    pacer.finish();
    assert!(matches!(pacer.next(ms(0)), Step::Give(Unit::Format(..))));
    assert!(matches!(pacer.next(ms(0)), Step::Give(Unit::Packet(_))));
}

#[test]
fn pictures_that_begin_again_come_after_those_that_were_rehearsed() {
    let mut pacer = Pacer::new(Pace::File);
    pacer.expect(1);
    // A key picture, and then a P that is shown after three B.
    let order = |group: i64| [(4, 1), (2, 2), (1, 3), (3, 4)].map(|(pts, dts)| (group + pts, group + dts));
    let pictures = [(2, 0)].into_iter().chain((0..10).flat_map(|n| order(4 * n).map(|(p, d)| (p + 2, d))));
    for (at, (pts, dts)) in pictures.enumerate() {
        let Unit::Packet(packet) = packet(VIDEO, 0) else { unreachable!() };
        let (pts, dts) = (ms(pts * FRAME_MS), ms(dts * FRAME_MS));
        pacer.push(ms(0), Unit::Packet(Packet { pts, dts, keyframe: at == 0, ..packet }));
    }
    pacer.finish();
    let (mut rehearsed, mut shown) = (Vec::new(), Vec::new());
    for now in 1000..4000 {
        if now == 1090 {
            pacer.start_over();
        }
        while let Step::Give(Unit::Packet(packet)) = pacer.next(ms(now)) {
            let times = (packet.pts.millis(), packet.dts.millis());
            assert!((0..=1).contains(&(now - times.1)), "in time: {times:?} at {now}");
            if now < 1090 { rehearsed.push(times.0) } else { shown.push(times.0) }
        }
    }
    assert_eq!((rehearsed.len(), shown.len()), (3, 41));
    assert_eq!(shown.iter().min(), shown.first());
    let gap = shown[0] - rehearsed.iter().max().unwrap();
    assert!((80..100).contains(&gap), "{rehearsed:?} {shown:?}");
}
