//! A participant in a room of the real livekit-server.

#[allow(dead_code, reason = "room_forward.rs uses the rest")]
mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use livekit_protocol::VideoQuality;
use media::{Codec, Kind, Output, Quality};
use serde_json::{Value, json};
use sluicegate_livekit::{
    room::{self, Event, OutputStats, Reason},
    token,
};
use support::{
    api::track,
    clip::{Player, audio, video},
    proxy::Proxy,
    server::{ROOM, Server},
    viewer::Viewer,
    within,
};

fn published(participant: &Value, count: usize) -> bool {
    participant["tracks"].as_array().is_some_and(|tracks| tracks.len() == count)
}

fn ended(event: &Event) -> bool {
    matches!(event, Event::Ended(_))
}

#[tokio::test]
async fn three_layers_and_sound_are_published_and_seen() {
    let server = Server::start().await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    room.publish_video(video()).unwrap();
    room.publish_audio(audio()).unwrap();
    let mut player = Player::new(Codec::H264);
    let seen = player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
    assert!(matches!(seen[0], Event::Joined(_)), "{seen:?}");

    let listed = server.participant("both tracks are listed", |p| published(p, 2));
    let obs = player.play_while(&room, &mut events, listed).await;
    assert_eq!((&obs["kind"], &obs["state"]), (&json!("INGRESS"), &json!("ACTIVE")));
    assert_eq!((&obs["name"], &obs["metadata"]), (&json!("The stage"), &json!("about")));
    assert_eq!(obs["attributes"], json!({ token::INGRESS_ID: "IN_1", token::RESOURCE_ID: "RS_1" }));
    let picture = track(&obs, "picture").unwrap();
    assert_eq!(picture["source"], "SCREEN_SHARE");
    assert_eq!(picture["simulcast"], true);
    assert_eq!(picture["mime_type"], "video/H264");
    let sizes: Vec<_> =
        picture["layers"].as_array().unwrap().iter().map(|l| (&l["width"], &l["height"])).collect();
    assert_eq!(format!("{sizes:?}").replace("Number", ""), "[((160), (90)), ((320), (180)), ((640), (360))]");
    let sound = track(&obs, "sound").unwrap();
    assert_eq!((&sound["source"], &sound["stream"]), (&json!("SCREEN_SHARE_AUDIO"), &json!("ingress")));

    let mut viewer = Viewer::join(&server).await;
    let watch = async {
        let (mut pictures, mut sounds) = (0, 0);
        while pictures < 60 || sounds < 100 {
            let seen = viewer.next().await;
            match seen.kind {
                Kind::Audio => sounds += 1,
                Kind::Video => {
                    assert!(pictures > 0 || seen.keyframe, "the first picture can be decoded");
                    pictures += 1;
                }
            }
        }
    };
    player.play_while(&room, &mut events, within("the viewer sees and hears", watch)).await;
    viewer.leave().await;
    room.leave().await;
    assert_eq!(events_end(&mut events).await, Event::Ended(Reason::Left));
    // The server forgets one that just falls silent after 20 s; one that says goodbye is gone at once.
    let gone = tokio::time::timeout(Duration::from_secs(5), server.gone("obs"));
    gone.await.expect("a participant that left is gone");
}

#[tokio::test]
async fn the_room_chooses_layers_and_unwatched_ones_are_told() {
    let server = Server::start_with("video:\n  dynacast_pause_delay: 1s").await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    room.publish_video(video()).unwrap();
    let mut player = Player::new(Codec::H264);
    let listed = |e: &Event| matches!(e, Event::Published { kind: Kind::Video, .. });
    let seen = player.play_until(&room, &mut events, "published", listed).await;
    let Some(Event::Published { track_sid, .. }) = seen.last().cloned() else { unreachable!() };

    let mut viewer = Viewer::join(&server).await;
    let first = within("a first picture", viewer.next());
    player.play_while(&room, &mut events, first).await;
    viewer.want(&track_sid, VideoQuality::Low).await;
    let low = Event::Wanted(BTreeSet::from([Quality::Low]));
    let down = player.play_until(&room, &mut events, "only low is wanted", |e| *e == low);
    viewer.watch(down).await;
    viewer.want(&track_sid, VideoQuality::High).await;
    let all = Event::Wanted(Quality::ALL.into());
    let up = player.play_until(&room, &mut events, "all are wanted", |e| *e == all);
    let (mut seen, _) = viewer.watch(up).await;
    // The SFU's PLI may be faster than its update, and one keyframe serves both.
    let key = |e: &Event| *e == Event::KeyframeNeeded(Quality::High);
    if !seen.iter().any(key) {
        let key = player.play_until(&room, &mut events, "a keyframe of the layer that is back", key);
        seen.extend(viewer.watch(key).await.0);
    }
    let repeated = seen.iter().filter(|e| matches!(e, Event::Wanted(_))).count();
    assert_eq!(repeated, 1, "an update that changes nothing is not told: {seen:?}");

    viewer.leave().await;
    let none = Event::Wanted(BTreeSet::new());
    player.play_until(&room, &mut events, "nobody watches", |e| *e == none).await;
    room.leave().await;
}

#[tokio::test]
async fn a_second_track_comes_later_and_sizes_may_change() {
    let server = Server::start().await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    room.publish_audio(audio()).unwrap();
    let mut player = Player::new(Codec::H264);
    player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
    room.publish_video(video()).unwrap();
    let sent = |e: &Event| {
        matches!(e, Event::Stats(OutputStats { output: Output::Video(Quality::High), packets: 1.., .. }))
    };
    player.play_until(&room, &mut events, "the picture flows", sent).await;

    let mut viewer = Viewer::join(&server).await;
    let watch = async { while viewer.next().await.kind != Kind::Video {} };
    player.play_while(&room, &mut events, within("the picture is seen", watch)).await;
    assert!(room.publish_video(video()).is_err(), "one picture track is enough");

    let mut layers = video().layers;
    layers.iter_mut().for_each(|layer| layer.width += 2);
    room.update_layers(layers).unwrap();
    let wide = |p: &Value| track(p, "picture").is_some_and(|t| t["width"] == 642);
    let listed = server.participant("the new size is listed", wide);
    player.play_while(&room, &mut events, listed).await;
    viewer.leave().await;
    room.leave().await;
}

#[tokio::test]
async fn messages_and_attributes_reach_the_room() {
    let server = Server::start().await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    room.publish_audio(audio()).unwrap();
    let mut player = Player::new(Codec::H264);
    player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
    let mut viewer = Viewer::join(&server).await;
    player.play_while(&room, &mut events, within("the sound is heard", viewer.next())).await;

    // One at a time: the SFU keeps none for a channel that is not open yet.
    let heard = async {
        for number in 0_u8.. {
            room.send_data("topic", &[number]);
            viewer.next().await;
            if viewer.messages.len() >= 3 {
                break;
            }
        }
    };
    player.play_while(&room, &mut events, within("messages are heard", heard)).await;
    let numbers: Vec<u8> = viewer.messages.iter().map(|(_, _, payload)| payload[0]).collect();
    assert!(numbers.is_sorted(), "in order: {numbers:?}");
    assert!(viewer.messages.iter().all(|(from, topic, _)| from == "obs" && topic == "topic"));

    room.set_attribute("a.key", "5");
    let set = server.participant("the attribute is there", |p| p["attributes"]["a.key"] == "5");
    let listed = player.play_while(&room, &mut events, set).await;
    assert_eq!(listed["attributes"][token::INGRESS_ID], "IN_1", "the others stay");
    room.set_attribute("a.key", "");
    let gone = server.participant("the attribute is gone", |p| p["attributes"].get("a.key").is_none());
    player.play_while(&room, &mut events, gone).await;
    viewer.leave().await;
    room.leave().await;
}

#[tokio::test]
async fn one_layer_of_vp8_is_published_without_simulcast() {
    let server = Server::start().await;
    let options = room::Options { video_codec: Codec::Vp8, red: true, ..server.options() };
    let (room, mut events) = room::join(options).await.unwrap();
    room.publish_video(room::VideoTrack { layers: video().layers[2..].to_vec(), ..video() }).unwrap();
    room.publish_audio(audio()).unwrap();
    let mut player = Player::new(Codec::Vp8);
    let listed = server.participant("both tracks are listed", |p| published(p, 2));
    let obs = player.play_while(&room, &mut events, listed).await;
    assert_eq!(track(&obs, "picture").unwrap()["mime_type"], "video/VP8");
    assert_eq!(track(&obs, "picture").unwrap()["layers"].as_array().unwrap().len(), 1);
    let mut viewer = Viewer::join(&server).await;
    let watch = async {
        for _ in 0..60 {
            while viewer.next().await.kind != Kind::Video {}
        }
    };
    player.play_while(&room, &mut events, within("the picture is seen", watch)).await;
    viewer.leave().await;
    room.leave().await;
}

#[tokio::test]
async fn without_udp_media_goes_over_tcp() {
    let server = Server::start_with_rtc("force_tcp: true").await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    room.publish_audio(audio()).unwrap();
    let mut player = Player::new(Codec::H264);
    player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
    let heard = |e: &Event| matches!(e, Event::Stats(stats) if stats.packets > 100 && stats.rtt.is_some());
    player.play_until(&room, &mut events, "the server reports on the sound", heard).await;
    room.leave().await;
}

#[tokio::test]
async fn lost_signalling_is_resumed_with_the_same_sids_while_media_flows() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.port).await;
    let options = room::Options { ws_url: format!("ws://127.0.0.1:{}", proxy.port), ..server.options() };
    let (room, mut events) = room::join(options).await.unwrap();
    room.publish_video(video()).unwrap();
    room.publish_audio(audio()).unwrap();
    let mut player = Player::new(Codec::H264);
    let listed = server.participant("both tracks are listed", |p| published(p, 2));
    let before = player.play_while(&room, &mut events, listed).await;

    let mut viewer = Viewer::join(&server).await;
    player.play_while(&room, &mut events, within("a first picture", viewer.next())).await;
    for round in 0..3 {
        proxy.cut();
        let resume = player.play_until(&room, &mut events, "resumed", |e| *e == Event::Resumed);
        let (seen, unbroken) = viewer.watch(resume).await;
        assert!(unbroken, "round {round}: a picture is missing");
        let rejoined = seen.iter().any(|e| matches!(e, Event::Rejoined(_) | Event::Published { .. }));
        assert!(!rejoined, "round {round}: {seen:?}");
    }
    let listed = server.participant("it is still there", |p| published(p, 2));
    let after = player.play_while(&room, &mut events, listed).await;
    assert_eq!(before["sid"], after["sid"]);
    for name in ["picture", "sound"] {
        assert_eq!(track(&before, name).unwrap()["sid"], track(&after, name).unwrap()["sid"]);
    }
    viewer.leave().await;
    room.leave().await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_joined_again_within_5_s_of_its_return() {
    let mut server = Server::start().await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    room.publish_video(video()).unwrap();
    room.publish_audio(audio()).unwrap();
    let mut player = Player::new(Codec::H264);
    player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
    server.kill();
    let away = |e: &Event| matches!(e, Event::Reconnecting(_));
    player.play_until(&room, &mut events, "the loss is noticed", away).await;
    // Long enough for the waits between attempts to have grown.
    let outage = tokio::time::sleep(Duration::from_secs(4));
    player.play_while(&room, &mut events, outage).await;
    server.restart().await;
    let back = Instant::now();
    let seen = player.play_until(&room, &mut events, "media flows again", |e| *e == Event::Connected).await;
    assert!(back.elapsed() < Duration::from_secs(5), "took {:?}", back.elapsed());
    assert!(seen.iter().any(|e| matches!(e, Event::Rejoined(_))), "{seen:?}");
    let listed = server.participant("both tracks are back", |p| published(p, 2));
    let obs = player.play_while(&room, &mut events, listed).await;
    assert_eq!(obs["attributes"][token::RESOURCE_ID], "RS_1");
    let mut viewer = Viewer::join(&server).await;
    player.play_while(&room, &mut events, within("a picture", viewer.next())).await;
    viewer.leave().await;
    room.leave().await;
}

#[tokio::test]
async fn a_server_that_stands_still_for_a_while_is_not_lost() {
    let server = Server::start().await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    room.publish_video(video()).unwrap();
    let mut player = Player::new(Codec::H264);
    player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
    server.signal("STOP");
    let away = |e: &Event| matches!(e, Event::Reconnecting(_));
    player.play_until(&room, &mut events, "the loss is noticed", away).await;
    server.signal("CONT");
    let back = Instant::now();
    let mended = |e: &Event| matches!(e, Event::Resumed | Event::Connected);
    player.play_until(&room, &mut events, "mended", mended).await;
    assert!(back.elapsed() < Duration::from_secs(5), "took {:?}", back.elapsed());
    let listed = server.participant("the track is listed", |p| published(p, 1));
    player.play_while(&room, &mut events, listed).await;
    let mut viewer = Viewer::join(&server).await;
    player.play_while(&room, &mut events, within("a picture", viewer.next())).await;
    viewer.leave().await;
    room.leave().await;
}

#[tokio::test]
async fn whoever_is_removed_or_replaced_stays_out_and_knows_why() {
    let server = Server::start().await;
    let identity = json!({ "room": ROOM, "identity": "obs" });
    for (reason, method, body) in [
        (Reason::Removed, "RemoveParticipant", identity),
        (Reason::RoomDeleted, "DeleteRoom", json!({ "room": ROOM })),
    ] {
        let (room, mut events) = room::join(server.options()).await.unwrap();
        room.publish_audio(audio()).unwrap();
        let mut player = Player::new(Codec::H264);
        player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
        server.call(method, body).await;
        let seen = player.play_until(&room, &mut events, method, ended).await;
        assert_eq!(seen.last(), Some(&Event::Ended(reason)));
        assert_eq!(events.recv().await, None);
    }
    let (old, mut old_events) = room::join(server.options()).await.unwrap();
    let (new, mut new_events) = room::join(server.options()).await.unwrap();
    assert_eq!(events_end(&mut old_events).await, Event::Ended(Reason::DuplicateIdentity));
    old.leave().await;
    new.leave().await;
    assert_eq!(events_end(&mut new_events).await, Event::Ended(Reason::Left));
}

#[tokio::test]
async fn a_bad_token_is_refused_at_once() {
    let server = Server::start().await;
    let token = room::TokenSource::given("no.jwt.atall".into());
    let error = room::join(room::Options { token, ..server.options() }).await.unwrap_err();
    assert!(matches!(error, room::Error::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_codec_that_the_room_does_not_take_is_refused() {
    let server =
        Server::start_with("room:\n  enabled_codecs:\n    - mime: video/VP8\n    - mime: audio/opus").await;
    let error = room::join(server.options()).await.unwrap_err();
    assert!(error.to_string().contains("video/H264"), "{error}");
}

#[tokio::test]
async fn dropping_the_last_handle_leaves() {
    let server = Server::start().await;
    let (room, mut events) = room::join(server.options()).await.unwrap();
    let clone = room.clone();
    drop(room);
    server.participant("a clone keeps it", |_| true).await;
    drop(clone);
    assert_eq!(events_end(&mut events).await, Event::Ended(Reason::Left));
}

async fn events_end(events: &mut room::Events) -> Event {
    let mut last = None;
    let all = async {
        while let Some(event) = events.recv().await {
            last = Some(event);
        }
    };
    within("the events end", all).await;
    last.expect("there is a last event")
}

#[tokio::test]
async fn a_tls_server_that_hangs_up_is_an_error_and_no_panic() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ws_url = format!("wss://{}", listener.local_addr().unwrap());
    let hang_up = async {
        loop {
            drop(listener.accept().await);
        }
    };
    let options = room::Options { ws_url, ..Server::start().await.options() };
    let error = tokio::select! {
        joined = room::join(options) => joined.unwrap_err(),
        () = hang_up => unreachable!("listens for ever"),
    };
    assert!(matches!(error, room::Error::Unreachable { .. }), "{error:?}");
}
