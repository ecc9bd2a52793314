use media::StreamKey;

/// The stream key in what an encoder made of a URL: the last path element of the stream name, or of the app when the
/// name is empty (`rtmp://host/key`). A query on either and trailing slashes are not part of it.
pub(crate) fn find(app: &str, name: &str) -> StreamKey {
    let last = |text: &str| without_query(text).trim_matches('/').rsplit('/').next().unwrap_or("").to_owned();
    match last(name) {
        key if key.is_empty() => StreamKey::new(last(app)),
        key => StreamKey::new(key),
    }
}

/// Everything before the first `?`: a query may hold a token, which belongs in no log.
pub(crate) fn without_query(text: &str) -> &str {
    text.split('?').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_last_path_element_of_the_name() {
        for (app, name) in [
            ("live", "key"),
            ("a/b/c", "key"),
            ("live", "room/key"),
            ("live/", "/key/"),
            ("live", "key?token=a/b"),
            ("live?x=1", "key"),
            ("live?x=1/2", "3/key"),
            ("", "key"),
        ] {
            assert_eq!(find(app, name).reveal(), "key", "{app} {name}");
        }
    }

    #[test]
    fn without_a_name_the_app_holds_the_key() {
        for (app, name) in [("key", ""), ("live/key/", ""), ("live/key?x=1", ""), ("live/key", "?x=1")] {
            assert_eq!(find(app, name).reveal(), "key", "{app} {name}");
        }
        assert!(find("", "").is_empty());
    }
}
