//! SDP fragments (RFC 8840) as livekit-server 1.13.5 takes them.

/// Writes a publisher's fragment anew: the credentials for the session and for the section, which both have to name those of the
/// offer, or a restart is answered with 200 and does nothing (browsers' offers have them in sections, fragments mostly before
/// them); and one section, since more are refused. All candidates are the bundle's, whichever section they come in.
pub(super) fn written_anew(fragment: &str) -> String {
    let lines = || fragment.lines().map(str::trim_end);
    let first = |start| lines().find(|line| line.starts_with(start));
    let credentials = [first("a=ice-ufrag:"), first("a=ice-pwd:")];
    let section = [first("m="), first("a=mid:")];
    let candidates =
        lines().filter(|line| line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates"));
    let mut known: Vec<&str> = Vec::new();
    for candidate in candidates {
        if !known.contains(&candidate) {
            known.push(candidate);
        }
    }
    let all = credentials.into_iter().chain(section).chain(credentials).flatten().chain(known);
    all.fold(String::new(), |text, line| text + line + "\r\n")
}

#[cfg(test)]
mod tests {
    use super::written_anew;

    #[test]
    fn credentials_are_said_twice_and_sections_are_one() {
        let fragment = "a=group:BUNDLE 0 1\r\na=ice-options:trickle\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 x 111\r\na=mid:0\r\n\
            a=candidate:1 a\r\nm=video 9 x 96\r\na=mid:1\r\na=candidate:1 a\r\na=candidate:2 b\r\na=end-of-candidates\r\n";
        assert_eq!(
            written_anew(fragment),
            "a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 x 111\r\na=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
             a=candidate:1 a\r\na=candidate:2 b\r\na=end-of-candidates\r\n"
        );
    }

    #[test]
    fn credentials_of_a_section_are_the_sessions_too() {
        let fragment = "m=audio 9 x 111\na=mid:0\na=ice-ufrag:u\na=ice-pwd:p\n";
        let expected =
            "a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 x 111\r\na=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n";
        assert_eq!(written_anew(fragment), expected);
    }

    #[test]
    fn what_is_not_there_is_not_made_up() {
        assert_eq!(written_anew("a=candidate:1 a"), "a=candidate:1 a\r\n");
    }
}
