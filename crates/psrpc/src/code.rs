use std::fmt;

use crate::BusError;

/// What went wrong with a call, as psrpc names it on the wire (`Response.code`).
///
/// The set is closed: a code that a newer peer invents reads as [`Code::Unknown`], as an empty one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The caller gave up.
    Canceled,
    /// Anything without a better code; plain errors of Go services arrive as this.
    Unknown,
    /// The argument is wrong whatever the state of the service.
    InvalidArgument,
    /// The server could not decode the request.
    MalformedRequest,
    /// The client could not decode the reply.
    MalformedResult,
    /// No reply before the deadline.
    DeadlineExceeded,
    /// The thing asked for does not exist.
    NotFound,
    /// The thing to create exists.
    AlreadyExists,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// A quota or a capacity is used up.
    ResourceExhausted,
    /// The service is not in the state that this call needs.
    FailedPrecondition,
    /// Lost against a concurrent change.
    Aborted,
    /// Past the end of a valid range.
    OutOfRange,
    /// The service does not have this method.
    Unimplemented,
    /// An invariant of the service broke.
    Internal,
    /// No server took the call, or Redis is away. Worth a retry.
    Unavailable,
    /// Data is lost or corrupt.
    DataLoss,
    /// The caller is not known.
    Unauthenticated,
    /// No representation that the caller accepts.
    NotAcceptable,
    /// Well formed, and still not usable.
    UnprocessableEntity,
    /// A server behind the service failed (its 5xx).
    UpstreamServerError,
    /// A server behind the service refused (its 4xx).
    UpstreamClientError,
}

/// Code, wire string, status of a plain HTTP endpoint in front of the service.
const TABLE: [(Code, &str, u16); 22] = [
    (Code::Canceled, "canceled", 503),
    (Code::Unknown, "unknown", 500),
    (Code::InvalidArgument, "invalid_argument", 400),
    (Code::MalformedRequest, "malformed_request", 400),
    (Code::MalformedResult, "malformed_result", 500),
    (Code::DeadlineExceeded, "deadline_exceeded", 503),
    (Code::NotFound, "not_found", 404),
    (Code::AlreadyExists, "already_exists", 409),
    (Code::PermissionDenied, "permission_denied", 403),
    (Code::ResourceExhausted, "resource_exhausted", 429),
    (Code::FailedPrecondition, "failed_precondition", 412),
    (Code::Aborted, "aborted", 409),
    (Code::OutOfRange, "out_of_range", 416),
    (Code::Unimplemented, "unimplemented", 501),
    (Code::Internal, "internal", 500),
    (Code::Unavailable, "unavailable", 503),
    (Code::DataLoss, "data_loss", 500),
    (Code::Unauthenticated, "unauthenticated", 401),
    (Code::NotAcceptable, "not_acceptable", 406),
    (Code::UnprocessableEntity, "unprocessable_entity", 422),
    (Code::UpstreamServerError, "upstream_server_error", 502),
    (Code::UpstreamClientError, "upstream_client_error", 424),
];

impl Code {
    /// Every code, in no order that means anything.
    pub fn all() -> impl Iterator<Item = Code> {
        TABLE.iter().map(|(code, ..)| *code)
    }

    /// The code of a wire string; [`Code::Unknown`] for one that is not in the table.
    pub fn from_wire(text: &str) -> Code {
        TABLE.iter().find(|(_, wire, _)| *wire == text).map_or(Code::Unknown, |(code, ..)| *code)
    }

    /// The wire string, e.g. `not_found`.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The status with which LiveKit's plain HTTP endpoints answer this code.
    pub fn http_status(self) -> u16 {
        self.row().2
    }

    fn row(self) -> &'static (Code, &'static str, u16) {
        TABLE.iter().find(|(code, ..)| *code == self).expect("every code has a row")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a call has no result: sent by the handler, or found by the client on the way.
///
/// Decide by [`Error::code`]; the message is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// The kind.
    pub code: Code,
    /// What happened, for people. Goes over the wire as it is.
    pub message: String,
}

impl Error {
    /// An error of this kind and text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<BusError> for Error {
    /// Trouble with Redis is `unavailable`: the next attempt may find it back.
    fn from(error: BusError) -> Self {
        Self::new(Code::Unavailable, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in Code::all() {
            assert_eq!(Code::from_wire(code.as_str()), code);
            assert!((400..=599).contains(&code.http_status()), "{code}");
        }
    }

    #[test]
    fn every_code_has_its_own_wire_string() {
        let names: std::collections::HashSet<_> = Code::all().map(Code::as_str).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn strange_and_empty_codes_are_unknown() {
        assert_eq!(Code::from_wire(""), Code::Unknown);
        assert_eq!(Code::from_wire("Not_Found"), Code::Unknown);
    }
}
