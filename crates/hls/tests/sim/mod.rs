//! An origin, a network and a consumer in virtual time.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

pub mod live;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hls::{Chosen, Client, Data, Failure, Fetch, Fetched, Input, Output, Reason, Rendition, Skip, Wish};
use sluicegate_hls as hls;

pub type Answer = Result<Bytes, Failure>;

/// What is on the other side: asked at a time since the beginning.
pub trait Origin {
    fn get(&mut self, at: Duration, fetch: &Fetch) -> Answer;
}

impl<F: FnMut(Duration, &Fetch) -> Answer> Origin for F {
    fn get(&mut self, at: Duration, fetch: &Fetch) -> Answer {
        self(at, fetch)
    }
}

/// How fast a consumer is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// It takes a segment as long as it plays, times this.
    Plays(f64),
    AtOnce,
}

/// What came out, and when.
#[derive(Debug, Default)]
pub struct Seen {
    pub data: Vec<(Duration, Data)>,
    pub fetches: Vec<(Duration, Fetch)>,
    pub skipped: Vec<(Duration, Rendition, u64, u64, Skip)>,
    /// What all of those stand for.
    pub lost: Duration,
    /// Live, and with sound apart.
    pub begun: Vec<(bool, bool)>,
    pub chosen: Vec<Chosen>,
    pub ended: Option<Duration>,
    pub renditions_ended: Vec<(Duration, Rendition)>,
    pub failed: Option<(Duration, Reason)>,
    /// Times at which the consumer had nothing, after it had had something.
    pub hunger: Vec<(Duration, Duration)>,
    pub inputs: usize,
    pub most_under_way: usize,
}

impl Seen {
    pub fn numbers(&self, rendition: Rendition) -> Vec<u64> {
        self.data.iter().filter(|(_, d)| d.rendition == rendition).map(|(_, d)| d.sequence).collect()
    }

    /// How often an address that ends so was fetched.
    pub fn fetched(&self, end: &str) -> usize {
        self.fetches.iter().filter(|(_, f)| f.url.path().ends_with(end)).count()
    }
}

enum Event {
    Fetched(hls::FetchId, Result<Fetched, Failure>),
    Taken(Rendition),
    Tick,
}

/// Runs a client against an origin until it ends, fails, or `until` has passed. Answers take `latency`.
pub fn run(
    url: &str,
    wish: Wish,
    origin: &mut dyn Origin,
    pace: Pace,
    latency: Duration,
    until: Duration,
) -> Seen {
    let zero = Instant::now();
    let mut seen = Seen::default();
    let mut client = Client::new(url.parse().unwrap(), wish);
    let mut events = BTreeMap::from([((Duration::ZERO, 0), Event::Tick)]);
    let (mut count, mut under_way) = (1, 0);
    let mut hungry: BTreeMap<Rendition, Duration> = BTreeMap::new();
    let mut wake = None;
    while let Some(((mut at, _), mut event)) = events.pop_first() {
        // The timer is one: only the last WaitUntil counts.
        if let Some(due) = wake.filter(|due| *due < at) {
            events.insert(
                (at, {
                    count += 1;
                    count
                }),
                event,
            );
            (at, event) = (due, Event::Tick);
        }
        if at > until {
            break;
        }
        seen.inputs += 1;
        assert!(seen.inputs < 200_000, "a client that spins at {at:?}: {:?}", seen.skipped.last());
        let input = match event {
            Event::Tick => Input::Tick,
            Event::Fetched(id, result) => {
                under_way -= 1;
                Input::Fetched { id, result }
            }
            Event::Taken(rendition) => {
                hungry.insert(rendition, at);
                Input::Taken { rendition }
            }
        };
        let outputs = client.handle(zero + at, input);
        assert!(outputs.len() <= 16, "{outputs:?}");
        wake = None;
        for output in outputs {
            assert!(seen.ended.is_none() && seen.failed.is_none(), "{output:?} after the end");
            count += 1;
            match output {
                Output::Fetch(fetch) => {
                    under_way += 1;
                    let url = fetch.url.clone();
                    let answer = origin.get(at, &fetch).map(|body| Fetched { url, body });
                    events.insert((at + latency, count), Event::Fetched(fetch.id, answer));
                    seen.fetches.push((at, fetch));
                }
                Output::Data(data) => {
                    if let Some(since) = hungry.remove(&data.rendition).filter(|since| *since < at) {
                        seen.hunger.push((since, at - since));
                    }
                    let plays = match pace {
                        Pace::Plays(times) => data.duration.mul_f64(times),
                        Pace::AtOnce => Duration::ZERO,
                    };
                    events.insert((at + plays, count), Event::Taken(data.rendition));
                    seen.data.push((at, data));
                }
                Output::Skipped { rendition, from, to, lasts, why } => {
                    seen.skipped.push((at, rendition, from, to, why));
                    seen.lost += lasts;
                }
                Output::Begun { live, audio } => {
                    assert!(seen.data.is_empty(), "it begins before its first data");
                    seen.begun.push((live, audio));
                }
                Output::RenditionEnded { rendition } => seen.renditions_ended.push((at, rendition)),
                Output::Chosen(chosen) => seen.chosen.push(chosen),
                Output::WaitUntil(due) => {
                    assert!(due > zero + at, "it wants to be asked again at once");
                    wake = Some(due - zero);
                }
                Output::Ended => seen.ended = Some(at),
                Output::Failed(reason) => seen.failed = Some((at, reason)),
            }
        }
        seen.most_under_way = seen.most_under_way.max(under_way);
        if let (Some(due), true) = (wake, events.is_empty()) {
            events.insert((due, count), Event::Tick);
        }
        if seen.ended.is_some() || seen.failed.is_some() {
            assert!(client.handle(zero + at, Input::Tick).is_empty());
            let told = seen.renditions_ended.len();
            let renditions = seen.begun.first().map_or(0, |(_, audio)| if *audio { 2 } else { 1 });
            assert!(seen.ended.is_none() || told == renditions, "{:?}", seen.renditions_ended);
            break;
        }
    }
    seen
}
