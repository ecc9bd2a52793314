//! Pictures and sound of a live stream that have playlists of their own.
#![allow(clippy::unwrap_used)]

mod sim;

use std::time::Duration;

use hls::{Fetch, Rendition, Wish};
use sim::{
    Answer, Origin, Pace,
    live::{Live, content},
};
use sluicegate_hls as hls;

const MASTER: &str = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",DEFAULT=YES,URI=\"sound/x.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO=\"a\"\npictures/x.m3u8\n";

/// The sound's segments are of another length, so that numbers do not agree.
struct Two {
    pictures: Live,
    sound: Live,
}

impl Origin for Two {
    fn get(&mut self, at: Duration, fetch: &Fetch) -> Answer {
        match fetch.url.path() {
            "/index.m3u8" => Ok(MASTER.into()),
            path if path.contains("sound/") => self.sound.get(at, fetch),
            _ => self.pictures.get(at, fetch),
        }
    }
}

#[test]
fn an_hour_of_both_begins_together_and_stays_so() {
    for dated in [false, true] {
        let rotation = Some(50);
        let pictures = Live { rotation, dated, ..Live::default() };
        let sound = Live {
            rotation,
            dated,
            segment: Duration::from_secs(2),
            window: 12,
            target: 2,
            ..Live::default()
        };
        let mut two = Two { pictures, sound };
        let hour = Duration::from_secs(3600);
        let latency = Duration::from_millis(50);
        let url = "https://origin.example/index.m3u8";
        let seen = sim::run(url, Wish::default(), &mut two, Pace::Plays(1.0), latency, hour);
        assert_eq!((&seen.failed, seen.skipped.len(), seen.hunger.len()), (&None, 0, 0));
        assert_eq!(seen.begun, [(true, true)]);
        let (mut pictures, mut sound) = (Vec::new(), Vec::new());
        for (_, data) in &seen.data {
            assert_eq!(data.bytes, content(data.sequence));
            let of = if data.rendition == Rendition::Main { &mut pictures } else { &mut sound };
            of.push(data.sequence);
        }
        for numbers in [&pictures, &sound] {
            assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1));
        }
        // Segment n of pictures begins with segment 2n of sound.
        assert_eq!(
            (pictures[0] * 2, pictures.len() * 2 - sound.len() < 2),
            (sound[0], true),
            "dated: {dated}"
        );
        assert!(seen.most_under_way <= 4);
    }
}
