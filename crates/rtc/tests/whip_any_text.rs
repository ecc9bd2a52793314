//! Whatever a stranger writes: it is answered or refused, soon, and nothing panics.
#![allow(clippy::unwrap_used, reason = "tests")]

mod publisher;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use publisher::{fixture, v4};
use sluicegate_rtc::whip::{Config, Local, Mode, Offer, OfferError, Peer};
use str0m::net::Protocol;

const NAMES: [&str; 14] = [
    "obs30",
    "obs32_simulcast",
    "ffmpeg",
    "webrtcbin",
    "chromium_simulcast",
    "chromium_ssrc_group",
    "chromium_h265",
    "chromium_av1",
    "chromium_vp9",
    "firefox",
    "safari",
    "larix",
    "aiortc",
    "many_tracks",
];

const UFRAG: &str = "Zk3t";

fn client(name: &str) -> String {
    let bytes = "A0:".repeat(32);
    let text = fixture(name).replace("{ufrag}", UFRAG).replace("{pwd}", "P2uYro0UCOQ4zxjKXaWCBui1");
    text.replace("{fingerprint}", bytes.trim_end_matches(':'))
}

/// Lines that want something odd.
const ODD: [&str; 34] = [
    "a=mid:",
    "a=mid:0",
    "a=mid:\u{fc}ml\u{e4}ut",
    "a=mid:0000000000000000000000000000000000000000000000000000000000000000000",
    "a=ssrc-group:SIM 2001 2002 2003 2004 2005",
    "a=ssrc-group:SIM 0 0",
    "a=ssrc-group:SIM 2001 2001",
    "a=ssrc-group:FID 2001 2001",
    "a=ssrc:0 cname:x",
    "a=ssrc:4294967295 cname:x",
    "a=simulcast:send a;b;c;d;e;f",
    "a=simulcast:send ~,;;,",
    "a=simulcast:recv x send abcdefghi1;abcdefghi2",
    "a=simulcast:send a;a",
    "a=rid:a send pt=96;max-width=1",
    "a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:255 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "a=extmap:16 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:111 H264/90000",
    "a=rtpmap:127 VP8/90000",
    "a=fmtp:96 profile-level-id=ffffffff;packetization-mode=99",
    "a=fmtp:111 stereo=2;sprop-stereo=1;minptime=99999999999",
    "a=setup:holdconn",
    "a=ice-lite",
    "a=candidate:1 1 udp 1 0.0.0.0 0 typ host",
    "a=candidate:1 1 udp 99999999999 ::1 70000 typ relay raddr x rport y",
    "a=group:BUNDLE",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "m=audio 0 UDP/TLS/RTP/SAVPF 111",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=video 9 RTP/AVP 300 -1 x",
    "m=",
];

#[derive(Debug, Clone)]
enum Change {
    Drop(usize),
    Twice(usize),
    Swap(usize, usize),
    Byte(usize, u8),
    Insert(usize, usize),
    Digit(usize, u8),
    End(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any::<usize>().prop_map(Change::Drop),
        2 => any::<usize>().prop_map(Change::Twice),
        2 => any::<(usize, usize)>().prop_map(|(a, b)| Change::Swap(a, b)),
        4 => (any::<usize>(), 32..127u8).prop_map(|(at, byte)| Change::Byte(at, byte)),
        6 => any::<(usize, usize)>().prop_map(|(at, line)| Change::Insert(at, line)),
        4 => (any::<usize>(), b'0'..=b'9').prop_map(|(at, digit)| Change::Digit(at, digit)),
        1 => any::<usize>().prop_map(Change::End),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
    for change in changes {
        let count = lines.len().max(1);
        if lines.is_empty() {
            return String::new();
        }
        match change {
            Change::Drop(at) => drop(lines.remove(at % count)),
            Change::Twice(at) => lines.insert(at % count, lines[at % count].clone()),
            Change::Swap(a, b) => lines.swap(a % count, b % count),
            Change::Byte(at, byte) => {
                let line = &mut lines[at % count];
                let length = line.len().max(1);
                if let Some(old) = line.get_mut((at / count) % length) {
                    *old = *byte;
                }
            }
            Change::Insert(at, line) => lines.insert(at % count, ODD[line % ODD.len()].as_bytes().to_vec()),
            Change::Digit(at, digit) => {
                let line = &mut lines[at % count];
                let digits: Vec<usize> = (0..line.len()).filter(|at| line[*at].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    line[digits[(at / count) % digits.len()]] = *digit;
                }
            }
            Change::End(at) => lines.truncate(at % count),
        }
    }
    lines.into_iter().map(|line| String::from_utf8_lossy(&line).into_owned() + "\r\n").collect()
}

fn answered(offer: &Offer, mode: Mode) -> Option<(Peer, String)> {
    let local = Local { protocol: Protocol::Udp, address: v4(7885) };
    Peer::answer(Instant::now(), Config { mode, ice_lite: false }, &[local], offer).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_offer_is_answered_or_refused_and_so_is_any_patch(
        name in 0..NAMES.len(),
        changes in prop::collection::vec(change(), 0..12),
        fragments in prop::collection::vec(prop::collection::vec(0..12usize, 0..8), 0..3),
    ) {
        let text = changed(&client(NAMES[name]), &changes);
        let Ok(offer) = Offer::read(&text) else { return Ok(()) };
        prop_assert!(offer.layers() <= 4);
        let Some((mut peer, answer)) = answered(&offer, Mode::Packets) else {
            return Err(TestCaseError::fail(format!("the engine refuses what was read:\n{text}")));
        };
        prop_assert!(answer.starts_with("v=0\r\n") && answer.len() <= 8192, "{} bytes", answer.len());
        let lines = |text: &str| text.lines().filter(|line| line.starts_with("m=")).count();
        prop_assert_eq!(lines(&answer), lines(&text));
        prop_assert!(answer.lines().all(|line| line.as_bytes().get(1) == Some(&b'=')), "{answer}");
        for fragment in fragments {
            let lines = [
                "a=ice-ufrag:Zk3t", "a=ice-ufrag:other", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-pwd:x",
                "m=audio 9 RTP/AVP 0", "a=mid:0", "a=candidate:1 1 udp 1 10.0.0.1 9 typ host",
                "a=candidate:1 2 tcp 1 ::1 9 typ srflx", "a=candidate:x", "a=end-of-candidates", "garbage", "",
            ];
            let text: String = fragment.iter().map(|line| format!("{}\r\n", lines[*line])).collect();
            let _ = peer.patch(Instant::now(), &text);
        }
        while peer.poll_transmit().is_some() {}
    }
}

/// What this thread has had of the CPU: others of the machine do not count (`proc_pid_schedstat` of Linux).
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn what_takes_longest_to_read_does_not_take_long() {
    let head = client("ffmpeg");
    let rtpmaps: String =
        (0..128).map(|pt| format!("a=rtpmap:{pt} XX/90000\r\na=fmtp:{pt} a=b;c=d\r\n")).collect();
    let formats: String = (0..128).map(|pt| format!(" {pt}")).collect();
    let all = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF{}\r\na=mid:x\r\na=sendonly\r\n{rtpmaps}a=ssrc:1 x\r\n",
        formats.repeat(400)
    );
    for (name, text) in [
        ("one long line", format!("{head}a=fmtp:106 {}\r\n", ";".repeat(200_000))),
        ("attributes", format!("{head}{}", "a=x:y\r\n".repeat(30_000))),
        ("formats", head.clone() + &all),
        (
            "candidates",
            format!(
                "{head}{}",
                (0..900)
                    .map(|n| format!("a=candidate:{n} 1 udp 1 10.0.0.1 {n} typ host\r\n"))
                    .collect::<String>()
            ),
        ),
        ("groups", format!("{head}{}", "a=ssrc-group:FID 1 2\r\na=ssrc:2 c\r\n".repeat(450))),
        ("m-lines", format!("{head}{}", "m=audio 9 X 0\r\n".repeat(10_000))),
        ("rids", format!("{head}a=simulcast:send {}\r\n", "a;b,".repeat(60_000))),
        ("too much", "v=0\r\n".repeat(200_000)),
    ] {
        let began = on_cpu();
        let read = Offer::read(&text);
        if let Ok(offer) = &read {
            answered(offer, Mode::Frames);
        }
        let took = on_cpu() - began;
        // Some 5 ms at most.
        assert!(took < Duration::from_millis(250), "{name}: {took:?}");
        if name == "too much" {
            assert!(matches!(read, Err(OfferError::TooLarge(_))));
        }
    }
}

#[test]
fn one_number_for_two_codecs_is_refused_and_one_for_a_codec_and_resends_means_the_codec() {
    let numbered = |old: &str, new: &str| {
        let text = client("ffmpeg").replace(&format!(" {old}"), &format!(" {new}"));
        Offer::read(&text.replace(&format!(":{old}"), &format!(":{new}")))
    };
    assert_eq!(numbered("111", "106"), Err(OfferError::SamePayloadType(106)));
    for (old, new) in [("111", "105"), ("105", "106")] {
        assert_eq!(numbered(old, new).unwrap().video.unwrap().resend, None, "{old}, {new}");
    }
}
