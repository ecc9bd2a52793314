//! What is to be played: the ingress' URL, and what its participant's metadata asks for that LiveKit's API has no field for.

use std::{fmt, time::Duration};

use intake::url::Aliases;
use serde_json::{Map, Value};
use url::Url;

/// The key of ours in metadata that is a JSON object. What else is there is none of our business.
const KEY: &str = "sluicegate";

/// URLs after the first one.
const MOST_URLS: usize = 100;

/// Longer than any film; what is beyond is a mistake.
const LATEST_START: Duration = Duration::from_secs(7 * 24 * 3600);

/// All that is to be played, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Playlist {
    /// At least one.
    pub(super) items: Vec<Address>,
    /// How often all of it; `None`: for ever.
    pub(super) laps: Option<u32>,
    /// Where the first item begins, the first time.
    pub(super) start_at: Option<Duration>,
}

/// One URL, with the operator's aliases resolved. It may hold credentials: `Debug` and `Display` show scheme and host.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(super) url: Url,
    pub(super) by: By,
}

/// How a URL is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Http,
    Rtmp,
    Rtsp,
    Srt,
}

impl Playlist {
    /// Reads what an ingress asks for.
    ///
    /// # Errors
    /// What is wrong with it, for the caller of LiveKit's API.
    pub(super) fn read(url: &str, metadata: &str, aliases: &Aliases) -> Result<Self, String> {
        let mut playlist = Self { items: vec![Address::read(url, aliases)?], laps: Some(1), start_at: None };
        // Metadata is the user's own, in whatever form.
        let Ok(Value::Object(mut object)) = serde_json::from_str(metadata) else { return Ok(playlist) };
        match object.remove(KEY) {
            None => Ok(playlist),
            Some(Value::Object(keys)) => {
                playlist.take(keys, aliases).map_err(|why| format!("participant_metadata: {KEY}{why}"))?;
                Ok(playlist)
            }
            Some(_) => {
                Err(format!("participant_metadata: {KEY}: expected an object with loop, start_at, urls"))
            }
        }
    }

    fn take(&mut self, keys: Map<String, Value>, aliases: &Aliases) -> Result<(), String> {
        for (key, value) in keys {
            match key.as_str() {
                "loop" => self.laps = laps(&value)?,
                "start_at" => self.start_at = Some(start_at(&value)?),
                "urls" => self.items.extend(urls(&value, aliases)?),
                _ => return Err(format!(": unknown key {key:?}: expected loop, start_at, urls")),
            }
        }
        Ok(())
    }
}

fn laps(value: &Value) -> Result<Option<u32>, String> {
    match value {
        Value::Bool(true) => Ok(None),
        Value::Bool(false) => Ok(Some(1)),
        value => {
            let count = value.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
            count
                .map(Some)
                .ok_or_else(|| ".loop: expected true, false, or how often to play it, at least 1".to_owned())
        }
    }
}

fn start_at(value: &Value) -> Result<Duration, String> {
    let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|at| *at <= LATEST_START)
        .ok_or_else(|| format!(".start_at: expected seconds, from 0 to {}", LATEST_START.as_secs()))
}

fn urls(value: &Value, aliases: &Aliases) -> Result<Vec<Address>, String> {
    let wrong = || format!(".urls: expected a list of at most {MOST_URLS} URLs");
    let list = value.as_array().filter(|list| list.len() <= MOST_URLS).ok_or_else(wrong)?;
    let read = |(at, url): (usize, &Value)| {
        let text = url.as_str().ok_or_else(wrong)?;
        Address::read(text, aliases).map_err(|why| format!(".urls[{at}]: {why}"))
    };
    list.iter().enumerate().map(read).collect()
}

impl Address {
    fn read(text: &str, aliases: &Aliases) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("invalid url: {error}"))?;
        let url = aliases.resolve(&url).unwrap_or(url);
        if url.host_str().is_none_or(str::is_empty) {
            return Err("invalid url: it has no host".to_owned());
        }
        let by = match url.scheme() {
            "http" | "https" => By::Http,
            "rtmp" | "rtmps" => By::Rtmp,
            "rtsp" | "rtsps" | "rtspt" | "rtspu" => By::Rtsp,
            "srt" => By::Srt,
            scheme => return Err(format!("invalid url scheme {scheme}")),
        };
        Ok(Self { url, by })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://user:sesame@example.org/film.mp4?key=sesame";

    fn read(metadata: &str) -> Result<Playlist, String> {
        Playlist::read(URL, metadata, &Aliases::default())
    }

    #[test]
    fn metadata_that_is_not_ours_changes_nothing() {
        for metadata in ["", "just text", "{\"role\": \"film\"}", "[1]", "{\"sluicegate", "\"sluicegate\""] {
            let playlist = read(metadata).unwrap();
            assert_eq!(
                (playlist.items.len(), playlist.laps, playlist.start_at),
                (1, Some(1), None),
                "{metadata}"
            );
        }
    }

    #[test]
    fn our_key_says_how_often_from_where_and_what_else() {
        let metadata = |ours: &str| format!("{{\"role\": 1, \"sluicegate\": {ours}}}");
        let laps = |ours: &str| read(&metadata(ours)).unwrap().laps;
        assert_eq!(laps("{}"), Some(1));
        assert_eq!(
            (laps("{\"loop\": true}"), laps("{\"loop\": false}"), laps("{\"loop\": 3}")),
            (None, Some(1), Some(3))
        );
        let playlist =
            read(&metadata("{\"start_at\": 12.5, \"urls\": [\"http://a/b.mp3\", \"rtmp://c/d/e\"]}"))
                .unwrap();
        assert_eq!(playlist.start_at, Some(Duration::from_millis(12_500)));
        let shown: Vec<_> = playlist.items.iter().map(|item| (item.to_string(), item.by)).collect();
        let expected = [("https://example.org", By::Http), ("http://a", By::Http), ("rtmp://c", By::Rtmp)];
        assert_eq!(shown, expected.map(|(text, by)| (text.to_owned(), by)));
        assert!(!format!("{playlist:?}").contains("sesame"));
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_place() {
        let wrong = [
            ("3", "sluicegate: expected an object"),
            ("{\"lop\": 1}", "unknown key \"lop\""),
            ("{\"loop\": 0}", ".loop: expected"),
            ("{\"loop\": \"yes\"}", ".loop: expected"),
            ("{\"start_at\": -1}", ".start_at: expected"),
            ("{\"start_at\": 1e30}", ".start_at: expected"),
            ("{\"urls\": \"http://a\"}", ".urls: expected"),
            ("{\"urls\": [\"http://a\", \"file:///etc/passwd\"]}", ".urls[1]: invalid url"),
            ("{\"urls\": [\"gopher://a/\"]}", ".urls[0]: invalid url scheme gopher"),
        ];
        for (ours, text) in wrong {
            let error = read(&format!("{{\"sluicegate\": {ours}}}")).unwrap_err();
            assert!(error.contains(text), "{ours}: {error}");
        }
    }

    #[test]
    fn urls_are_checked() {
        for (url, text) in [
            ("", "invalid url"),
            ("film.mp4", "invalid url"),
            ("file:///a", "no host"),
            ("ftp://a/", "scheme ftp"),
        ] {
            let error = Playlist::read(url, "", &Aliases::default()).unwrap_err();
            assert!(error.contains(text), "{url}: {error}");
        }
    }
}
