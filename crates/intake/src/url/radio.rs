//! Playlists of radios: a text that names where the stream is. Only its first entry counts; the others are the same station's
//! other servers.

use url::Url;

/// The first entry of a PLS file (`File1=…`), of an M3U file or of a text with a URL in each line; `None` without any.
pub(super) fn first_entry(text: &str, base: &Url) -> Option<Url> {
    let mut lines =
        text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let is_pls = text.to_ascii_lowercase().contains("[playlist]");
    let entry = if is_pls {
        let mut files: Vec<(u32, &str)> = lines.filter_map(file).collect();
        files.sort_by_key(|(number, _)| *number);
        files.first()?.1
    } else {
        lines.find(|line| !line.starts_with('#'))?
    };
    base.join(entry).ok()
}

fn file(line: &str) -> Option<(u32, &str)> {
    let (key, value) = line.split_once('=')?;
    let number = key.trim().to_ascii_lowercase().strip_prefix("file")?.parse().ok()?;
    Some((number, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_each_kind() {
        let base = Url::parse("http://radio.example/lists/a.m3u?x").unwrap();
        for (text, expected) in [
            ("http://s.example:8000/live\r\nhttp://t.example/\n", Some("http://s.example:8000/live")),
            ("\u{feff}#EXTM3U\n#EXTINF:-1,A radio\n\n  http://s.example/a \n", Some("http://s.example/a")),
            ("../b.mp3", Some("http://radio.example/b.mp3")),
            (
                "[playlist]\nNumberOfEntries=2\nFile2=http://t/\nTitle1=x\nFile1 = http://s/;\nVersion=2",
                Some("http://s/;"),
            ),
            ("[Playlist]\nfile1=http://s/", Some("http://s/")),
            ("/etc/passwd", Some("http://radio.example/etc/passwd")),
            ("file:///etc/passwd", Some("file:///etc/passwd")),
            ("[playlist]\nFile=http://s/\nFilex=http://s/\n", None),
            ("#EXTM3U\n#only words\n", None),
            ("http://[", None),
            ("", None),
        ] {
            assert_eq!(first_entry(text, &base).as_ref().map(Url::as_str), expected, "{text:?}");
        }
    }
}
