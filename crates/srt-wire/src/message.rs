use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Refusal, Secret};

/// One connection, as the process numbers them; not given twice within any time that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallerId(pub u32);

/// The first command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Listen, or call.
    pub role: Role,
    /// Both sides have it, or neither; 10 to 79 bytes.
    pub passphrase: Option<Secret>,
    /// How long media is held back for what was lost to be sent again; the larger of the two sides' counts.
    pub latency_ms: u32,
}

/// What the process does with its port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes callers.
    Listen,
    /// Is one, of this address only.
    Call {
        /// Resolved and checked by the server.
        peer: SocketAddr,
        /// What the listener there is shown; may be empty.
        stream_id: Secret,
    },
}

/// From the server to the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Comes first, and once.
    Start(Box<Start>),
    /// Answers [`Event::Asked`]. A caller that has waited long is connected by then: a refusal closes it.
    Answer {
        /// Who asked.
        caller: CallerId,
        /// Whether it may go on.
        verdict: Result<(), Refusal>,
    },
    /// Ends a connection, with [`Event::Ended`] as the answer. One that is gone is no error.
    Close {
        /// Which.
        caller: CallerId,
    },
}

/// From the process to the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Listening, or calling.
    Ready {
        /// libsrt's, such as 0x010501.
        version: u32,
    },
    /// Somebody shows a stream id.
    Asked(Asked),
    /// A caller that was allowed is connected; its data follows. For [`Role::Call`] the other side has accepted.
    Begun(Begun),
    /// Whole messages of a caller, one after the other, as its program sent them.
    Data {
        /// Whose.
        caller: CallerId,
        /// MPEG-TS, if it is what it ought to be.
        bytes: Bytes,
    },
    /// Of each connection once a second.
    Stats(Stats),
    /// A connection is over; nothing more comes from it.
    Ended {
        /// Which.
        caller: CallerId,
        /// How.
        end: End,
    },
    /// What an operator should know.
    Warning(String),
    /// The process ends: it cannot listen.
    Failed(String),
}

/// A caller that waits for [`Command::Answer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its number.
    pub caller: CallerId,
    /// Where it is.
    pub peer: SocketAddr,
    /// As it came: a key, or something with a key in it. At most 512 bytes.
    pub stream_id: Secret,
}

/// How a connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Which.
    pub caller: CallerId,
    /// The peer's version of SRT, such as 0x010501.
    pub version: u32,
    /// As agreed.
    pub latency_ms: u32,
    /// What comes is encrypted.
    pub encrypted: bool,
}

/// What a connection has been like since it began.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Which; 0 in what nobody said yet.
    #[serde(default)]
    pub caller: u32,
    /// Round trip, ms.
    pub rtt_ms: f64,
    /// What comes, bit/s, over the last second.
    pub bitrate_bps: u64,
    /// Packets that came, resent ones included.
    pub received: u64,
    /// Packets that were missing at first.
    pub lost: u64,
    /// Packets that were sent again.
    pub resent: u64,
    /// Packets that did not come in time, and never will.
    pub dropped: u64,
    /// Packets that could not be decrypted.
    pub undecrypted: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The other side closed it.
    Closed,
    /// Nothing was heard of the other side for some seconds.
    Vanished,
    /// Allowed, but the handshake did not come to its end: nearly always a wrong passphrase, or one where none is expected.
    Handshake,
    /// [`Command::Close`], or a refusal that came late.
    Told,
    /// [`Role::Call`] only: the other side did not take the call.
    NotTaken {
        /// As `srt_getrejectreason` gives it: below 1000 libsrt's own, from 1000 the other server's.
        code: u32,
        /// libsrt's words for it.
        text: String,
    },
}
