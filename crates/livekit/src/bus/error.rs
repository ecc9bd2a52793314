use psrpc::{Code, Method};

/// Why livekit-server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No ingress has this id or key: never had, or not any more.
    #[error("livekit-server knows no such ingress")]
    NoIngress,
    /// A session that started later has reported for this ingress.
    #[error("a later session of this ingress has reported")]
    Superseded,
    /// A reply without its one field.
    #[error("reply of {0} has no ingress record")]
    NoRecord(Method),
    /// Any other failure; [`Error::is_transient`] tells which are worth another try.
    #[error("{method}: {source}")]
    Call {
        /// What was called.
        method: Method,
        /// What psrpc said.
        source: psrpc::Error,
    },
}

impl Error {
    /// The one place that gives codes of the bus their meaning for an ingress.
    pub(super) fn from_call(method: Method, source: psrpc::Error) -> Self {
        match source.code {
            Code::NotFound => Self::NoIngress,
            Code::FailedPrecondition => Self::Superseded,
            _ => Self::Call { method, source },
        }
    }

    /// Nobody answered, or not in time: livekit-server or Redis is away or just restarting.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Call { source, .. } if matches!(source.code, Code::Unavailable | Code::DeadlineExceeded))
    }
}
