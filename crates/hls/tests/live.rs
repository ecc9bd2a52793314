//! Live streams in virtual time.
#![allow(clippy::unwrap_used)]

mod sim;

use std::time::Duration;

use hls::{Failure, Reason, Rendition, Skip, What, Wish};
use sim::{
    Pace, Seen,
    live::{Live, content},
};
use sluicegate_hls as hls;

const URL: &str = "https://origin.example/live/index.m3u8";
const HOUR: Duration = Duration::from_secs(3600);

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

fn play(live: &mut Live, until: Duration) -> Seen {
    sim::run(URL, Wish::default(), live, Pace::Plays(1.0), seconds(0.08), until)
}

/// Every segment once, in order, as it was made.
fn all_in_order(seen: &Seen) {
    let numbers = seen.numbers(Rendition::Main);
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
    assert!(seen.data.iter().all(|(_, data)| data.bytes == content(data.sequence) && !data.hole));
}

#[test]
fn an_hour_of_live_has_no_gap_no_pause_and_no_drift() {
    for (segment, target) in [(4.0, 4), (2.0, 2), (3.84, 4), (6.006, 6), (1.0, 1), (3.2, 10)] {
        let mut live = Live { segment: seconds(segment), target, ..Live::default() };
        live.window = (4.0 * target as f64 / segment) as u64;
        let seen = play(&mut live, HOUR);
        assert_eq!((&seen.failed, seen.ended, seen.skipped.len()), (&None, None, 0), "{segment}");
        all_in_order(&seen);
        let played: f64 = seen.data.len() as f64 * segment;
        assert!((3590.0..3610.0).contains(&played), "{segment}: {played} s");
        assert_eq!(seen.hunger, [], "{segment}");
        let behind = |(at, data): &(Duration, hls::Data)| at.as_secs_f64() - live.published(data.sequence);
        let (first, last) = (behind(&seen.data[1]), behind(seen.data.last().unwrap()));
        assert!((first - last).abs() < 0.01, "{segment}: {first} s behind, then {last} s");
        // One load of the playlist a target duration, two where it was unchanged (RFC 8216 6.3.4).
        let loads = seen.fetched("m3u8") as f64;
        let most = 3600.0 / target.min(segment as u64 + 1) as f64 * 2.0;
        assert!(loads > 3600.0 / target as f64 * 0.9 && loads <= most, "{segment}: {loads} loads");
        assert!(seen.most_under_way <= 2, "{}", seen.most_under_way);
    }
}

#[test]
fn it_starts_three_target_durations_from_the_end() {
    let seen = play(&mut Live::default(), seconds(1.0));
    // At 0 s numbers 9..15 are listed, of 4 s each.
    assert_eq!(seen.numbers(Rendition::Main), [12]);
}

#[test]
fn a_segment_is_fetched_ahead_and_no_more() {
    let seen =
        sim::run(URL, Wish::default(), &mut Live::default(), Pace::Plays(1e6), seconds(0.08), seconds(20.0));
    assert_eq!(seen.numbers(Rendition::Main), [12]);
    assert_eq!((seen.fetched("12.ts"), seen.fetched("13.ts"), seen.fetched("14.ts")), (1, 1, 0));
}

#[test]
fn an_unchanged_playlist_is_loaded_again_after_half_its_target_duration() {
    let mut live = Live { silent: seconds(10.0)..HOUR, ..Live::default() };
    let seen = play(&mut live, seconds(30.0));
    let loads: Vec<f64> = seen
        .fetches
        .iter()
        .filter(|(_, f)| f.what == What::Playlist)
        .map(|(at, _)| at.as_secs_f64())
        .collect();
    let waits: Vec<f64> = loads.windows(2).map(|two| two[1] - two[0]).collect();
    // The load at 12 s is the first with nothing new.
    assert_eq!(waits[..3], [4.0; 3], "{waits:?}");
    assert!(waits[3..].iter().all(|wait| *wait == 2.0) && waits.len() > 8, "{waits:?}");
}

#[test]
fn a_stream_that_stalls_ends_with_its_reason_and_one_that_goes_on_does_not() {
    let mut live = Live { silent: seconds(100.0)..seconds(120.0), ..Live::default() };
    let seen = play(&mut live, seconds(300.0));
    assert_eq!((&seen.failed, seen.skipped.len()), (&None, 0));
    all_in_order(&seen);

    let mut live = Live { silent: seconds(100.0)..HOUR, ..Live::default() };
    let seen = play(&mut live, HOUR);
    let (at, reason) = seen.failed.unwrap();
    assert!((seconds(125.0)..seconds(135.0)).contains(&at), "{at:?}");
    assert_eq!(reason.to_string(), "playlist https://origin.example/live/index.m3u8: nothing new for 30 s");
}

#[test]
fn a_playlist_that_is_not_there_for_a_while_is_asked_for_again() {
    let fault = |until: f64, failure: &Failure| Some((seconds(100.0)..seconds(until), failure.clone()));
    for failure in [Failure::Status(404), Failure::Status(503), Failure::Network("connection reset".into())] {
        let mut live = Live { playlist_fault: fault(112.0, &failure), window: 10, ..Live::default() };
        let seen = play(&mut live, seconds(300.0));
        assert_eq!((&seen.failed, seen.skipped.len()), (&None, 0), "{failure}");
        all_in_order(&seen);

        let mut live = Live { playlist_fault: fault(3600.0, &failure), ..Live::default() };
        let seen = play(&mut live, HOUR);
        let (at, reason) = seen.failed.clone().unwrap();
        assert!((seconds(120.0)..seconds(135.0)).contains(&at), "{at:?}");
        assert!(
            matches!(reason, Reason::Fetch { what: What::Playlist, failure: last, .. } if last == failure)
        );
        let tries =
            seen.fetches.iter().filter(|(at, f)| *at >= seconds(100.0) && f.what == What::Playlist).count();
        assert!((6..=12).contains(&tries), "{tries} tries");
    }
}

#[test]
fn what_is_not_there_at_first_is_told_within_seconds() {
    for (failure, most) in
        [(Failure::Status(404), 5.0), (Failure::Status(403), 0.1), (Failure::Refused("blocked".into()), 0.1)]
    {
        let mut live =
            Live { playlist_fault: Some((Duration::ZERO..HOUR, failure.clone())), ..Live::default() };
        let (at, reason) = play(&mut live, HOUR).failed.unwrap();
        assert!(at <= seconds(most), "{failure} at {at:?}");
        assert_eq!(reason.to_string(), format!("playlist {URL}: {failure}"));
    }
}

#[test]
fn discontinuities_keys_and_init_sections_come_with_their_segments() {
    let mut live = Live { cut_each: Some(5), rotation: Some(7), init_each: Some(10), ..Live::default() };
    let seen = play(&mut live, HOUR);
    assert_eq!((&seen.failed, seen.skipped.len()), (&None, 0));
    all_in_order(&seen);
    for (index, (_, data)) in seen.data.iter().enumerate() {
        assert_eq!(data.discontinuity, index > 0 && data.sequence % 5 == 0, "{data:?}");
        let changes = index == 0 || data.sequence % 10 == 0;
        let init = changes.then(|| format!("....ftyp {}", data.sequence / 10));
        assert_eq!(data.init.as_deref(), init.as_deref().map(str::as_bytes), "{data:?}");
    }
    // Each key and each init section once.
    let last = seen.data.last().unwrap().1.sequence + 1;
    assert_eq!(seen.fetched(".key") as u64, last / 7 - 12 / 7 + 1);
    assert_eq!(seen.fetched(".mp4") as u64, last / 10 - 12 / 10 + 1);
}

#[test]
fn absent_segments_and_gaps_are_passed_over_and_told() {
    let mut live = Live { absent: 30..31, gaps: 40..42, window: 8, ..Live::default() };
    let seen = play(&mut live, seconds(300.0));
    assert_eq!(seen.failed, None);
    let skips: Vec<_> = seen.skipped.iter().map(|(_, _, from, to, why)| (*from, *to, *why)).collect();
    assert_eq!(skips, [(30, 31, Skip::Missing), (40, 42, Skip::Gap)]);
    assert_eq!((seen.lost, &seen.begun[..]), (seconds(12.0), &[(true, false)][..]));
    let holes: Vec<_> = seen.data.iter().filter(|(_, d)| d.hole).map(|(_, d)| d.sequence).collect();
    assert_eq!(holes, [31, 42]);
    assert!((2..=6).contains(&seen.fetched("a30.ts")) && seen.fetched("a40.ts") == 0);

    let mut live = Live { absent: 30..100, window: 8, ..Live::default() };
    let (_, reason) = play(&mut live, HOUR).failed.unwrap();
    assert!(
        matches!(reason, Reason::Fetch { what: What::Segment, failure: Failure::Status(404), .. }),
        "{reason}"
    );
}

#[test]
fn a_consumer_that_falls_behind_goes_on_at_the_live_edge() {
    let mut live = Live::default();
    let seen = sim::run(URL, Wish::default(), &mut live, Pace::Plays(3.0), seconds(0.08), seconds(600.0));
    assert_eq!(seen.failed, None);
    assert!(!seen.skipped.is_empty());
    for (at, _, from, to, why) in &seen.skipped {
        assert_eq!(*why, Skip::Behind);
        assert!(to > from && *to >= live.end(*at) - 4, "{from}..{to} at {at:?}");
    }
    let lost: u64 = seen.skipped.iter().map(|(_, _, from, to, _)| to - from).sum();
    assert_eq!(seen.lost, seconds(4.0) * lost as u32);
    let holes = seen.data.iter().filter(|(_, d)| d.hole && !d.discontinuity).count();
    assert_eq!(
        holes,
        seen.skipped.iter().filter(|(_, _, _, to, _)| seen.numbers(Rendition::Main).contains(to)).count()
    );
    let last = seen.data.last().unwrap();
    assert!(last.0.as_secs_f64() - live.published(last.1.sequence) < 60.0, "{last:?}");
}

#[test]
fn old_copies_and_shrunk_playlists_are_waited_out() {
    let mut live = Live { stale: Some((seconds(100.0)..seconds(106.0), seconds(12.0))), ..Live::default() };
    let seen = play(&mut live, seconds(300.0));
    assert_eq!((&seen.failed, seen.skipped.len()), (&None, 0));
    all_in_order(&seen);

    let mut live = Live { shrunk: Some((seconds(100.0)..seconds(115.0), 2)), window: 10, ..Live::default() };
    let seen = play(&mut live, seconds(300.0));
    assert_eq!((&seen.failed, seen.skipped.len()), (&None, 0));
    all_in_order(&seen);

    let mut live = Live { shrunk: Some((seconds(100.0)..HOUR, 2)), ..Live::default() };
    let seen = play(&mut live, HOUR);
    assert!(matches!(seen.failed, Some((at, Reason::Stalled { .. })) if at < seconds(140.0)));
}

#[test]
fn an_encoder_that_begins_anew_is_followed_from_its_live_edge() {
    let mut live = Live { restarts: Some(seconds(100.0)), ..Live::default() };
    let seen = play(&mut live, seconds(300.0));
    assert_eq!(seen.failed, None);
    let [(at, _, _, to, Skip::Restarted)] = seen.skipped[..] else { panic!("{:?}", seen.skipped) };
    assert!(at < seconds(115.0) && to <= 1, "{at:?} {to}");
    let after: Vec<_> = seen.data.iter().skip_while(|(_, d)| d.sequence != to).map(|(_, d)| d).collect();
    assert!(after[0].discontinuity && after[0].hole);
    assert_eq!(seen.lost, Duration::ZERO, "of the old numbers nothing is known");
    assert!(after[1..].iter().all(|d| !d.discontinuity && !d.hole));
    assert!(after.len() > 40);
}

#[test]
fn a_live_stream_that_ends_is_played_to_its_end() {
    let mut live = Live { ends: Some(50), ..Live::default() };
    let seen = play(&mut live, HOUR);
    assert_eq!((&seen.failed, *seen.numbers(Rendition::Main).last().unwrap()), (&None, 49));
    assert!(seen.ended.unwrap() < seconds(200.0));
    all_in_order(&seen);
}
