//! Publishers whose media another server takes.

use std::net::SocketAddr;

use sluicegate_intake::whip::{
    Error, Listener, PatchError, Patches, Relay, RelayAnswer, RelayEnd, Status, Why,
};

use crate::{
    KEY, RESOURCE,
    client::{self, Answer},
    listen, options,
    publisher::Encoder,
    request, soon,
};

const ANSWER: &str = "v=0\r\na=ice-pwd:theirs\r\n";
const FRAGMENT_TYPE: &str = "Content-Type: application/trickle-ice-sdpfrag\r\n";
const CANDIDATE: &str = "a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.9 5000 typ host\r\n";

fn answer() -> RelayAnswer {
    let links = vec!["<stun:stun.example.net>; rel=\"ice-server\"".to_owned(), "not\na header".to_owned()];
    RelayAnswer { sdp: ANSWER.to_owned(), ice_session: "theirs".to_owned(), links }
}

async fn offer() -> String {
    Encoder::udp("127.0.0.1".parse().unwrap(), 1).await.offer()
}

async fn relayed(listener: &mut Listener, offer: &str) -> (Relay, Answer) {
    let addr = listener.http_addr().unwrap();
    let path = format!("/w/{KEY}");
    let posted = client::send(addr, "POST", &path, "", offer.as_bytes());
    let relayed = async {
        let request = request(listener).await;
        assert_eq!(request.sdp.0, offer, "as it came");
        assert!(!format!("{:?}", request.sdp).contains("ice-pwd"));
        request.relay(RESOURCE.to_owned(), answer()).unwrap()
    };
    let (answer, relay) = soon(async { tokio::join!(posted, relayed) }).await;
    (relay, answer)
}

async fn patch(addr: SocketAddr, headers: &str, body: &str) -> Answer {
    let headers = format!("{FRAGMENT_TYPE}{headers}");
    client::send(addr, "PATCH", &format!("/w/{RESOURCE}"), &headers, body.as_bytes()).await
}

/// Serves one PATCH as `serve` says, and gives back what the publisher is told.
async fn passed(
    patches: &mut Patches,
    (addr, headers, body): (SocketAddr, &str, &str),
    serve: impl FnOnce(&mut Patches, sluicegate_intake::whip::Passed),
) -> Answer {
    let served = async {
        let passed = patches.next().await;
        serve(patches, passed);
    };
    soon(async { tokio::join!(patch(addr, headers, body), served) }).await.0
}

#[tokio::test]
async fn the_publisher_gets_the_other_servers_words_and_our_location() {
    let mut listener = listen(options("127.0.0.1")).await;
    let (relay, answer) = relayed(&mut listener, &offer().await).await;
    assert_eq!((answer.status, answer.body.as_str()), (201, ANSWER));
    assert_eq!(answer.header("content-type"), "application/sdp");
    assert_eq!(answer.header("location"), format!("/w/{RESOURCE}"));
    assert_eq!(answer.header("etag"), "\"theirs\"");
    assert_eq!(answer.all("link"), ["<stun:stun.example.net>; rel=\"ice-server\""]);
    drop(relay);
    let gone = soon(patch(listener.http_addr().unwrap(), "", CANDIDATE)).await;
    assert_eq!(gone.status, 404, "its resource ends with it");
}

#[tokio::test]
async fn candidates_are_handed_on_with_the_other_servers_tag() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let (relay, _) = relayed(&mut listener, &offer().await).await;
    let (_end, mut patches) = relay.split();
    for tag in ["", "If-Match: \"theirs\"\r\n", "If-Match: *\r\n"] {
        let done = |patches: &mut Patches, passed: sluicegate_intake::whip::Passed| {
            assert!(!passed.restart);
            assert_eq!((passed.ice_session.as_str(), passed.fragment.0.as_str()), ("theirs", CANDIDATE));
            assert!(!format!("{passed:?}").contains("candidate"));
            patches.done(passed, None, None);
        };
        let told = passed(&mut patches, (addr, tag, CANDIDATE), done).await;
        assert_eq!((told.status, told.header("etag")), (204, "\"theirs\""));
    }
    let refuse = |patches: &mut Patches, passed| {
        patches.refused(passed, PatchError::Invalid("mid mismatch".to_owned()));
    };
    let told = passed(&mut patches, (addr, "", CANDIDATE), refuse).await;
    assert!(told.status == 400 && told.body.contains("mid mismatch"), "{told:?}");
}

#[tokio::test]
async fn a_restart_needs_a_tag_and_changes_it() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let (relay, _) = relayed(&mut listener, &offer().await).await;
    let (_end, mut patches) = relay.split();
    let fragment = "a=ice-ufrag:fresh\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    // Those that are answered here reach nobody: `next` waits on.
    for (tag, status) in [("", 428), ("If-Match: \"older\"\r\n", 412)] {
        let told = soon(async {
            tokio::select! {
                told = patch(addr, tag, fragment) => told,
                passed = patches.next() => panic!("{passed:?}"),
            }
        });
        assert_eq!(told.await.status, status);
    }
    let restart = |patches: &mut Patches, passed: sluicegate_intake::whip::Passed| {
        assert!(passed.restart);
        patches.done(passed, Some("a=ice-ufrag:again\r\n".to_owned()), Some("again".to_owned()));
    };
    let told = passed(&mut patches, (addr, "If-Match: *\r\n", fragment), restart).await;
    assert_eq!((told.status, told.header("etag")), (200, "\"again\""));
    assert_eq!(told.body, "a=ice-ufrag:again\r\n");
    // The same credentials are now the present ones.
    let trickle = |patches: &mut Patches, passed: sluicegate_intake::whip::Passed| {
        assert!(!passed.restart);
        assert_eq!(passed.ice_session, "again");
        patches.done(passed, None, None);
    };
    let told = passed(&mut patches, (addr, "If-Match: \"again\"\r\n", fragment), trickle).await;
    assert_eq!(told.status, 204);
}

#[tokio::test]
async fn a_delete_and_a_closer_end_it() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let offer = offer().await;
    let (relay, _) = relayed(&mut listener, &offer).await;
    let (mut end, _patches): (RelayEnd, _) = relay.split();
    let path = format!("/w/{RESOURCE}");
    let deleted = client::send(addr, "DELETE", &path, "", b"");
    let (told, why) = soon(async { tokio::join!(deleted, end.wait()) }).await;
    assert_eq!((told.status, why), (200, Why::Deleted));
    drop(end);

    let (relay, _) = relayed(&mut listener, &offer).await;
    let closer = relay.closer();
    let (mut end, _patches) = relay.split();
    closer.close("the ingress was deleted");
    assert_eq!(soon(end.wait()).await, Why::Closed("the ingress was deleted".to_owned()));

    let (relay, _) = relayed(&mut listener, &offer).await;
    let (mut end, _patches) = relay.split();
    soon(listener.shutdown()).await;
    assert!(matches!(soon(end.wait()).await, Why::Closed(_)));
}

#[tokio::test]
async fn who_left_meanwhile_is_not_relayed_and_a_refusal_is_a_problem() {
    let mut listener = listen(options("127.0.0.1")).await;
    let addr = listener.http_addr().unwrap();
    let offer = offer().await;
    let path = format!("/w/{KEY}");
    let left = tokio::spawn({
        let (path, offer) = (path.clone(), offer.clone());
        async move { client::send(addr, "POST", &path, "", offer.as_bytes()).await }
    });
    let asked = request(&mut listener).await;
    left.abort();
    let _ = left.await;
    soon(async {
        while !asked.is_gone() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(matches!(asked.relay(RESOURCE.to_owned(), answer()), Err(Error::Gone { .. })));
    let posted = client::send(addr, "POST", &path, "", offer.as_bytes());
    let refused = async {
        let request = request(&mut listener).await;
        request.reject(Status::BadGateway, "the other server says no").await;
    };
    let (told, ()) = soon(async { tokio::join!(posted, refused) }).await;
    assert_eq!((told.status, told.header("content-type")), (502, "application/problem+json"));
}
