use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{Audio, Effort, Load, Plan, Source, Start, ladder};
use media::Layer;

fn bytes<M: Message>(message: M) -> BytesMut {
    let mut frame = message.frame().unwrap();
    BytesMut::from(&frame.copy_to_bytes(frame.remaining())[..])
}

fn quality() -> impl Strategy<Value = Quality> {
    prop_oneof![Just(Quality::Low), Just(Quality::Medium), Just(Quality::High)]
}

fn payload() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn time() -> impl Strategy<Value = MediaTime> {
    (i64::MIN + 1..i64::MAX).prop_map(MediaTime::from_nanos)
}

fn codec() -> impl Strategy<Value = Codec> {
    (0..Codec::ALL.len()).prop_map(|which| Codec::ALL[which])
}

fn shape() -> impl Strategy<Value = Shape> {
    let turn = (any::<bool>(), 0_u8..4).prop_map(|(mirrored, quarters)| Turn::new(mirrored, quarters));
    let pixel = proptest::option::of((1..u16::MAX, 1..u16::MAX));
    (turn, pixel).prop_map(|(turn, pixel)| Shape { turn, pixel })
}

fn start() -> impl Strategy<Value = Command> {
    let output_from = proptest::option::of((-1_i64 << 50..1 << 50).prop_map(MediaTime::from_90khz));
    (0_usize..10, output_from).prop_map(|(which, output_from)| {
        let video = ladder::preset(ladder::presets().nth(which).unwrap()).unwrap();
        let plan = Plan { video, audio: Audio::STEREO_96K, encoders: vec![] };
        Command::Start(Box::new(Start { plan, output_from }))
    })
}

fn command() -> impl Strategy<Value = Command> {
    let format = (any::<u8>(), codec(), payload(), shape()).prop_map(|(track, codec, config, shape)| {
        Command::Unit(Unit::Format(TrackId(track), Format { codec, config, shape }))
    });
    let kind = prop_oneof![Just(Kind::Audio), Just(Kind::Video)];
    let packet = (any::<u8>(), kind, time(), time(), any::<bool>(), payload());
    let packet = packet.prop_map(|(track, kind, pts, dts, keyframe, data)| {
        Command::Unit(Unit::Packet(Packet { track: TrackId(track), kind, pts, dts, keyframe, data }))
    });
    prop_oneof![
        start(),
        format,
        packet,
        quality().prop_map(Command::Keyframe),
        quality().prop_map(Command::Pause),
        quality().prop_map(Command::Resume),
        (quality(), -1_i64 << 50..1 << 50)
            .prop_map(|(quality, ticks)| Command::ResumeAt(quality, MediaTime::from_nanos(ticks))),
        (any::<u8>(), any::<bool>())
            .prop_map(|(speed, half_rate)| Command::Effort(Effort { speed, half_rate })),
        any::<u8>().prop_map(Command::SoundLoss),
        Just(Command::EndOfStream),
        (-1_i64 << 50..1 << 50).prop_map(|ticks| Command::SkipTo(MediaTime::from_nanos(ticks))),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let layer = (quality(), any::<u32>(), any::<u32>(), any::<u32>())
        .prop_map(|(quality, width, height, bitrate_bps)| Layer { quality, width, height, bitrate_bps });
    let source = (codec(), any::<u32>(), any::<u32>(), any::<u32>());
    let source = source.prop_map(|(codec, width, height, fps_milli)| {
        Event::Source(Source::Video { codec, width, height, fps_milli })
    });
    let sound = (codec(), any::<u32>(), any::<u32>()).prop_map(|(codec, channels, sample_rate)| {
        Event::Source(Source::Audio { codec, channels, sample_rate })
    });
    let output = prop_oneof![Just(Output::Audio), quality().prop_map(Output::Video)];
    let encoded = (output, time(), any::<bool>(), payload())
        .prop_map(|(output, pts, keyframe, data)| Event::Encoded(Encoded { output, pts, keyframe, data }));
    prop_oneof![
        Just(Event::Ready),
        source,
        sound,
        vec(layer, 0..4).prop_map(Event::Layers),
        (1_u8..3).prop_map(|channels| Event::Audio { channels }),
        encoded,
        ".{0,80}".prop_map(Event::Warning),
        ".{0,80}".prop_map(Event::Failed),
        Just(Event::Ended),
        (any::<u32>(), any::<u32>())
            .prop_map(|(behind_ms, dropped)| Event::Load(Load { behind_ms, dropped })),
    ]
}

/// Feeds `stream` in pieces of `step` bytes and collects the messages.
fn read_in_steps<M: Message>(stream: &[u8], step: usize) -> Vec<M> {
    let mut received = BytesMut::new();
    let mut messages = Vec::new();
    for piece in stream.chunks(step) {
        received.extend_from_slice(piece);
        while let Some(message) = next(&mut received).unwrap() {
            messages.push(message);
        }
    }
    assert!(received.is_empty());
    messages
}

proptest! {
    #[test]
    fn commands_come_back_whole_however_they_are_cut(commands in vec(command(), 1..6), step in 1_usize..64) {
        let stream: Vec<u8> = commands.iter().cloned().flat_map(bytes).collect();
        prop_assert_eq!(read_in_steps::<Command>(&stream, step), commands);
    }

    #[test]
    fn events_come_back_whole_however_they_are_cut(events in vec(event(), 1..6), step in 1_usize..64) {
        let stream: Vec<u8> = events.iter().cloned().flat_map(bytes).collect();
        prop_assert_eq!(read_in_steps::<Event>(&stream, step), events);
    }

    #[test]
    fn garbage_is_an_error_or_a_message_never_a_panic(tag in any::<u8>(), body in vec(any::<u8>(), 0..64)) {
        let _ = Command::read(tag, Bytes::from(body.clone()));
        let _ = Event::read(tag, Bytes::from(body));
    }

    #[test]
    fn a_90khz_tick_survives_the_wire(ticks in -1_i64 << 40..1_i64 << 40) {
        let nanos = MediaTime::from_nanos(nanos_up(MediaTime::from_90khz(ticks)));
        prop_assert_eq!(nanos.ticks_at(90_000), ticks);
    }
}

#[test]
fn a_frame_past_the_limit_is_refused_by_both_sides() {
    let mut declared = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
    assert!(matches!(next::<Event>(&mut declared), Err(Error::TooLong { .. })));
    let data = Bytes::from(vec![0; MAX_FRAME]);
    let huge = Encoded { output: Output::Audio, pts: MediaTime::ZERO, keyframe: true, data };
    assert!(matches!(Event::Encoded(huge).frame(), Err(Error::TooLong { .. })));
}

#[test]
fn an_empty_frame_and_trailing_bytes_are_errors() {
    assert!(matches!(next::<Event>(&mut BytesMut::from(&[0, 0, 0, 0][..])), Err(Error::Field { .. })));
    let trailing = Command::read(7, Bytes::from_static(b"x"));
    assert!(matches!(trailing, Err(Error::Field { field: "end", .. })), "{trailing:?}");
}

#[test]
fn a_long_warning_is_cut_at_a_character() {
    let event = next::<Event>(&mut bytes(Event::Warning("é".repeat(MAX_TEXT)))).unwrap().unwrap();
    assert_eq!(event, Event::Warning("é".repeat(MAX_TEXT / 2)));
}
