use std::time::Instant;

use crate::{AudioState, Budget, Status, VideoState};

/// Which states are worth posting, and when.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    last: Option<(Status, Instant)>,
    due: Option<Instant>,
    forbidden: bool,
}

/// How much two states of one phase differ.
#[derive(PartialEq, Eq)]
enum Difference {
    None,
    /// Only the bitrate, and that noticeably.
    Bitrate,
    /// What the media is.
    Description,
}

impl Reports {
    /// The control plane wants no more states of this session.
    pub(crate) fn forbid(&mut self) {
        self.forbidden = true;
    }

    /// False when the control plane does not listen.
    pub(crate) fn may_post(&self) -> bool {
        !self.forbidden
    }

    /// The state, when it is to be posted now.
    pub(crate) fn offer(&mut self, now: Instant, status: Status, budget: &Budget) -> Option<Status> {
        self.due = match &self.last {
            Some((last, at)) if last.phase == status.phase => match difference(last, &status) {
                Difference::None => None,
                Difference::Bitrate => Some(*at + budget.refresh),
                Difference::Description => Some(*at + budget.describe),
            },
            _ => Some(now),
        };
        self.due.take_if(|due| *due <= now)?;
        self.last = Some((status.clone(), now));
        Some(status)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Nothing is posted any more but the final state.
    pub(crate) fn close(&mut self) {
        self.due = None;
    }
}

fn difference(last: &Status, new: &Status) -> Difference {
    let described = |status: &Status| {
        let video =
            status.video.map(|video| VideoState { bitrate_bps: u32::from(video.bitrate_bps > 0), ..video });
        let audio =
            status.audio.map(|audio| AudioState { bitrate_bps: u32::from(audio.bitrate_bps > 0), ..audio });
        (video, audio)
    };
    let bitrates = |status: &Status| {
        [status.video.map_or(0, |video| video.bitrate_bps), status.audio.map_or(0, |audio| audio.bitrate_bps)]
    };
    if described(last) != described(new) || last.room_sid != new.room_sid {
        Difference::Description
    } else if std::iter::zip(bitrates(last), bitrates(new)).any(|(last, new)| last.abs_diff(new) > last / 10)
    {
        Difference::Bitrate
    } else {
        Difference::None
    }
}
