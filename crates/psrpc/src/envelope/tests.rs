use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn request() -> Request {
    Request {
        request_id: "REQ_1".into(),
        metadata: [("traceparent".into(), "00-1-1-01".into()), ("a".into(), "b".into())].into(),
        raw_request: Bytes::from_static(b"\x0a\x01x"),
        ..Request::default()
    }
}

/// What psrpc 0.8 sends with compression on, `field` being the number that no capture shows.
fn compressed(value: &[u8], field: u32, mark: u64) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(value).unwrap();
    let msg = Msg { type_url: REQUEST.into(), value: gzip.finish().unwrap().into() };
    let mut payload = msg.encode_to_vec();
    prost::encoding::uint64::encode(field, &mark, &mut payload);
    payload
}

#[test]
fn metadata_survives_the_round_trip() {
    let envelope = Envelope::Request(request());
    assert_eq!(Envelope::decode(&envelope.encode()).unwrap(), envelope);
}

#[test]
fn gzip_is_read_wherever_its_mark_is() {
    for field in [4, 5, 100] {
        let payload = compressed(&request().encode_to_vec(), field, 1);
        assert_eq!(Envelope::decode(&payload).unwrap(), Envelope::Request(request()), "field {field}");
    }
}

#[test]
fn gzip_without_its_mark_is_not_unfolded() {
    let error = Envelope::decode(&compressed(&request().encode_to_vec(), 4, 0)).unwrap_err();
    assert!(matches!(error, DecodeError::Message { .. }), "{error}");
}

#[test]
fn gzip_bomb_is_refused() {
    let payload = compressed(&vec![0; MAX_PAYLOAD + 1], 4, 1);
    assert!(payload.len() < MAX_PAYLOAD / 100, "{} bytes", payload.len());
    let error = Envelope::decode(&payload).unwrap_err();
    assert!(matches!(error, DecodeError::Gzip { .. }), "{error}");
}

#[test]
fn broken_gzip_is_refused() {
    let mut payload = Msg { type_url: REQUEST.into(), value: vec![0x1f, 0x8b, 8, 0].into() }.encode_to_vec();
    prost::encoding::uint64::encode(4, &1, &mut payload);
    assert!(matches!(Envelope::decode(&payload).unwrap_err(), DecodeError::Gzip { .. }));
}

#[test]
fn unknown_fields_and_a_filled_channel_are_skipped() {
    let mut payload = Envelope::Request(request()).encode().to_vec();
    prost::encoding::string::encode(3, &"Get.REQ".to_owned(), &mut payload);
    prost::encoding::string::encode(77, &"later".to_owned(), &mut payload);
    assert_eq!(Envelope::decode(&payload).unwrap(), Envelope::Request(request()));
}

#[test]
fn other_types_and_long_payloads_are_refused() {
    let stream = Msg { type_url: "type.googleapis.com/internal.Stream".into(), value: Bytes::new() };
    assert!(matches!(Envelope::decode(&stream.encode_to_vec()), Err(DecodeError::Type { .. })));
    assert!(matches!(Envelope::decode(&vec![0; MAX_PAYLOAD + 1]), Err(DecodeError::TooLong { .. })));
    assert!(matches!(Envelope::decode(b"\xff\xff"), Err(DecodeError::Envelope(_))));
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(&bytes);
        let inner = Msg { type_url: REQUEST.into(), value: bytes.into() }.encode_to_vec();
        if let Ok(envelope) = Envelope::decode(&inner) {
            prop_assert_eq!(Envelope::decode(&envelope.encode()).unwrap(), envelope);
        }
    }
}
