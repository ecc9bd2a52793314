use std::time::Duration;

/// A session of this process, as the governor knows it: numbered in the order in which they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) u64);

/// How much was taken from a session; each includes those before it. This is the order in which they are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Degradation {
    /// Nothing.
    #[default]
    None,
    /// The encoders work one speed preset faster.
    Speed1,
    /// Two presets faster.
    Speed2,
    /// Of the top layer every second picture is encoded.
    HalfRate,
    /// The top layer is not encoded: who watches it gets the next lower one.
    Withheld,
}

impl Degradation {
    /// All, in order.
    pub const ALL: [Self; 5] = [Self::None, Self::Speed1, Self::Speed2, Self::HalfRate, Self::Withheld];

    /// Speed presets below the encoder's own.
    pub fn speed(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Speed1 => 1,
            Self::Speed2 | Self::HalfRate | Self::Withheld => 2,
        }
    }

    /// Every second picture of the top layer.
    pub fn half_rate(self) -> bool {
        self >= Self::HalfRate
    }

    /// No top layer.
    pub fn withheld(self) -> bool {
        self == Self::Withheld
    }

    /// The name of the step, for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Speed1 => "speed_1",
            Self::Speed2 => "speed_2",
            Self::HalfRate => "half_rate",
            Self::Withheld => "withheld",
        }
    }

    /// The next step, if there is one.
    pub fn deeper(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }

    /// The step before it.
    pub fn shallower(self) -> Option<Self> {
        Self::ALL.get((self as usize).checked_sub(1)?).copied()
    }
}

/// What can be taken from a session's top layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// Nothing: it is not encoded, because nobody watches it, it is passed through, or there are no pictures.
    Idle,
    /// Pictures, but not the layer: it is the only one.
    Alone,
    /// The layer too: there are lower ones.
    Above,
}

/// What is known of a session, once a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vitals {
    /// What its worker used, in cores.
    pub cores: f64,
    /// How long a picture waited before its encoding began, from the publisher's socket on.
    pub behind: Duration,
    /// Packets and pictures dropped since the last report, because there was no room for them.
    pub dropped: u64,
    /// Its top layer.
    pub top: Top,
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Whose.
    pub session: SessionId,
    /// What had been taken from it before.
    pub from: Degradation,
    /// What is taken from now on: the neighbour of `from`.
    pub to: Degradation,
    /// Why.
    pub cause: Cause,
}

/// What led to a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    /// A session, not always the one that pays for it, has too little CPU.
    Pressure {
        /// The one that is furthest behind.
        session: SessionId,
        /// Its last report.
        behind: Duration,
        /// In its last reports.
        dropped: u64,
    },
    /// No session is behind any more.
    Quiet {
        /// For how long.
        lasted: Duration,
        /// And so many cores are idle.
        idle_cores: f64,
    },
}
