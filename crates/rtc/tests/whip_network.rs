//! What networks do to a WHIP publisher's connection.
#![allow(clippy::unwrap_used, reason = "tests")]

mod publisher;

use std::time::{Duration, Instant};

use publisher::{GOOD, Link, MS, World, attribute, fixture, v4, v6};
use sluicegate_rtc::whip::{Config, Event, Local, Mode, Track};
use str0m::net::Protocol;

const VIDEO: usize = 1;
const UDP: Local = Local {
    protocol: Protocol::Udp,
    address: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7885),
};

/// A packet of sound each 20 ms, and of the first layer of the pictures four each 40 ms, with a keyframe when one is asked for: when each
/// of these was sent.
fn play(world: &mut World, steps: std::ops::Range<u32>) -> Vec<Instant> {
    let mut sent = Vec::new();
    for step in steps {
        world.send(0, step * 960, false, &[0xfc, 1, 2]);
        let keyframe = step == 0 || step % 2 == 0 && !std::mem::take(&mut world.wanted).is_empty();
        for part in 0..4_u8 {
            if step % 2 == 0 {
                let head = if part == 0 { [0x10, u8::from(!keyframe)] } else { [0, 0x55] };
                world.send(VIDEO, step * 1800, part == 3, &[head[0], head[1], step.to_le_bytes()[0], part]);
                sent.push(world.now);
            }
        }
        world.run(20 * MS);
    }
    sent
}

#[test]
fn with_5_percent_loss_and_50_ms_of_jitter_each_way_every_packet_comes_in_bounded_time() {
    let mut world = World::connected("chromium_simulcast", Mode::Packets);
    play(&mut world, 0..50);
    let before = world.packets(Track::Video(0)).len();
    world.link = Link { delay: 20 * MS, jitter: 50 * MS, loss: 50 };
    let sent = play(&mut world, 50..550);
    world.link = GOOD;
    play(&mut world, 550..600);
    let packets = world.packets(Track::Video(0));
    let (mut delays, mut lost) = (Vec::new(), 0);
    for (number, sent) in (65_530 + u64::try_from(before).unwrap()..).zip(sent) {
        match packets.iter().find(|(_, packet)| packet.sequence == number) {
            Some((came, _)) => delays.push(*came - sent),
            None => lost += 1,
        }
    }
    delays.sort();
    let (half, most) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    // Each is asked for five times, each time again when a round trip has passed; one of 100 000 that are lost stays so.
    assert!(
        half <= 80 * MS && most <= 1000 * MS && lost <= 1,
        "half within {half:?}, all within {most:?}, {lost} lost"
    );
    let twice = packets
        .iter()
        .filter(|(_, one)| packets.iter().filter(|(_, two)| one.sequence == two.sequence).count() > 1);
    assert_eq!(twice.count(), 0, "none comes twice");
}

#[test]
fn with_5_percent_loss_and_50_ms_of_jitter_pictures_go_on() {
    let mut world = World::connected("chromium_simulcast", Mode::Frames);
    play(&mut world, 0..50);
    world.link = Link { delay: 20 * MS, jitter: 50 * MS, loss: 50 };
    play(&mut world, 50..1550);
    let frames = world.frames(Track::Video(0));
    let freeze = frames.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(freeze <= 1000 * MS, "{freeze:?}");
    assert!(frames.len() >= 720, "{} of 775", frames.len());
    let sound = world.frames(Track::Audio).len();
    assert!(sound >= 1550 * 93 / 100, "{sound} of 1550 packets of sound");
}

#[test]
fn a_packet_is_asked_for_again_where_that_was_offered_and_only_there() {
    for (name, asked) in [("obs30", true), ("many_tracks", true), ("ffmpeg", true)] {
        let mut world = World::connected(name, Mode::Packets);
        play(&mut world, 0..10);
        world.skip(VIDEO);
        play(&mut world, 10..20);
        assert_eq!(world.missed.contains(&2001.into()), asked, "{name}");
        assert!(!world.missed.contains(&1001.into()), "{name}: nobody resends sound");
    }
    let silent = fixture("obs30").replace("a=rtcp-fb:96 nack\r\n", "");
    let mut world = World::of(&silent, Config::default(), UDP, v4(1));
    world.connect();
    play(&mut world, 0..10);
    world.skip(VIDEO);
    play(&mut world, 10..20);
    assert!(world.missed.is_empty(), "it cannot answer");
}

fn connects(offer: &str, ice_lite: bool, local: Local, home: std::net::SocketAddr) -> World {
    let mut world = World::of(offer, Config { ice_lite, ..Config::default() }, local, home);
    world.connect();
    let took = world.now - world.began;
    assert!(took <= 1500 * MS, "{took:?}");
    play(&mut world, 0..10);
    assert!(world.packets(Track::Video(0)).len() >= 20);
    world
}

#[test]
fn ipv6_tcp_and_ice_lite_work_too() {
    let offer =
        fixture("obs32_simulcast").replace("a=rid", "a=x-rid").replace("a=simulcast", "a=x-simulcast");
    let offer =
        offer.replace("a=rtcp-mux\r\na=rtpmap:96", "a=ssrc:2001 cname:x\r\na=rtcp-mux\r\na=rtpmap:96");
    connects(&offer, false, Local { protocol: Protocol::Udp, address: v6(7885) }, v6(1));
    for (offer, wished, lite) in
        [(&offer, true, true), (&offer, false, false), (&fixture("ffmpeg"), false, true)]
    {
        let world = connects(offer, wished, UDP, v4(1));
        assert_eq!(world.answer.contains("a=ice-lite"), lite, "{}", world.answer);
    }
    let tcp = Local { protocol: Protocol::Tcp, address: v4(7886) };
    let world = connects(&offer, false, tcp, v4(50_000));
    let candidate = attribute(&world.answer, "candidate").unwrap().to_ascii_lowercase();
    assert!(
        candidate.contains(" tcp ") && candidate.contains(" 10.0.0.1 7886 typ host tcptype passive"),
        "{candidate}"
    );
}

#[test]
fn a_publisher_may_be_either_side_of_dtls_and_lite() {
    for setup in ["active", "passive", "actpass"] {
        connects(&fixture("ffmpeg").replace("setup:passive", &format!("setup:{setup}")), false, UDP, v4(1));
    }
    let lite = fixture("ffmpeg").replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n");
    for ours in [false, true] {
        let world = World::of(&lite, Config { ice_lite: ours, ..Config::default() }, UDP, v4(1));
        assert!(!world.answer.contains("a=ice-lite"), "one of both has to ask");
    }
}

#[test]
fn a_bad_network_is_connected_through_too() {
    for seed in 1..=20 {
        for name in ["chromium_simulcast", "ffmpeg", "webrtcbin"] {
            let mut world = World::new(name, Mode::Packets);
            world.random = seed * 0x9e37_79b9;
            world.link = Link { delay: 20 * MS, jitter: 50 * MS, loss: 100 };
            world.connect_within(10_000);
        }
    }
}

#[test]
fn candidates_come_in_our_order() {
    let offer = sluicegate_rtc::whip::Offer::read(
        &fixture("ffmpeg")
            .replace("{ufrag}", "abcd")
            .replace("{pwd}", "abcdabcdabcdabcdabcdab")
            .replace("{fingerprint}", &"00:".repeat(32)[..95]),
    )
    .unwrap();
    let locals = [
        UDP,
        Local { protocol: Protocol::Udp, address: v6(7885) },
        Local { protocol: Protocol::Tcp, address: v4(7886) },
    ];
    let (_, answer) =
        sluicegate_rtc::whip::Peer::answer(Instant::now(), Config::default(), &locals, &offer).unwrap();
    let ports: Vec<&str> = answer.lines().filter(|line| line.starts_with("a=candidate")).collect();
    assert_eq!(ports.len(), 3, "{answer}");
    assert!(ports[0].contains("10.0.0.1 7885") && ports[1].contains("2001:db8::1 7885"), "{ports:?}");
    assert!(ports[2].contains("10.0.0.1 7886"), "{ports:?}");
}

#[test]
fn another_address_of_the_publishers_is_found_without_a_restart() {
    let mut world = World::connected("chromium_simulcast", Mode::Packets);
    play(&mut world, 0..50);
    world.seen_as = Some(v4(9));
    world.run(6000 * MS);
    let before = world.packets(Track::Video(0)).len();
    play(&mut world, 400..450);
    let after = world.packets(Track::Video(0)).len();
    assert_eq!(after - before, 100);
    world.wanted.clear();
    world.peer.request_keyframe(world.now, 0).unwrap();
    world.run(100 * MS);
    assert_eq!(world.wanted.len(), 1, "what goes back goes there too");
}

#[test]
fn a_gap_that_no_resend_closes_has_a_keyframe_asked_for_at_once() {
    let mut world = World::connected("chromium_simulcast", Mode::Packets);
    play(&mut world, 0..50);
    world.wanted.clear();
    for _ in 0..90 {
        world.skip(VIDEO);
    }
    play(&mut world, 50..60);
    assert!(world.wanted.is_empty(), "what can be resent is");
    for _ in 0..120 {
        world.skip(VIDEO);
    }
    let back = world.now;
    world.send(VIDEO, 80 * 1800, true, &[0x10, 1, 2, 3]);
    world.run(20 * MS);
    assert_eq!(world.wanted.len(), 1);
    assert!(world.wanted[0].0 - back < 20 * MS);
}

#[test]
fn what_a_long_gap_swallowed_is_not_asked_for_and_what_is_lost_later_is() {
    let mut world = World::connected("chromium_simulcast", Mode::Packets);
    play(&mut world, 0..50);
    for _ in 0..5000 {
        world.skip(VIDEO);
    }
    play(&mut world, 50..80);
    assert_eq!(world.missed, [], "resends would hold up what is new");
    let before = world.packets(Track::Video(0)).len();
    world.skip(VIDEO);
    play(&mut world, 80..110);
    assert!(!world.missed.is_empty());
    assert_eq!(world.packets(Track::Video(0)).len() - before, 60);
}

#[test]
fn a_path_that_is_lost_and_comes_back_is_told() {
    let mut world = World::connected("chromium_simulcast", Mode::Packets);
    let lost = world.now;
    world.link.loss = 1000;
    while !world.events.iter().any(|(_, event)| *event == Event::Path(false)) {
        world.step();
        assert!(world.now - lost < 7_000 * MS, "not told within 7 s");
    }
    world.link = GOOD;
    world.run(5000 * MS);
    let paths: Vec<&Event> =
        world.events.iter().map(|(_, event)| event).filter(|event| matches!(event, Event::Path(_))).collect();
    assert_eq!(paths, [&Event::Path(false), &Event::Path(true)]);
}

#[test]
fn strangers_and_garbage_change_nothing() {
    let mut world = World::connected("chromium_simulcast", Mode::Packets);
    play(&mut world, 0..10);
    let mut random = 7_u64;
    for number in 0..20_000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = usize::try_from(random >> 40).unwrap() % 200;
        let mut bytes: Vec<u8> = (0..length).map(|at| (random >> (at % 56)).to_le_bytes()[0]).collect();
        // STUN, DTLS, RTP and RTCP by their first bytes (RFC 7983).
        if let [first, second, ..] = bytes.as_mut_slice() {
            (*first, *second) = [(0, 1), (22, 254), (0x80, 96), (0x80, 200), (20, 254), (21, 254)]
                [usize::try_from(number % 6).unwrap()];
        }
        let from = if number % 2 == 0 { v4(1) } else { v4(6666) };
        world.peer.handle_datagram(world.now, Protocol::Udp, from, v4(7885), &bytes).unwrap();
        world.collect();
    }
    let before = world.packets(Track::Video(0)).len();
    play(&mut world, 10..20);
    assert_eq!(world.packets(Track::Video(0)).len() - before, 20);
}

#[test]
fn what_was_received_is_told_every_two_seconds() {
    let mut world = World::connected("safari", Mode::Packets);
    play(&mut world, 0..50);
    world.skip(VIDEO);
    world.skip(0);
    play(&mut world, 50..400);
    let stats: Vec<_> = world
        .events
        .iter()
        .filter_map(|(at, event)| match event {
            Event::Stats(stats) => Some((*at - world.began, *stats)),
            _ => None,
        })
        .collect();
    let of = |track| stats.iter().filter(|(_, stats)| stats.track == track).collect::<Vec<_>>();
    for (track, each_second) in [(Track::Audio, 50), (Track::Video(0), 100)] {
        let stats = of(track);
        let steps: Vec<Duration> = stats.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(
            steps.iter().all(|step| (1990 * MS..2050 * MS).contains(step)) && !steps.is_empty(),
            "{steps:?}"
        );
        let [.., (_, before), (_, last)] = stats.as_slice() else {
            panic!("{track:?}: {} times", stats.len())
        };
        assert!((last.packets - before.packets).abs_diff(2 * each_second) <= 4, "{before:?}, {last:?}");
        assert_eq!(last.lost, 1, "{last:?}");
        assert_eq!(last.bytes, last.packets * if track == Track::Audio { 3 } else { 4 });
        assert!(last.rtt.is_some_and(|rtt| (10 * MS..15 * MS).contains(&rtt)), "{last:?}");
    }
}

#[test]
fn a_publisher_may_change_its_ssrc_as_often_as_it_likes() {
    let mut world = World::connected("chromium_simulcast", Mode::Packets);
    for number in 0..100 {
        world.begin_again(VIDEO, 50_000 + number);
        for _ in 0..3 {
            world.send(VIDEO, 90 * number, true, &[0x10, 0, 1]);
            world.run(10 * MS);
        }
    }
    let packets = world.packets(Track::Video(0));
    assert_eq!(packets.len(), 300);
    let streams: std::collections::BTreeSet<u32> = packets.iter().map(|(_, packet)| packet.stream).collect();
    assert_eq!(streams.len(), 100, "each is a stream of its own");
    world.run(4000 * MS);
    let last = world.events.iter().rev().find_map(|(_, event)| match event {
        Event::Stats(stats) if stats.track == Track::Video(0) => Some(stats.packets),
        _ => None,
    });
    assert_eq!(last, Some(300));
}

#[test]
fn who_knows_no_transport_wide_feedback_is_told_what_bandwidth_there_is() {
    for name in ["obs30", "obs32_simulcast", "aiortc"] {
        let mut world = World::connected(name, Mode::Packets);
        let feedback = |kind: &str| world.answer.lines().any(|line| line.ends_with(kind));
        assert!(feedback(" goog-remb") && !feedback(" transport-cc"), "{name}: {}", world.answer);
        play(&mut world, 0..150);
        let seconds: Vec<Duration> = world.told.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(world.told.len() >= 2 && seconds.iter().all(|step| (950 * MS..1100 * MS).contains(step)));
        assert!(world.told.iter().all(|(_, bps)| *bps == 1e6), "{name}: {:?}", world.told);
        world.link.loss = 200;
        play(&mut world, 150..300);
        assert!(
            world.told.last().unwrap().1 < 5e5,
            "{name}: little comes, and much is lost: {:?}",
            world.told
        );
        assert_eq!(world.transport_wide, 0, "{name}");
    }
}

#[test]
fn who_knows_it_gets_it_and_no_estimate_of_ours() {
    for (name, expected) in
        [("chromium_simulcast", true), ("safari", true), ("firefox", true), ("ffmpeg", false)]
    {
        let mut world = World::connected(name, Mode::Packets);
        assert_eq!(world.answer.lines().any(|line| line.ends_with(" transport-cc")), expected, "{name}");
        play(&mut world, 0..150);
        assert!(world.told.is_empty(), "{name}: {:?}", world.told);
        assert_eq!(world.transport_wide >= 20, expected, "{name}: {} in 3 s", world.transport_wide);
    }
}
