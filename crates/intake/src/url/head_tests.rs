use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
    lines.iter().map(line).collect()
}

fn read(status: u16, range: Option<Range>, lines: &[(&'static str, &str)]) -> Result<Head, Error> {
    Head::read("http://h", range, StatusCode::from_u16(status).unwrap(), &headers(lines))
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn sent(text: &str, wanted: &Wanted) -> Request<Empty<Bytes>> {
    request(&url(text), wanted, &HeaderValue::from_static("agent")).unwrap()
}

#[test]
fn a_request_has_the_credentials_in_a_header_and_nowhere_else() {
    let request = sent("http://us%40er:p%3Ass@host:81/a?b=c#d", &Wanted::default());
    assert_eq!(request.uri(), "http://host:81/a?b=c");
    assert_eq!(request.headers()["authorization"], "Basic dXNAZXI6cDpzcw==");
    assert!(request.headers()["authorization"].is_sensitive());
    assert!(!format!("{request:?}").contains("dXNAZXI6cDpzcw"));
    assert!(!sent("http://host/", &Wanted::default()).headers().contains_key("authorization"));
}

#[test]
fn a_request_names_its_range_and_asks_for_nothing_packed() {
    let range = |first, last| Wanted { range: Some(Range { first, last }), ..Wanted::default() };
    assert_eq!(sent("http://h/", &range(0, None)).headers()["range"], "bytes=0-");
    assert_eq!(sent("http://h/", &range(5, Some(9))).headers()["range"], "bytes=5-9");
    let whole = sent("http://h/", &Wanted::default());
    assert!(!whole.headers().contains_key("range"));
    assert_eq!(whole.headers()["accept-encoding"], "identity");
    assert_eq!(whole.headers()["user-agent"], "agent");
}

#[test]
fn every_printable_character_in_path_and_query_can_be_sent() {
    for character in (0x20..0x7f).map(char::from) {
        sent(&format!("http://h/a{character}b?c{character}d"), &Wanted::default());
    }
}

#[test]
fn other_schemes_and_endless_urls_are_refused() {
    let long = format!("http://h/{}", "a".repeat(8192));
    for text in ["file:///etc/passwd", "ftp://h/", "gopher://h/", "data:,a", "ws://h/", "http://h:0/", &long]
    {
        assert!(matches!(acceptable(&url(text)), Err(Error::Url(_))), "{text}");
    }
}

#[test]
fn a_redirect_keeps_credentials_at_their_origin_only() {
    let from = url("http://u:p@host/dir/a");
    let to = |location: &str| {
        redirect(&from, StatusCode::FOUND, &headers(&[("location", location)])).unwrap().unwrap()
    };
    assert_eq!(to("b").as_str(), "http://u:p@host/dir/b");
    assert_eq!(to("http://host/c").as_str(), "http://u:p@host/c");
    assert_eq!(to("http://v@host/c").as_str(), "http://v@host/c");
    assert_eq!(to("https://host/c").as_str(), "https://host/c");
    assert_eq!(to("http://host:81/c").as_str(), "http://host:81/c");
    assert_eq!(to("//other/c").as_str(), "http://other/c");
}

#[test]
fn a_redirect_to_nowhere_is_an_error_and_other_answers_are_none() {
    let from = url("http://host/");
    for location in ["file:///etc/passwd", "data:,a", "http://", "rtmp://h/a"] {
        let wrong = redirect(&from, StatusCode::FOUND, &headers(&[("location", location)]));
        assert!(matches!(wrong, Err(Error::BadRedirect { .. })), "{location}");
    }
    assert!(matches!(redirect(&from, StatusCode::FOUND, &headers(&[])), Err(Error::BadRedirect { .. })));
    for status in [200, 206, 300, 304, 305, 404] {
        let location = headers(&[("location", "/x")]);
        assert_eq!(redirect(&from, StatusCode::from_u16(status).unwrap(), &location), Ok(None), "{status}");
    }
}

#[test]
fn the_head_of_a_whole_says_what_is_known_of_it() {
    let whole = read(200, None, &[("content-length", "10"), ("content-type", "video/mp4")]).unwrap();
    assert_eq!((whole.size, whole.first, whole.end, whole.ranges), (Some(10), 0, Some(10), false));
    assert_eq!(whole.content_type.as_deref(), Some("video/mp4"));
    let claims = read(200, None, &[("content-length", "10"), ("accept-ranges", "bytes")]).unwrap();
    assert!(claims.ranges);
    let live = read(200, None, &[("accept-ranges", "bytes"), ("icy-metaint", "16000")]).unwrap();
    assert_eq!((live.size, live.end, live.ranges, live.icy_interval), (None, None, false, Some(16000)));
}

#[test]
fn the_head_of_a_part_must_be_of_the_part_that_was_asked_for() {
    let range = |first, last| Some(Range { first, last });
    let part =
        read(206, range(4, None), &[("content-range", "bytes 4-9/10"), ("content-length", "6")]).unwrap();
    assert_eq!((part.size, part.first, part.end, part.ranges), (Some(10), 4, Some(10), true));
    let open = read(206, range(4, Some(7)), &[("content-range", "bytes 4-9/*")]).unwrap();
    assert_eq!((open.size, open.end), (None, Some(8)));
    let less =
        read(206, range(4, None), &[("content-range", "bytes 4-5/10"), ("content-length", "2")]).unwrap();
    assert_eq!(less.end, Some(10));
    let wrong = [
        "bytes 5-9/10",
        "bytes 4-3/10",
        "bytes 4-10/10",
        "bytes 4-/10",
        "bytes */10",
        "4-9/10",
        "bytes 4-9",
        "",
        "bytes 4-18446744073709551615/*",
        "items 4-9/10",
    ];
    for text in wrong {
        let answer = read(206, range(4, None), &[("content-range", text)]);
        assert!(matches!(answer, Err(Error::Protocol { .. })), "{text}: {answer:?}");
    }
    let length = read(206, range(4, None), &[("content-range", "bytes 4-9/10"), ("content-length", "7")]);
    assert!(matches!(length, Err(Error::Protocol { .. })));
    assert!(matches!(read(206, None, &[("content-range", "bytes 0-9/10")]), Err(Error::Protocol { .. })));
    assert!(matches!(read(206, range(0, None), &[]), Err(Error::Protocol { .. })));
}

#[test]
fn a_server_without_ranges_is_noticed() {
    let range = |first, last| Some(Range { first, last });
    let length = [("content-length", "10")];
    assert!(matches!(read(200, range(4, None), &length), Err(Error::NoRanges { .. })));
    let front = read(200, range(0, Some(3)), &length).unwrap();
    assert_eq!((front.size, front.end, front.ranges), (Some(10), Some(4), false));
    assert!(matches!(read(416, range(10, None), &[]), Err(Error::PastEnd { .. })));
}

#[test]
fn packed_answers_are_refused() {
    for coding in ["gzip", "br", "zstd", "deflate", "gzip, identity"] {
        let answer = read(200, None, &[("content-encoding", coding)]);
        assert!(matches!(answer, Err(Error::Compressed { .. })), "{coding}");
    }
    assert!(read(200, None, &[("content-encoding", "identity")]).is_ok());
}

#[test]
fn a_weak_etag_is_no_validator_and_a_date_is() {
    let validator = |lines: &[(&'static str, &str)]| read(200, None, lines).unwrap().validator();
    assert_eq!(validator(&[("etag", "\"a\""), ("last-modified", "d")]).unwrap(), "\"a\"");
    assert_eq!(validator(&[("etag", "W/\"a\""), ("last-modified", "d")]).unwrap(), "d");
    assert_eq!(validator(&[("etag", "W/\"a\"")]), None);
}

#[test]
fn a_resource_of_another_size_or_etag_is_another() {
    let head = |size: &str, etag: &str| read(200, None, &[("content-length", size), ("etag", etag)]).unwrap();
    assert!(head("10", "W/\"a\"").continues_in(&head("10", "W/\"a\"")));
    assert!(!head("10", "W/\"a\"").continues_in(&head("10", "W/\"b\"")));
    assert!(!head("10", "W/\"a\"").continues_in(&head("11", "W/\"a\"")));
}

#[test]
fn a_wait_is_read_in_seconds() {
    assert_eq!(retry_after(&headers(&[("retry-after", "3")])), Some(Duration::from_secs(3)));
    assert_eq!(retry_after(&headers(&[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")])), None);
}
