use serde::{Deserialize, Serialize};

/// Why a caller is refused, as its program is told: the codes of SRT's access control guidelines
/// (`docs/features/access-control.md` of libsrt, `access_control.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The stream id cannot be read.
    BadRequest,
    /// Too many sessions, or too many wrong keys from this address.
    Overload,
    /// The key is not one of ours, or its ingress is switched off.
    Forbidden,
    /// The caller wants to be sent a stream.
    BadMode,
    /// The ingress is of another kind, or asks for what cannot be made.
    Unacceptable,
    /// Another one has the stream.
    Conflict,
    /// The caller wants to send a file.
    Media,
    /// The server goes down, or cannot look the key up.
    Down,
}

impl Refusal {
    /// `SRT_REJX_…`, as `srt_setrejectreason` takes it and `srt_getrejectreason` gives it at the caller.
    /// On the wire libsrt adds 1000 to it: `Forbidden` is 2403 there.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 1400,
            Self::Overload => 1402,
            Self::Forbidden => 1403,
            Self::BadMode => 1405,
            Self::Unacceptable => 1406,
            Self::Conflict => 1409,
            Self::Media => 1415,
            Self::Down => 1503,
        }
    }
}
