//! Every bound that a client keeps, and why it is that number.

use std::time::Duration;

/// The longest playlist, in bytes (faults.md row 29). Ten thousand segments with short names are half of it.
/// It is the `limit` of a playlist's fetch; a longer one ends the client with [`crate::Reason::Fetch`] or [`crate::Reason::Playlist`].
pub const PLAYLIST: usize = 1 << 20;

/// Segments of a playlist: eleven hours of 4 s. Past it the playlist is refused.
pub const SEGMENTS: usize = 10_000;

/// Variants of a master playlist, and as many renditions: Apple's own examples have 24. Past it the playlist is refused.
pub const VARIANTS: usize = 100;

/// Key formats in force for a segment at the same time: FairPlay, Widevine, PlayReady and the plain key are four.
/// Past it the playlist is refused.
pub const KEY_FORMATS: usize = 8;

/// The longest URI of a playlist, in bytes: signed CDN addresses stay under 2 KiB. Past it the client ends.
pub const URI: usize = 8 << 10;

/// The longest segment, in bytes: 10 s of 50 Mbit/s. It is the `limit` of a segment's fetch.
pub const SEGMENT: usize = 64 << 20;

/// The longest segment of sound alone, in bytes: 10 s of five channels of 24 bits, uncompressed.
pub const SEGMENT_AUDIO: usize = 8 << 20;

/// The longest init section, in bytes: those of real encoders are under 4 KiB.
pub const INIT: usize = 1 << 20;

/// Bytes that are read of a key, which has 16: so that an error page is told from a key, and none is read whole.
pub const KEY: usize = 1 << 10;

/// Keys and init sections that are remembered, the oldest forgotten first. Key rotation needs two keys, an advertisement two init sections.
pub const REMEMBERED: usize = 8;

/// The shortest time between two reloads of a playlist, whatever target duration it claims: an origin is not to be hammered.
pub const RELOAD_LEAST: Duration = Duration::from_millis(500);

/// The longest time between two reloads: a target duration is a stranger's number. Apple's guide has 6 s, broadcasters go up to 15 s.
pub const RELOAD_MOST: Duration = Duration::from_secs(30);

/// A live playlist that lists nothing new for five target durations, and for no less than [`STALL_LEAST`] and no more than [`STALL_MOST`], ends the client
/// with [`crate::Reason::Stalled`]. Encoders that restart are back within 20 s.
pub const STALL_TARGETS: u32 = 5;
/// See [`STALL_TARGETS`].
pub const STALL_LEAST: Duration = Duration::from_secs(30);
/// See [`STALL_TARGETS`].
pub const STALL_MOST: Duration = Duration::from_secs(120);

/// How long the first load of each playlist is tried: somebody waits for the answer to a request.
pub const OPENING: Duration = Duration::from_secs(4);

/// How long a segment, key or init section is tried. A live one is given up earlier, after two target durations, and passed over.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Segments in a row that are passed over because they could not be had: past it the client ends with the last one's reason.
pub const MISSING: u32 = 3;

/// The longest time that segments which are passed over stand for: durations are a stranger's numbers, and past the longest stall
/// nobody waits for the place where playing goes on.
pub const HOLE: Duration = STALL_MOST;

/// The first wait before something is fetched again; it doubles each time.
pub const RETRY_FIRST: Duration = Duration::from_millis(500);

/// The longest wait before something is fetched again.
pub const RETRY_MOST: Duration = Duration::from_secs(5);

/// How long a playlist's, key's or init section's fetch may take in all: they are small.
pub const SMALL_WITHIN: Duration = Duration::from_secs(10);

/// How long a segment's fetch may take in all, and the least that it may take where the stream is live: there it is
/// [`SEGMENT_TARGETS`] target durations, since a segment that takes longer than it plays makes all after it late.
pub const SEGMENT_WITHIN: Duration = Duration::from_secs(30);
/// See [`SEGMENT_WITHIN`].
pub const SEGMENT_WITHIN_LEAST: Duration = Duration::from_secs(6);
/// See [`SEGMENT_WITHIN`].
pub const SEGMENT_TARGETS: u32 = 3;

/// What a fetch may take longer than it was told, before the client stops waiting for its result.
pub const GRACE: Duration = Duration::from_secs(2);

/// A live playlist that goes back to segments before the known ones is an old copy of a cache when it comes once or twice;
/// the third in a row is an encoder that began anew.
pub const OLD_COPIES: u32 = 2;

/// A single segment's duration is not believed past this: sums of durations stay far from overflow.
pub const DURATION: Duration = Duration::from_secs(3600);

/// How far behind a live playlist's end the client starts, in target durations (RFC 8216 6.3.3).
pub const BEHIND_TARGETS: u32 = 3;
