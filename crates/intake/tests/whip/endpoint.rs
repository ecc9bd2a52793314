//! Statuses and headers.

use std::sync::Arc;

use sluicegate_intake::whip::{Action, Call, Error, Listener, Mode, Options, PatchDone, PatchError, Status};
use tokio::net::TcpStream;

use crate::{
    KEY, RESOURCE, accept,
    client::{self, Answer},
    listen, options,
    publisher::Encoder,
    request, soon,
};

async fn offer() -> String {
    Encoder::udp("127.0.0.1".parse().unwrap(), 1).await.offer()
}

async fn send(listener: &Listener, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    soon(client::send(listener.http_addr().unwrap(), method, path, headers, body.as_bytes())).await
}

#[tokio::test]
async fn the_answer_has_all_that_rfc_9725_asks_for_and_no_key() {
    let ice_servers =
        vec!["stun:stun.example.net".to_owned(), "turn:turn.example.net?transport=udp".to_owned()];
    let mut listener = listen(Options { ice_servers, ..options("127.0.0.1") }).await;
    let addr = listener.http_addr().unwrap();
    let offer = offer().await;
    let path = format!("/live%20tv/{KEY}");
    let posted = client::send(addr, "POST", &path, "", offer.as_bytes());
    let accepted = async {
        let request = request(&mut listener).await;
        assert_eq!((request.key.reveal(), request.app.as_str()), (KEY, "live%20tv"));
        assert_eq!((request.encoder.as_str(), request.peer.ip()), ("tester/1", addr.ip()));
        assert!(request.offer.video.is_some() && request.offer.audio.is_some());
        assert!(!format!("{request:?}").contains(KEY), "no key in a log");
        request.accept(RESOURCE.to_owned(), Mode::Packets).await.unwrap()
    };
    let (answer, _publisher) = soon(async { tokio::join!(posted, accepted) }).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/sdp"));
    assert_eq!(answer.header("location"), format!("/live%20tv/{RESOURCE}"));
    assert!(answer.header("etag").starts_with('"') && answer.header("etag").len() > 6);
    assert_eq!(answer.header("accept-patch"), "application/trickle-ice-sdpfrag");
    assert_eq!(
        answer.all("link"),
        [
            "<stun:stun.example.net>; rel=\"ice-server\"",
            "<turn:turn.example.net?transport=udp>; rel=\"ice-server\""
        ]
    );
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    for exposed in ["Location", "ETag", "Link"] {
        assert!(answer.header("access-control-expose-headers").contains(exposed));
    }
    assert!(answer.body.starts_with("v=0") && answer.body.len() <= 8192);
}

#[tokio::test]
async fn a_browser_may_ask_from_any_origin_before_it_acts() {
    let listener = listen(options("127.0.0.1")).await;
    let cases =
        [("/w", 204, "POST"), ("/w/x", 204, "POST, PATCH, DELETE"), ("/w/key/x", 200, "PATCH, DELETE")];
    for (path, status, methods) in cases {
        let answer = send(&listener, "OPTIONS", path, "Origin: https://page.example\r\n", "").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-allow-methods").starts_with(methods));
        for allowed in ["Authorization", "If-Match", "Content-Type"] {
            assert!(answer.header("access-control-allow-headers").contains(allowed));
        }
        assert_eq!(answer.header("accept-post"), "application/sdp");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_as_a_problem_with_cors_headers() {
    let listener = listen(options("127.0.0.1")).await;
    let offer = offer().await;
    let no_codec = offer.replace("H264/90000", "THEORA/90000");
    let bearer = "Authorization: Bearer k\r\n";
    let cases = [
        ("POST", "/w", "", offer.as_str(), 401, "missing stream key"),
        ("POST", "/w", bearer, "hello", 400, "no SDP"),
        ("POST", "/w", bearer, &no_codec, 406, "no codec in common for video"),
        ("GET", "/w", "", "", 405, "POST"),
        ("PUT", "/w/k", "", "", 405, "POST"),
        ("GET", "/", "", "", 404, "nothing is here"),
        ("POST", "/a/b/c/d", "", "", 404, "nothing is here"),
        ("DELETE", "/w/no%2Fid", "", "", 404, "no such resource"),
        ("PATCH", "/w/WH_x", "Content-Type: application/sdp\r\n", "a=x", 415, "sdpfrag"),
    ];
    for (method, path, headers, body, status, detail) in cases {
        let answer = send(&listener, method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(
            answer.body.contains(detail) && answer.body.contains(&format!("\"status\":{status}")),
            "{answer:?}"
        );
    }
    let missing = send(&listener, "POST", "/w", "", &offer).await;
    assert_eq!(missing.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn refusals_reach_the_publisher_with_their_status() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let offer = offer().await;
    for refusal in 0..3 {
        let posted = client::send(addr, "POST", "/w/abcdefgh", "", offer.as_bytes());
        let refused = async {
            let request = request(&mut listener).await;
            match refusal {
                0 => request.reject(Status::Forbidden, "session is disabled").await,
                1 => request.wrong_key().await,
                _ => drop(request),
            }
        };
        let (answer, ()) = soon(async { tokio::join!(posted, refused) }).await;
        assert_eq!(answer.status, [403, 404, 500][refusal]);
        assert!(answer.body.contains(["session is disabled", "unknown stream key", "not answered"][refusal]));
    }
    listener.stop();
    let answer = send(&listener, "POST", "/w/abcdefgh", "", &offer).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
}

#[tokio::test]
async fn a_resource_that_is_not_here_is_asked_of_the_server() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let deleted = client::send(addr, "DELETE", "/w/thekey/WH_other", "", b"");
    let answered = async {
        let Some(Call::Elsewhere(call)) = listener.accept().await else { panic!("elsewhere") };
        assert_eq!((call.resource.as_str(), call.key.as_ref().unwrap().reveal()), ("WH_other", "thekey"));
        assert_eq!(call.action, Action::Delete);
        call.deleted();
    };
    assert_eq!(soon(async { tokio::join!(deleted, answered) }).await.0.status, 200);

    let headers = "If-Match: *\r\nContent-Type: application/trickle-ice-sdpfrag\r\n";
    let answers = [
        (Ok(PatchDone { fragment: Some("a=ice-ufrag:x\r\n".to_owned()), etag: "\"x\"".to_owned() }), 200),
        (Ok(PatchDone { fragment: None, etag: "\"x\"".to_owned() }), 204),
        (Err(PatchError::Stale), 412),
        (Err(PatchError::Unsupported("no".to_owned())), 422),
        (Err(PatchError::Unknown), 404),
    ];
    for (result, status) in answers {
        let patched = client::send(addr, "PATCH", "/w/WH_other", headers, b"a=ice-ufrag:y");
        let answered = async {
            let Some(Call::Elsewhere(call)) = listener.accept().await else { panic!("elsewhere") };
            let Action::Patch { if_match, fragment } = &call.action else { panic!("a patch") };
            assert_eq!((if_match.as_deref(), fragment.0.as_str()), (Some("*"), "a=ice-ufrag:y"));
            match result {
                Ok(done) => call.patched(done),
                Err(error) => call.refused(error),
            }
        };
        assert_eq!(soon(async { tokio::join!(patched, answered) }).await.0.status, status);
    }
}

#[tokio::test]
async fn a_resource_is_not_for_holders_of_other_keys() {
    let mut listener = listen(options("127.0.0.1")).await;
    let mut encoder = Encoder::udp("127.0.0.1".parse().unwrap(), 1).await;
    let (_publisher, answer) = accept(&mut listener, &mut encoder, Mode::Packets).await;
    let location = answer.header("location");
    let refused = send(&listener, "DELETE", location, "Authorization: Bearer other\r\n", "").await;
    assert_eq!(refused.status, 403);
    let deleted = send(&listener, "DELETE", location, &format!("Authorization: Bearer {KEY}\r\n"), "").await;
    assert_eq!(deleted.status, 200);
    let resources = listener.resources();
    assert!(!resources.delete(RESOURCE).await);
    assert_eq!(resources.patch(RESOURCE, None, "a=x").await, Err(PatchError::Unknown));
}

#[tokio::test]
async fn the_servers_own_pages_are_served_beside() {
    let routes = axum::Router::new().route("/health", axum::routing::get(|| async { "fine" }));
    let listener = listen(Options { routes, ..options("127.0.0.1") }).await;
    let answer = send(&listener, "GET", "/health", "", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "fine"));
}

#[tokio::test]
async fn https_serves_the_same() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server =
        rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let server = server
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let https = Some(("127.0.0.1:0".parse().unwrap(), Arc::new(server)));
    let listener = listen(Options { http: None, https, ..options("127.0.0.1") }).await;
    assert!(listener.http_addr().is_none());

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(listener.https_addr().unwrap()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let answer = soon(client::exchange(stream, "OPTIONS", "/w", "", b"")).await;
    assert_eq!(answer.status, 204);
    soon(listener.shutdown()).await;
}

#[tokio::test]
async fn a_listener_without_an_address_for_media_says_so() {
    let error = Listener::bind(Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::NoAddress), "{error}");
}
