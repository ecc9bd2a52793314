//! Offers as clients write them, answered, and media on the connections that come of it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod publisher;

use media::Codec;
use publisher::{MS, World, attribute, fixture};
use sluicegate_rtc::whip::{Mode, Track};
use str0m::media::MediaKind;

struct Client {
    name: &'static str,
    codec: Codec,
    payload_type: u8,
    resend: Option<u8>,
    layers: usize,
    channels: u8,
    /// `a=setup` of the answer.
    setup: &'static str,
}

const CLIENTS: [Client; 14] = [
    Client {
        name: "obs30",
        codec: Codec::H264,
        payload_type: 96,
        resend: None,
        layers: 1,
        channels: 2,
        setup: "passive",
    },
    Client {
        name: "obs32_simulcast",
        codec: Codec::H264,
        payload_type: 96,
        resend: None,
        layers: 4,
        channels: 2,
        setup: "passive",
    },
    Client {
        name: "ffmpeg",
        codec: Codec::H264,
        payload_type: 106,
        resend: Some(105),
        layers: 1,
        channels: 1,
        setup: "active",
    },
    Client {
        name: "webrtcbin",
        codec: Codec::H264,
        payload_type: 96,
        resend: None,
        layers: 1,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "chromium_simulcast",
        codec: Codec::Vp8,
        payload_type: 96,
        resend: Some(97),
        layers: 3,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "chromium_ssrc_group",
        codec: Codec::Vp8,
        payload_type: 96,
        resend: Some(97),
        layers: 3,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "chromium_h265",
        codec: Codec::H265,
        payload_type: 49,
        resend: Some(50),
        layers: 1,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "chromium_av1",
        codec: Codec::Av1,
        payload_type: 45,
        resend: Some(46),
        layers: 1,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "chromium_vp9",
        codec: Codec::Vp9,
        payload_type: 98,
        resend: Some(99),
        layers: 1,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "firefox",
        codec: Codec::Vp8,
        payload_type: 120,
        resend: Some(124),
        layers: 3,
        channels: 2,
        setup: "passive",
    },
    Client {
        name: "safari",
        codec: Codec::H264,
        payload_type: 96,
        resend: Some(97),
        layers: 1,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "larix",
        codec: Codec::H264,
        payload_type: 109,
        resend: Some(114),
        layers: 1,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "aiortc",
        codec: Codec::Vp8,
        payload_type: 97,
        resend: Some(98),
        layers: 1,
        channels: 1,
        setup: "passive",
    },
    Client {
        name: "many_tracks",
        codec: Codec::Vp8,
        payload_type: 97,
        resend: None,
        layers: 1,
        channels: 1,
        setup: "passive",
    },
];

#[test]
fn what_each_client_offers_is_read() {
    for client in CLIENTS {
        let world = World::new(client.name, Mode::Packets);
        let offer = world.peer.offer();
        let (video, audio) = (offer.video.as_ref().unwrap(), offer.audio.as_ref().unwrap());
        let found = (video.codec, video.payload_type, video.resend, offer.layers(), audio.channels);
        let expected = (client.codec, client.payload_type, client.resend, client.layers, client.channels);
        assert_eq!(found, expected, "{}", client.name);
    }
}

/// The m-line and the lines below it.
fn sections(sdp: &str) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in sdp.lines() {
        match sections.last_mut() {
            _ if line.starts_with("m=") => sections.push(format!("{line}\n")),
            Some(section) => section.push_str(&format!("{line}\n")),
            None => {}
        }
    }
    sections
}

#[test]
fn each_client_gets_an_answer_that_fits_its_offer() {
    for client in CLIENTS {
        let (name, offer) = (client.name, fixture(client.name));
        let answer = World::new(name, Mode::Packets).answer;
        assert!(answer.starts_with("v=0\r\n") && answer.len() <= 8192, "{name}: {} bytes", answer.len());
        assert!(
            answer.lines().all(|line| line.split_once('=').is_some_and(|(kind, _)| kind.len() == 1)),
            "{answer}"
        );
        assert_eq!(attribute(&answer, "setup"), Some(client.setup), "{name}");
        let (offered, answered) = (sections(&offer), sections(&answer));
        assert_eq!(offered.len(), answered.len(), "{name}: {answer}");
        for (offered, answered) in offered.iter().zip(&answered) {
            assert_eq!(attribute(offered, "mid"), attribute(answered, "mid"), "{name}");
            assert_eq!(offered.split(' ').next(), answered.split(' ').next(), "{name}");
            let refused = answered.split(' ').nth(1) == Some("0");
            assert_eq!(refused, !answered.contains("a=recvonly"), "{name}: {answered}");
            for feedback in answered.lines().filter(|line| line.starts_with("a=rtcp-fb")) {
                let any = feedback.replace(&format!(":{} ", client.payload_type), ":* ");
                assert!(
                    offered.contains(feedback) || offered.contains(&any),
                    "{name}: {feedback} was not offered"
                );
            }
            let extensions = answered.lines().filter(|line| line.starts_with("a=extmap:"));
            assert!(extensions.into_iter().all(|line| offered.contains(line)), "{name}: {answered}");
        }
        let bundle = attribute(&answer, "group").unwrap();
        let taken = answered.iter().filter(|section| section.contains("a=recvonly"));
        let mids: Vec<&str> = taken.filter_map(|section| attribute(section, "mid")).collect();
        assert_eq!(bundle, format!("BUNDLE {}", mids.join(" ")), "{name}");
        let rids = attribute(&offer, "simulcast").map(|list| list.replace("send", "recv"));
        assert_eq!(attribute(&answer, "simulcast").map(str::to_owned), rids, "{name}");
        let first = answer.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
        assert!(
            first.to_ascii_lowercase().contains(" udp ") && first.contains(" 10.0.0.1 7885 typ host"),
            "{first}"
        );
    }
}

#[test]
fn only_who_tells_no_address_is_not_asked_whether_it_is_there() {
    let lite = CLIENTS.iter().filter(|client| {
        let world = World::new(client.name, Mode::Packets);
        world.answer.lines().any(|line| line == "a=ice-lite")
    });
    assert_eq!(lite.map(|client| client.name).collect::<Vec<_>>(), ["ffmpeg", "many_tracks"]);
}

#[test]
fn h264_is_answered_in_the_publishers_own_profile() {
    for (name, profile) in
        [("ffmpeg", "42001e"), ("safari", "640c1f"), ("webrtcbin", "42c01e"), ("obs30", "42e01f")]
    {
        let answer = World::new(name, Mode::Packets).answer;
        assert!(answer.contains(&format!("profile-level-id={profile}")), "{name}: {answer}");
    }
    for profile in ["640032", "6e001f", "f4001f", "64ff1f", "123456"] {
        let offer = fixture("ffmpeg").replace("42001e", profile);
        let local =
            sluicegate_rtc::whip::Local { protocol: str0m::net::Protocol::Udp, address: publisher::v4(7885) };
        let world = World::of(&offer, Default::default(), local, publisher::v4(1));
        assert!(world.answer.contains(&format!("profile-level-id={profile}")), "{profile}: {}", world.answer);
        assert!(sections(&world.answer)[1].starts_with("m=video 9 "), "{}", world.answer);
    }
}

#[test]
fn media_of_each_client_comes_to_the_track_where_it_belongs() {
    for client in CLIENTS {
        let mut world = World::connected(client.name, Mode::Packets);
        for picture in 0..25_u32 {
            for track in 0..world.tracks.len() {
                let rate = if world.tracks[track].kind == MediaKind::Audio { 1920 } else { 3600 };
                world.send(track, picture * rate, true, &[0x10, 1, u8::try_from(track).unwrap()]);
            }
            world.run(40 * MS);
        }
        let name = client.name;
        // Where neither SSRCs nor names of tracks are told, the first packets tell what the engine has to expect.
        for t in [Track::Audio, Track::Video(0), Track::Video(1), Track::Video(2)] {
            eprintln!(
                "{name} {t:?} {:?}",
                world.packets(t).iter().map(|p| (p.1.sequence, p.1.stream)).collect::<Vec<_>>()
            );
        }
        assert_eq!(world.packets(Track::Audio).len(), 25, "{name}");
        for layer in 0..client.layers {
            let packets = world.packets(Track::Video(layer));
            assert_eq!(packets.len(), 25, "{name}, layer {layer}");
            assert!(packets.iter().all(|(_, packet)| usize::from(packet.payload[2]) == layer + 1), "{name}");
            let captured = packets[24].1.captured.since(packets[0].1.captured).millis();
            assert!((955..=965).contains(&captured), "{name}: 24 pictures in {captured} ms");
        }
    }
}
