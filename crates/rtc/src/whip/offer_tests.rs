use super::*;
use proptest::prelude::*;

const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";
const KEYS: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=setup:actpass\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";
const OPUS: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 OPUS/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";
const PICTURES: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 105\r\na=mid:1\r\na=sendonly\r\n\
    a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
    a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r\n\
    a=rtpmap:104 H264/90000\r\na=fmtp:104 packetization-mode=1;profile-level-id=640c1f\r\na=rtpmap:105 rtx/90000\r\na=fmtp:105 apt=104\r\n\
    a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;~h;f,g recv x\r\n";

fn offer(parts: &[&str]) -> Result<Offer, OfferError> {
    Offer::read(&parts.concat())
}

#[test]
fn a_browser_offers_sound_pictures_and_layers() {
    let read = offer(&[HEAD, OPUS, KEYS, PICTURES]).unwrap();
    assert_eq!(read.ufrag, "EsAw");
    assert_eq!(read.audio, Some(Audio { mid: "0".into(), payload_type: 111, channels: 1 }));
    let video = read.video.unwrap();
    assert_eq!((video.codec, video.payload_type, video.resend, video.h264), (Codec::Vp8, 96, Some(97), None));
    assert_eq!(video.rids, ["q", "h", "f"]);
}

#[test]
fn h264_is_taken_as_it_is_offered_in_packets_of_any_size_where_that_is_offered() {
    let pictures = PICTURES.replace("96 97 102", "102 96 97");
    let video = offer(&[HEAD, KEYS, &pictures]).unwrap().video.unwrap();
    assert_eq!((video.codec, video.payload_type, video.resend), (Codec::H264, 104, Some(105)));
    assert_eq!(video.h264, Some((0x64_0c_1f, true)));
    let whole = PICTURES.replace("96 97 102 103 104 105", "102");
    let video = offer(&[HEAD, KEYS, &whole]).unwrap().video.unwrap();
    assert_eq!((video.payload_type, video.resend, video.h264), (102, None, Some((0x42_00_1f, false))));
}

#[test]
fn keys_may_stand_with_the_session_or_with_each_track() {
    let [with_session, with_track] =
        [[HEAD, KEYS, OPUS], [HEAD, OPUS, KEYS]].map(|parts| offer(&parts).unwrap());
    assert_eq!((with_session.ufrag, with_session.audio), (with_track.ufrag, with_track.audio));
}

#[test]
fn a_bundled_track_has_port_0_and_a_refused_one_too() {
    let bundled = PICTURES.replace("m=video 9", "m=video 0") + "a=bundle-only\r\n";
    assert!(offer(&[HEAD, KEYS, OPUS, &bundled]).unwrap().video.is_some());
    let refused = PICTURES.replace("m=video 9", "m=video 0");
    assert!(offer(&[HEAD, KEYS, OPUS, &refused]).unwrap().video.is_none());
}

#[test]
fn stereo_is_what_it_sends() {
    let stereo = OPUS.replace("useinbandfec=1", "sprop-stereo=1;stereo=1");
    assert_eq!(offer(&[HEAD, KEYS, &stereo]).unwrap().audio.unwrap().channels, 2);
}

#[test]
fn what_cannot_be_answered_is_refused_with_the_reason() {
    let without = |name: &str| {
        let keys: String = KEYS.split_inclusive("\r\n").filter(|line| !line.starts_with(name)).collect();
        offer(&[HEAD, &keys, OPUS])
    };
    assert_eq!(without("a=setup"), Err(OfferError::Missing("a=setup")));
    assert_eq!(without("a=ice-ufrag"), Err(OfferError::Missing("a=ice-ufrag")));
    assert_eq!(without("a=fingerprint"), Err(OfferError::Missing("a=fingerprint")));
    assert_eq!(offer(&[HEAD, &KEYS.replace("AA:BB", "AA:B"), OPUS]), Err(OfferError::Fingerprint));
    assert_eq!(offer(&[HEAD, &KEYS.replace("sha-256", "sha-1"), OPUS]), Err(OfferError::Fingerprint));
    assert_eq!(offer(&[HEAD, KEYS, OPUS, OPUS]), Err(OfferError::SameMid("0".into())));
    assert_eq!(offer(&[HEAD, KEYS]), Err(OfferError::NothingToReceive));
    let silent = OPUS.replace("sendonly", "recvonly");
    assert_eq!(offer(&[HEAD, KEYS, &silent]), Err(OfferError::NothingToReceive));
    let many: String = (0..10_000).map(|n| OPUS.replace("mid:0", &format!("mid:{n}"))).collect();
    assert!(matches!(offer(&[HEAD, KEYS, &many]), Err(OfferError::TooLarge(_) | OfferError::TooManyMedia)));
    assert_eq!(offer(&[HEAD, KEYS, &many[..many.len() / 100]]), Err(OfferError::TooManyMedia));
    assert_eq!(offer(&["{}"]), Err(OfferError::Syntax));
    let odd = OPUS.replace("OPUS/48000/2", "G722/8000");
    let error = offer(&[HEAD, KEYS, &odd]).unwrap_err().to_string();
    assert_eq!(error, "no codec in common for audio: offered G722, taken are opus");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(v=0\r\n)?([amos]=[ -~]{0,40}\r\n){0,30}") {
        let _ = Offer::read(&text);
    }

    #[test]
    fn a_broken_offer_is_read_or_refused(at in 0..1200usize, byte in 32..127u8) {
        let mut bytes = [HEAD, OPUS, KEYS, PICTURES].concat().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(read) = Offer::read(&text) {
            prop_assert!(read.video.is_some() || read.audio.is_some());
        }
    }
}

#[test]
fn gstreamers_offers_are_known_by_the_names_of_their_tracks() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/whip");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|end| end == "sdp") {
            let text = std::fs::read_to_string(&file).unwrap().replace("{ufrag}", "ufrag");
            let text = text.replace("{pwd}", "pwdpwdpwdpwdpwdpwdpwdpwd");
            let offer = Offer::read(&text.replace("{fingerprint}", &["AB"; 32].join(":"))).unwrap();
            found.extend(offer.plain.is_of_gstreamer().then(|| file.file_stem().unwrap().to_owned()));
        }
    }
    assert_eq!(found, ["webrtcbin"]);
}
