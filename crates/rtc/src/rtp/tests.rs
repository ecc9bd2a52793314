use super::*;

fn track(codec: Codec, rate: u32) -> Track {
    let aac = (codec == Codec::Aac).then(|| Aac::new(13, 3, 3, rate).unwrap());
    Track { codec, payload_type: 96, rate, aac }
}

fn rtp(sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 96 | u8::from(marker) << 7];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(0xabcd_u32.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// SPS and PPS, an IDR slice in two parts, and pictures that refer to it; 40 ms apart, the first at number 65534.
fn video() -> Vec<Vec<u8>> {
    let n = |step: u16| 65_534_u16.wrapping_add(step);
    vec![
        rtp(n(0), 0, false, &[24, 0, 2, 0x67, 1, 0, 2, 0x68, 2]),
        rtp(n(1), 0, false, &[0x7c, 0x85, 7]),
        rtp(n(2), 0, true, &[0x7c, 0x45, 8]),
        rtp(n(3), 3600, true, &[0x41, 3]),
        rtp(n(4), 7200, true, &[0x41, 4]),
    ]
}

fn all(receiver: &mut Receiver, now: Instant) -> Vec<(i64, bool, Vec<u8>)> {
    let polled = std::iter::from_fn(|| receiver.poll(now)).flat_map(|(_, packets)| packets);
    polled.map(|packet| (packet.pts.millis(), packet.keyframe, packet.data.to_vec())).collect()
}

#[test]
fn pictures_come_whole_and_in_order_over_a_wrap() {
    let start = [&[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2][..], &[0, 0, 0, 1, 0x65, 7, 8]].concat();
    let expected =
        [(0, true, start), (40, false, vec![0, 0, 0, 1, 0x41, 3]), (80, false, vec![0, 0, 0, 1, 0x41, 4])];
    for order in [[0, 1, 2, 3, 4], [0, 2, 1, 4, 3]] {
        let now = Instant::now();
        let mut receiver = Receiver::new(now, [track(Codec::H264, 90_000)]);
        let mut seen = Vec::new();
        let later = now + Duration::from_millis(100);
        for (step, index) in order.into_iter().enumerate() {
            assert!(receiver.rtp(if step == 0 { now } else { later }, 0, &video()[index]));
            seen.extend(all(&mut receiver, later));
        }
        assert_eq!(seen, expected, "{order:?}");
        assert_eq!(receiver.counts(0), Counts { packets: 5, lost: 0 });
    }
}

#[test]
fn after_a_loss_nothing_comes_before_the_next_key_picture() {
    let now = Instant::now();
    let mut receiver = Receiver::new(now, [track(Codec::H264, 90_000)]);
    let packets = video();
    for index in [0, 1, 2, 4] {
        receiver.rtp(now, 0, &packets[index]);
    }
    assert_eq!(all(&mut receiver, now).len(), 1, "the key picture; what is missing may still come");
    let patience = receiver.deadline().unwrap();
    assert_eq!(all(&mut receiver, patience), []);
    assert_eq!(receiver.counts(0), Counts { packets: 4, lost: 1 });
    // Numbers 65534 + 5 and + 6.
    receiver.rtp(patience, 0, &rtp(3, 10_800, true, &[0x41, 5]));
    assert_eq!(all(&mut receiver, patience), []);
    receiver.rtp(patience, 0, &rtp(4, 14_400, false, &[0x67, 1]));
    receiver.rtp(patience, 0, &rtp(5, 14_400, true, &[0x65, 6]));
    let seen = all(&mut receiver, patience);
    assert!(matches!(&seen[..], [(_, true, data)] if data.ends_with(&[0x65, 6])), "{seen:?}");
}

#[test]
fn another_payload_type_and_what_is_no_rtp_are_left_out() {
    let now = Instant::now();
    let mut receiver = Receiver::new(now, [track(Codec::Pcmu, 8000)]);
    let mut other = rtp(1, 0, false, &[1]);
    other[1] = 97;
    assert!(!receiver.rtp(now, 0, &other));
    assert!(!receiver.rtp(now, 0, b"GET / HTTP/1.1"));
    assert!(!receiver.rtp(now, 1, &rtp(1, 0, false, &[1])), "no such track");
    assert!(receiver.rtp(now, 0, &rtp(1, 0, false, &[1])));
}

#[test]
fn extensions_and_padding_are_not_payload() {
    let mut bytes = rtp(1, 0, false, &[]);
    bytes[0] = 0xb1;
    bytes.extend([0; 4]);
    bytes.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
    bytes.extend([7, 8, 0, 2]);
    let (header, payload) = Header::read(&bytes).unwrap();
    assert_eq!((header.sequence, payload), (1, &[7, 8][..]));
    for cut in 0..bytes.len() - 4 {
        assert_eq!(Header::read(&bytes[..cut]).map(|(_, payload)| payload), None, "{cut}");
    }
}

/// Frames behind headers of 16 bits.
fn aac_payload(frames: &[&[u8]]) -> Vec<u8> {
    let bits = u16::try_from(frames.len() * 16).unwrap();
    let mut bytes = bits.to_be_bytes().to_vec();
    for frame in frames {
        bytes.extend((u16::try_from(frame.len()).unwrap() << 3).to_be_bytes());
    }
    frames.iter().for_each(|frame| bytes.extend(*frame));
    bytes
}

#[test]
fn sound_of_several_frames_in_a_packet_and_of_one_in_several() {
    let now = Instant::now();
    let mut receiver = Receiver::new(now, [track(Codec::Aac, 48_000)]);
    receiver.rtp(now, 0, &rtp(1, 0, true, &aac_payload(&[b"one", b"two"])));
    assert_eq!(all(&mut receiver, now), [(0, true, b"one".to_vec()), (21, true, b"two".to_vec())]);
    let later = now + Duration::from_secs(1);
    let whole = aac_payload(&[b"halves"]);
    receiver.rtp(later, 0, &rtp(2, 2048, false, &whole[..7]));
    assert_eq!(all(&mut receiver, later), []);
    let rest = [&whole[..4], &whole[7..]].concat();
    receiver.rtp(later, 0, &rtp(3, 2048, true, &rest));
    assert_eq!(all(&mut receiver, later), [(42, true, b"halves".to_vec())]);
}

/// A sender report of this RTP time, at a second of the sender's clock.
fn report(kind: u8, timestamp: u32, second: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, kind, 0, 6];
    for word in [0xabcd, second, 0, timestamp, 10, 1000] {
        bytes.extend(u32::to_be_bytes(word));
    }
    bytes
}

#[test]
fn reports_bring_sound_to_its_pictures() {
    let now = Instant::now();
    let mut receiver = Receiver::new(now, [track(Codec::H264, 90_000), track(Codec::Pcma, 8000)]);
    let mut last = [0; 2];
    // What was captured together comes 60 ms apart.
    for step in 0..300_u32 {
        let captured = now + Duration::from_millis(20) * step;
        if step % 50 == 0 {
            receiver.rtcp(0, &report(200, step * 1800, step / 50 + 100));
            receiver.rtcp(1, &report(200, step * 160, step / 50 + 100));
        }
        let sequence = u16::try_from(step).unwrap();
        receiver.rtp(
            captured,
            0,
            &rtp(sequence, step * 1800, true, &[if step == 1 { 0x65 } else { 0x41 }, 1]),
        );
        receiver.rtp(captured + Duration::from_millis(60), 1, &rtp(sequence, step * 160, true, &[1]));
        while let Some((track, packets)) = receiver.poll(captured + Duration::from_millis(60)) {
            last[track] = packets[0].pts.millis();
        }
    }
    assert!((last[0] - last[1]).abs() <= 5, "{last:?}");
}

#[test]
fn the_end_is_a_goodbye_on_each_track() {
    let now = Instant::now();
    let mut receiver = Receiver::new(now, [track(Codec::H264, 90_000), track(Codec::Pcma, 8000)]);
    receiver.rtp(now, 0, &rtp(1, 0, true, &[0x41]));
    let mut other = report(203, 0, 0);
    other[7] = 1;
    receiver.rtcp(0, &other);
    receiver.rtcp(1, &report(203, 0, 0));
    assert!(!receiver.is_over(), "another source's goodbye");
    receiver.rtcp(0, &[receiver_report(0xabcd), report(203, 0, 0)].concat());
    assert!(receiver.is_over());
}

#[test]
fn a_receiver_report_is_a_whole_compound_packet() {
    let bytes = receiver_report(7);
    let (first, second) = bytes.split_at(8);
    assert_eq!(first, [0x80, 201, 0, 1, 0, 0, 0, 7]);
    let words = usize::from(u16::from_be_bytes([second[2], second[3]]));
    assert_eq!((second[0], second[1], second.len()), (0x81, 202, 4 + 4 * words));
    assert_eq!(second.last(), Some(&0));
}

#[test]
fn decoding_times_never_go_back_and_are_not_after_their_pictures() {
    let mut decoding = Decoding::default();
    let picture = |ms: i64| Packet {
        track: media::TrackId(0),
        kind: Kind::Video,
        pts: MediaTime::from_millis(ms),
        dts: MediaTime::from_millis(ms),
        keyframe: false,
        data: Bytes::new(),
    };
    let group = [0, 120, 40, 80];
    let mut last = i64::MIN;
    for n in 0..20 {
        for ms in group {
            let packet = decoding.order(picture(ms + 120 * n));
            assert_eq!(packet.pts.millis(), ms + 120 * n);
            assert!(packet.dts.millis() >= last, "back");
            last = packet.dts.millis();
            assert!(n == 0 || packet.dts <= packet.pts, "{packet:?}");
        }
    }
    let jumped = decoding.order(picture(-100_000));
    assert!(jumped.dts <= jumped.pts, "{jumped:?}");
}

proptest::proptest! {
    #[test]
    fn no_packet_panics(
        packets: Vec<(bool, u16, u32, Vec<u8>)>,
        raw: Vec<Vec<u8>>,
        codec in proptest::sample::select(vec![Codec::H264, Codec::H265, Codec::Aac, Codec::Opus]),
    ) {
        let now = Instant::now();
        let mut receiver = Receiver::new(now, [track(codec, 48_000)]);
        for (marker, sequence, timestamp, payload) in packets {
            receiver.rtp(now, 0, &rtp(sequence, timestamp, marker, &payload));
            let _ = all(&mut receiver, now + Duration::from_secs(1));
        }
        for raw in raw {
            receiver.rtp(now, 0, &raw);
            receiver.rtcp(0, &raw);
            let _ = receiver.counts(0);
        }
    }
}
