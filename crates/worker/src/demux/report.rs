//! What tracks there are, over all inputs.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pipeline::demux::{Event, MAX_INPUTS};

use super::sorter::Wants;

/// Keeps the last that was said.
#[derive(Debug, Default)]
pub(crate) struct Report(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    inputs: [Option<Wants>; MAX_INPUTS],
    duration: Option<Duration>,
    said: Option<(bool, bool, Option<Duration>)>,
}

impl Report {
    /// Takes note of what an input has; an event when that is news.
    pub(crate) fn note(&self, input: u8, has: Wants, duration: Option<Duration>) -> Option<Event> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state.inputs.get_mut(usize::from(input))? = Some(has);
        if input == 0 {
            state.duration = duration.or(state.duration);
        }
        let any = |has: fn(&Wants) -> bool| state.inputs.iter().flatten().any(has);
        let now = (any(|has| has.video), any(|has| has.audio), state.duration);
        let news = state.said.is_none_or(|said| (said.0, said.1) != (now.0, now.1));
        state.said = Some(now);
        let (video, audio, duration) = now;
        news.then_some(Event::Tracks { video, audio, duration })
    }
}
