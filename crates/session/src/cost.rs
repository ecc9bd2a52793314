use media::Ladder;

/// What a transcoded session is taken to need before any was measured: decoding and sound, and then for each million pixels a
/// second that its layers have. Together 0.6 core for 720p30 in three layers, 0.5 in one and 1.2 for 1080p30 in three: what
/// was measured with a veryfast x264, and some more.
const BASE_CORES: f64 = 0.1;
const CORES_PER_MEGAPIXEL: f64 = 0.0138;

/// The default preset, 720p30 in three layers: what is asked for when nothing is known yet.
const USUAL_MEGAPIXELS: f64 = 30.0 * (1280.0 * 720.0 + 640.0 * 360.0 + 320.0 * 180.0) / 1e6;

/// What a session that is passed through is taken to need before any was measured, in cores.
const PASSED_CORES: f64 = 0.05;

/// How much of what was learned a new measurement is worth. With one a second about a minute is remembered.
const WEIGHT: f64 = 0.02;

/// What is learned never falls below this part of what it started with: a still picture costs little until it moves.
const LEAST_PART: f64 = 0.25;

/// What a session is, as far as its cost goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// RTMP, transcoded.
    Rtmp,
    /// WHIP, transcoded.
    Whip,
    /// WHIP, passed through.
    WhipBypass,
    /// A URL, transcoded.
    Url,
}

impl Work {
    /// Decoded and encoded again.
    pub fn is_transcoded(self) -> bool {
        self != Work::WhipBypass
    }
}

/// The configuration's `cpu_cost`: cores per session, None where the operator set nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// `rtmp_cpu_cost`.
    pub rtmp: Option<f64>,
    /// `whip_cpu_cost`.
    pub whip: Option<f64>,
    /// `whip_bypass_transcoding_cpu_cost`.
    pub whip_bypass: Option<f64>,
    /// `url_cpu_cost`.
    pub url: Option<f64>,
    /// `min_idle_ratio`: this part of the machine is left free, 0..1.
    pub min_idle_ratio: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { rtmp: None, whip: None, whip_bypass: None, url: None, min_idle_ratio: 0.3 }
    }
}

impl Costs {
    /// What the operator set for `work`.
    pub fn of(&self, work: Work) -> Option<f64> {
        match work {
            Work::Rtmp => self.rtmp,
            Work::Whip => self.whip,
            Work::WhipBypass => self.whip_bypass,
            Work::Url => self.url,
        }
    }
}

/// A session that is to be, as far as its cost goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// What is done.
    pub work: Work,
    /// How much of it: pixels a second of all layers, in millions.
    megapixels: f64,
}

impl Demand {
    /// With all layers of `ladder` encoded, at its highest frame rate.
    pub fn new(work: Work, ladder: &Ladder) -> Self {
        let pixels = |side: u32| f64::from(side);
        let area: f64 = ladder.layers.iter().map(|layer| pixels(layer.width) * pixels(layer.height)).sum();
        Self { work, megapixels: area * f64::from(ladder.max_fps_milli) / 1e9 }
    }

    /// With LiveKit's default preset, 720p30 in three layers.
    pub fn usual(work: Work) -> Self {
        Self { work, megapixels: USUAL_MEGAPIXELS }
    }

    /// In cores, before anything was learned.
    fn guess(self) -> f64 {
        match self.work.is_transcoded() {
            true => BASE_CORES + CORES_PER_MEGAPIXEL * self.megapixels,
            false => PASSED_CORES,
        }
    }
}

/// What sessions turned out to cost, as a part of what was guessed.
#[derive(Debug)]
pub(crate) struct Learned {
    transcoded: f64,
    passed: f64,
}

impl Learned {
    pub(crate) fn nothing() -> Self {
        Self { transcoded: 1.0, passed: 1.0 }
    }

    pub(crate) fn observe(&mut self, demand: Demand, cores: f64) {
        let measured = cores / demand.guess();
        let part = if demand.work.is_transcoded() { &mut self.transcoded } else { &mut self.passed };
        *part = (*part + WEIGHT * (measured - *part)).max(LEAST_PART);
    }

    pub(crate) fn cores(&self, demand: Demand) -> f64 {
        let part = if demand.work.is_transcoded() { self.transcoded } else { self.passed };
        part * demand.guess()
    }
}
