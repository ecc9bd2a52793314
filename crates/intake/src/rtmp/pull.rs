//! A stream that we ask a server for.

use std::{io, time::Instant};

use ::rtmp::{NotATarget, Player, Target};

use super::{
    pipe::{Left, Pipe},
    publisher::{self, Feed, Publisher, Why},
};
use crate::{
    socket,
    url::{self, Fetcher, Stream},
};

/// Why a server's stream could not be had. The texts name hosts, never apps, names, users or passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The URL names no stream.
    #[error("{0}")]
    Url(#[from] NotATarget),
    /// No connection: the name, the policy, the network, TLS.
    #[error("{0}")]
    Connect(#[from] url::Error),
    /// The server has no such stream.
    #[error("{origin}: stream not found")]
    NotFound {
        /// Scheme, host and port.
        origin: String,
    },
    /// The server said no, or what cannot be understood, or nothing.
    #[error("{origin}: {error}")]
    Protocol {
        /// Scheme, host and port.
        origin: String,
        /// What it was.
        error: ::rtmp::Error,
    },
    /// The server closed the connection before it played.
    #[error("{origin}: the server closed the connection before the stream began")]
    Closed {
        /// Scheme, host and port.
        origin: String,
    },
    /// The connection broke before the stream began.
    #[error("{origin}: the connection broke: {kind}")]
    Broken {
        /// Scheme, host and port.
        origin: String,
        /// The system's word for it.
        kind: io::ErrorKind,
    },
}

impl PullError {
    /// Whether the same may well succeed a moment later: a server that restarts, a publisher that is late.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Url(_) => false,
            Self::Connect(error) => error.is_transient(),
            Self::Protocol { error, .. } => matches!(
                error,
                ::rtmp::Error::NoPlay { .. } | ::rtmp::Error::NoMedia { .. } | ::rtmp::Error::Refused { .. }
            ),
            Self::NotFound { .. } | Self::Closed { .. } | Self::Broken { .. } => true,
        }
    }
}

/// Asks a server for the stream of an `rtmp://` or `rtmps://` URL, and returns when it plays. Connecting has the fetcher's policy,
/// roots and time; what follows has [`::rtmp::limits::PLAY_DEADLINE`]. A user and password in the URL are not used: no login
/// of Adobe's or Limelight's.
///
/// The publisher's last event is [`Why::Unpublished`] only where the server said that the stream is over. Dropping the future or
/// the publisher closes the connection.
///
/// # Errors
/// See [`PullError`].
pub async fn pull(fetcher: &Fetcher, url: &str) -> Result<Publisher, PullError> {
    let target = Target::parse(url)?;
    let scheme = if target.tls { "rtmps" } else { "rtmp" };
    let bracketed =
        if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let origin = format!("{scheme}://{bracketed}:{}", target.port);
    let place =
        url::Target { host: target.host.clone(), port: target.port, tls: target.tls, origin: origin.clone() };
    let stream = fetcher.connect(&place).await?;
    let broken = |error: io::Error| PullError::Broken { origin: origin.clone(), kind: error.kind() };
    socket::prepare(stream.tcp()).map_err(broken)?;
    let mut pipe = Pipe::new(stream, Player::new(Instant::now(), target));
    pipe.flush().await.map_err(broken)?;
    loop {
        if let Some(::rtmp::Event::Started) = pipe.machine.poll_event() {
            break;
        }
        pipe.step().await.map_err(|left| failed(&origin, left))?;
    }
    let (feed, publisher) = publisher::channel();
    // Ends with the publisher, which holds the feed's other end.
    tokio::spawn(play(pipe, feed, origin));
    Ok(publisher)
}

fn failed(origin: &str, left: Left) -> PullError {
    let origin = origin.to_owned();
    match left {
        Left::Protocol(error) if error.is_not_found() => PullError::NotFound { origin },
        Left::Protocol(error) => PullError::Protocol { origin, error },
        Left::Io(error) => PullError::Broken { origin, kind: error.kind() },
        Left::Closed(_) | Left::Refused(_) => PullError::Closed { origin },
    }
}

/// From the start to the end.
async fn play(mut pipe: Pipe<Stream, Player>, feed: Feed, origin: String) {
    let why = tokio::select! {
        biased;
        reason = feed.closed() => Why::Closed(reason),
        why = pipe.relay(&feed) => why,
    };
    pipe.machine.close();
    let (bytes, skipped) = (pipe.machine.received(), pipe.machine.skipped());
    tracing::debug!(%origin, %why, bytes, skipped, "an RTMP pull ended");
    feed.end(why);
    // The connection is over in any case, whether the server still listens or not.
    let _ = pipe.flush().await;
    pipe.say_goodbye().await;
}
