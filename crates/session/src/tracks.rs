use std::time::Instant;

use media::Kind;

use crate::Budget;

/// What is published when: each kind on its own way from expected to published.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    video: Track,
    audio: Track,
}

#[derive(Debug, Default)]
struct Track {
    /// A format was seen or promised: worth waiting for.
    expected: bool,
    step: Step,
}

#[derive(Debug, Default, Clone, Copy)]
enum Step {
    #[default]
    Unknown,
    /// The worker can encode it, since then.
    Ready(Instant),
    Asked {
        by: Instant,
    },
    Published,
}

/// Which kinds to publish now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) video: bool,
    pub(crate) audio: bool,
}

impl Tracks {
    fn of(&mut self, kind: Kind) -> &mut Track {
        match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        }
    }

    pub(crate) fn expect(&mut self, kind: Kind) {
        self.of(kind).expected = true;
    }

    pub(crate) fn ready(&mut self, now: Instant, kind: Kind) {
        let step = &mut self.of(kind).step;
        if matches!(step, Step::Unknown) {
            *step = Step::Ready(now);
        }
    }

    /// True when the answer was waited for.
    pub(crate) fn published(&mut self, kind: Kind) -> bool {
        let step = &mut self.of(kind).step;
        let awaited = matches!(step, Step::Asked { .. });
        if awaited {
            *step = Step::Published;
        }
        awaited
    }

    /// The SFU has it by itself.
    pub(crate) fn proxied(&mut self, kind: Kind) {
        self.of(kind).step = Step::Published;
    }

    pub(crate) fn any_published(&self) -> bool {
        [&self.video, &self.audio].iter().any(|track| matches!(track.step, Step::Published))
    }

    /// True when the room was told about the kind.
    pub(crate) fn is_asked(&self, kind: Kind) -> bool {
        let track = if kind == Kind::Video { &self.video } else { &self.audio };
        matches!(track.step, Step::Asked { .. } | Step::Published)
    }

    /// What a new source has is not known; what the room has stays.
    pub(crate) fn new_source(&mut self) {
        for track in [&mut self.video, &mut self.audio] {
            track.expected = false;
            if let Step::Ready(_) = track.step {
                track.step = Step::Unknown;
            }
        }
    }

    /// The kinds whose time has come, now asked for.
    pub(crate) fn take_due(&mut self, now: Instant, budget: &Budget) -> Option<Due> {
        if self.due_at(budget)? > now {
            return None;
        }
        let mut ask = |kind| {
            let step = &mut self.of(kind).step;
            let due = matches!(step, Step::Ready(_));
            if due {
                *step = Step::Asked { by: now + budget.publish };
            }
            due
        };
        Some(Due { video: ask(Kind::Video), audio: ask(Kind::Audio) })
    }

    /// When something can be published: at once, or after a while alone when its companion is expected.
    pub(crate) fn due_at(&self, budget: &Budget) -> Option<Instant> {
        let alone = |ready: Instant, other: &Track| match other.step {
            Step::Unknown if other.expected => ready + budget.companion,
            _ => ready,
        };
        match (self.video.step, self.audio.step) {
            (Step::Ready(video), Step::Ready(audio)) => Some(video.max(audio)),
            (Step::Ready(video), _) => Some(alone(video, &self.audio)),
            (_, Step::Ready(audio)) => Some(alone(audio, &self.video)),
            _ => None,
        }
    }

    /// By when the room has to answer.
    pub(crate) fn answer_by(&self) -> Option<Instant> {
        let by = |track: &Track| match track.step {
            Step::Asked { by } => Some(by),
            _ => None,
        };
        by(&self.video).into_iter().chain(by(&self.audio)).min()
    }

    /// The room was away: it has its time anew.
    pub(crate) fn ask_again(&mut self, now: Instant, budget: &Budget) {
        for track in [&mut self.video, &mut self.audio] {
            if let Step::Asked { by } = &mut track.step {
                *by = now + budget.publish;
            }
        }
    }
}
