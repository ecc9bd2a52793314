//! Frames on their way to the room, by who made them.

use media::Output;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Counter, Metrics, layer};

/// Who made a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A worker.
    Encoded,
    /// The publisher: it goes through untouched.
    Passed,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Origin::Encoded => "encoded",
            Origin::Passed => "passed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Made {
    output: &'static str,
    origin: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct To {
    to: &'static str,
}

/// The metrics of this file.
#[derive(Debug, Clone, Default)]
pub(super) struct Frames {
    made: Family<Made, Counter>,
    switches: Family<To, Counter>,
}

impl Frames {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Frames handed to the room, by output and by who made them";
        ours.register("frames_total", help, self.made.clone());
        let help = "How often a top layer went over to the publisher's own pictures, or to encoded ones";
        ours.register("passthrough_switches_total", help, self.switches.clone());
    }
}

impl Metrics {
    /// Counts a frame handed to the room.
    pub fn frame(&self, output: Output, origin: Origin) {
        let output = match output {
            Output::Audio => "audio",
            Output::Video(quality) => layer(quality),
        };
        self.frames.made.get_or_create(&Made { output, origin: origin.name() }).inc();
    }

    /// Counts a top layer that goes over to pictures of another origin.
    pub fn switched(&self, to: Origin) {
        self.frames.switches.get_or_create(&To { to: to.name() }).inc();
    }
}
