//! The `logging` section.

use super::section::Section;

/// What is logged, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logging {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// The least severe level that is logged.
    pub level: Level,
    /// Levels of single components: crate names without the prefix (`rtmp`, `livekit`) or of libraries (`str0m`).
    pub component_levels: Vec<(String, Level)>,
}

/// A log level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// What an operator has to look at.
    Error,
    /// What is odd, and went on.
    Warn,
    /// Sessions and their state changes.
    #[default]
    Info,
    /// What a developer asks first.
    Debug,
    /// Single packets.
    Trace,
}

/// The Go worker samples its log because it repeats itself. Ours sums repeats up where they arise, so there is
/// nothing to sample.
const SAMPLING: [&str; 6] = [
    "sample",
    "sample_initial",
    "sample_interval",
    "item_sample_seconds",
    "item_sample_initial",
    "item_sample_interval",
];

pub(super) fn read(s: &mut Section<'_>) -> Logging {
    let json = s.flag("json", false);
    let level = s.parsed("level", level).unwrap_or_default();
    let mut component_levels = Vec::new();
    for (name, text, line) in s.table("component_levels") {
        match self::level(&text) {
            Ok(level) => component_levels.push((name, level)),
            Err(problem) => s.wrong(&format!("component_levels.{name}"), line, problem),
        }
    }
    s.unneeded(&SAMPLING);
    Logging { json, level, component_levels }
}

fn level(text: &str) -> Result<Level, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "info" => Level::Info,
        "warn" | "warning" => Level::Warn,
        // Go's levels above error: this server has nothing to say there.
        "error" | "dpanic" | "panic" | "fatal" => Level::Error,
        _ => return Err(format!("`{text}`: expected trace, debug, info, warn or error")),
    })
}
