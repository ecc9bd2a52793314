//! What a caller's stream id says: a key, or SRT's access control syntax around one.

use media::StreamKey;
use percent_encoding::percent_decode_str;
use srt_wire::Refusal;

/// Before comma-separated `key=value`s (libsrt, `docs/features/access-control.md`).
const KEYED: &str = "#!::";

/// The key that a stream id names, if its caller wants to publish a stream.
pub(super) fn key(stream_id: &str) -> Result<StreamKey, Refusal> {
    // FFmpeg 5 hands on what its URL has, percent signs and all.
    let decoded = match stream_id.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%23")) {
        true => percent_decode_str(stream_id).decode_utf8().map_err(|_| Refusal::BadRequest)?,
        false => stream_id.into(),
    };
    let key = match decoded.strip_prefix(KEYED) {
        Some(pairs) => resource(pairs)?,
        // `#!:{` begins nested pairs, which nobody sends.
        None if decoded.starts_with("#!") => return Err(Refusal::BadRequest),
        None => &decoded,
    };
    if key.is_empty() || key.contains(char::is_control) {
        return Err(Refusal::BadRequest);
    }
    Ok(StreamKey::new(key))
}

/// `r`. Without `m` the guidelines mean `request`, but who sends to a server that only takes streams wants to publish.
fn resource(pairs: &str) -> Result<&str, Refusal> {
    let mut resource = "";
    for pair in pairs.split(',') {
        match pair.split_once('=') {
            Some(("r", value)) => resource = value,
            Some(("m", "publish")) => {}
            Some(("m", _)) => return Err(Refusal::BadMode),
            Some(("t", "stream")) => {}
            Some(("t", _)) => return Err(Refusal::Media),
            Some(_) => {}
            None => return Err(Refusal::BadRequest),
        }
    }
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_plain_or_in_srts_own_syntax() {
        for id in [
            "abc_123",
            "#!::r=abc_123",
            "#!::r=abc_123,m=publish",
            "#!::m=publish,r=abc_123,u=somebody,t=stream",
            "%23!::r=abc_123,m=publish",
            "%23%21%3A%3Ar%3Dabc_123%2Cm%3Dpublish",
        ] {
            assert_eq!(key(id), Ok(StreamKey::new("abc_123")), "{id}");
        }
        assert_eq!(key("a%20b"), Ok(StreamKey::new("a%20b")), "a key is what it is");
    }

    #[test]
    fn what_is_no_publisher_is_told_so() {
        for (id, refusal) in [
            ("", Refusal::BadRequest),
            ("#!::", Refusal::BadRequest),
            ("#!::m=publish", Refusal::BadRequest),
            ("#!::r=,m=publish", Refusal::BadRequest),
            ("#!::nonsense", Refusal::BadRequest),
            ("#!:{r:abc}", Refusal::BadRequest),
            ("abc\n", Refusal::BadRequest),
            ("%23!::r=%ff", Refusal::BadRequest),
            ("#!::r=abc,m=request", Refusal::BadMode),
            ("#!::r=abc,m=bidirectional", Refusal::BadMode),
            ("%23!::r=abc,m=request", Refusal::BadMode),
            ("#!::r=abc,m=publish,t=file", Refusal::Media),
        ] {
            assert_eq!(key(id), Err(refusal), "{id:?}");
        }
    }
}
