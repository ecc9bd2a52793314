//! Sources that come at a clock of their own.

use super::*;

/// A live source in segments: each comes whole once it is made, the first three at the start.
struct Segments {
    length: i64,
    /// Parts in a million by which its clock is too fast.
    ppm: i64,
    start: i64,
    made: i64,
}

impl Segments {
    fn new(start: i64, length: i64, ppm: i64) -> Self {
        Self { length, ppm, start, made: 0 }
    }

    fn run(&mut self, rig: &mut Rig) {
        // Three segments are there at once.
        let source = (rig.now - self.start) * (1_000_000 + self.ppm) / 1_000_000 + 3 * self.length;
        while source >= self.made + self.length {
            media(self.made, self.made + self.length).for_each(|unit| rig.push(unit));
            self.made += self.length;
        }
    }
}

/// How far what is given is behind what is made, over time.
fn live(ppm: i64, seconds: i64, outage: std::ops::Range<i64>) -> (Rig, Vec<i64>) {
    let mut rig = Rig::new(Pace::Live);
    let mut source = Segments::new(rig.now, 4_000, ppm);
    let (start, mut behind) = (rig.now, Vec::new());
    for passed in 0..seconds * 1000 {
        if !outage.contains(&(passed / 1000)) {
            source.run(&mut rig);
        }
        rig.give();
        if passed % 1000 == 0 {
            let made = (rig.now - start) * (1_000_000 + ppm) / 1_000_000 + 3 * 4_000;
            behind.push(made - rig.given.last().map_or(0, |given| given.source));
        }
        rig.now += 1;
    }
    (rig, behind)
}

#[test]
fn an_hour_of_live_neither_runs_dry_nor_falls_behind_with_clocks_that_differ() {
    for ppm in [-200, 0, 200] {
        let (rig, behind) = live(ppm, 3600, 0..0);
        let (early, late) = (behind[60], *behind.last().unwrap());
        assert_eq!((rig.pacer.dry(), rig.pacer.skipped()), (0, 0), "{ppm} ppm");
        assert!((early - late).abs() <= 600, "{ppm} ppm: {early} ms behind, then {late}");
        assert_eq!(rig.shifts().len(), 1, "times between units are the source's own");
    }
}

#[test]
fn a_live_source_without_a_buffer_gets_one_slowly() {
    let mut rig = Rig::new(Pace::Live);
    let (start, mut made) = (rig.now, 0);
    for passed in 0..300_000 {
        // A unit comes in the moment in which it is made, but for one pause of 0.4 s in each ten seconds.
        let paused = passed % 10_000 < 400;
        let until = if paused { passed / 10_000 * 10_000 } else { passed };
        media(made, until).for_each(|unit| rig.push(unit));
        made = made.max(until);
        rig.give();
        rig.now += 1;
    }
    let late = rig.now - start - rig.given.last().unwrap().source;
    assert!((900..2_000).contains(&late), "{late} ms behind");
    assert_eq!(rig.pacer.dry(), 0);
}

#[test]
fn a_live_source_that_was_away_for_a_while_is_soon_as_near_as_before() {
    let (rig, behind) = live(0, 180, 60..75);
    assert_eq!(rig.pacer.dry(), 1);
    let (before, after) = (behind[50], *behind.last().unwrap());
    assert!(after <= before + 3_000, "{before} ms behind before, {after} after");
    assert!(rig.pacer.skipped() > 0 && !rig.shifts().is_empty());
    let first_after = rig.given.iter().filter(|given| given.video).collect::<Vec<_>>();
    let cut = first_after.windows(2).find(|pair| pair[1].source - pair[0].source > 1_000).unwrap();
    assert_eq!(cut[1].source % KEY_MS, 0, "what is left out ends with a key picture");
    assert!(cut[1].dts - cut[0].dts <= 100, "and is no gap for who looks on: {cut:?}");
}

#[test]
fn renditions_that_come_a_segment_at_a_time_wait_for_each_other() {
    let mut rig = Rig::new(Pace::Live);
    let of = |track: TrackId, from, to| {
        media(from, to).filter(move |unit| matches!(unit, Unit::Packet(packet) if packet.track == track))
    };
    for segment in 0..30 {
        let (from, to) = (segment * 4_000, (segment + 1) * 4_000);
        // Sound comes 1.5 s before the pictures.
        of(AUDIO, from, to).for_each(|unit| rig.push(unit));
        for passed in 0..4_000 {
            if passed == 1_500 {
                of(VIDEO, from, to).for_each(|unit| rig.push(unit));
            }
            rig.give();
            rig.now += 1;
        }
    }
    let apart = rig.given.windows(2).map(|pair| (pair[0].source - pair[1].source).abs()).max().unwrap();
    assert!(apart <= 700, "sound and pictures are {apart} ms apart");
    rig.shifts();
}
