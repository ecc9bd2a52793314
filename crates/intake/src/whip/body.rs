use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::reply::Problem;

/// Longest offer or fragment: a browser's with every codec and simulcast has under 10 KiB.
pub(super) const MOST: usize = 256 << 10;

/// Of a longer one this much is read and thrown away: a client that is still sending when we close does not read why.
const DISCARDED: usize = 4 << 20;

/// The same by time.
const DISCARDING: Duration = Duration::from_secs(1);

/// A body as text, within `limit`.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: Duration) -> Result<String, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("more than {} KiB are no offer of WebRTC's", MOST >> 10),
        )
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > MOST) {
        // Who asks first has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let whole = async {
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
            if bytes.len() + part.len() > MOST {
                return Ok(None);
            }
            bytes.extend_from_slice(&part);
        }
        Ok::<_, Problem>(Some(bytes))
    };
    let late = || {
        Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body took more than {} s", limit.as_secs()))
    };
    let Some(bytes) = timeout(limit, whole).await.map_err(|_| late())?? else {
        discard(Body::from_stream(stream)).await;
        return Err(too_large());
    };
    String::from_utf8(bytes).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8 text"))
}

async fn discard(body: Body) {
    let mut stream = body.into_data_stream();
    let all = async {
        let mut left = DISCARDED;
        while let Some(Ok(part)) = stream.next().await {
            match left.checked_sub(part.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // What is not read by then is not read.
    let _ = timeout(DISCARDING, all).await;
}
