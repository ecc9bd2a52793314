//! Opus that is encoded again, and what losses on the way to the receiver change.

use media::{Codec, Unit};
use pipeline::{Audio, Command, Source};

mod support;
use support::{
    generate::{self, AUDIO},
    look,
    rig::{Rig, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;

#[tokio::test]
async fn opus_of_either_channel_count_is_decoded_and_encoded_again() {
    for (theirs, ours) in [(2, 2), (1, 2), (2, 1)] {
        let (format, packets) = generate::opus(100, theirs);
        let mut plan = plan(DEFAULT);
        plan.audio = Audio::custom(ours, 0, true);
        let mut rig = Rig::in_process(start(plan));
        rig.format(AUDIO, format).await;
        for packet in packets {
            rig.send(Command::Unit(Unit::Packet(packet))).await;
        }
        rig.finish().await;
        let expected = Source::Audio { codec: Codec::Opus, channels: theirs.into(), sample_rate: 48_000 };
        assert_eq!((&rig.sources[..], &rig.warnings[..]), (&[expected][..], &[][..]));
        let sound = look::sound(&rig.encoded);
        assert!((98..=102).contains(&sound.len()), "{} packets", sound.len());
        // The encoder looks 6.5 ms ahead.
        assert!((-7..=0).contains(&sound[0].pts.millis()), "{}", sound[0].pts);
        for pair in sound.windows(2) {
            assert_eq!(pair[1].pts.since(pair[0].pts).nanos(), 20_000_000);
        }
    }
}

/// Whether a packet of one mono frame of 20 ms carries the one before it once more: the flag of "low bitrate redundancy"
/// behind the one of voice activity, both at even odds, so that they are the first bits of the range coder's data
/// (RFC 6716 §4.2.4, as libwebrtc looks at it). CELT alone has none.
fn has_redundancy(packet: &[u8]) -> bool {
    packet[0] & 0x80 == 0 && packet[0] & 3 == 0 && packet[1] & 0x40 != 0
}

#[tokio::test]
async fn sound_repeats_itself_while_the_receiver_reports_losses() {
    let (format, packets) = generate::aac(300, 0, false);
    let mut plan = plan(DEFAULT);
    plan.audio = Audio::custom(1, 64_000, false);
    let mut rig = Rig::in_process(start(plan));
    rig.format(AUDIO, format).await;
    for (part, loss) in packets.chunks(100).zip([0, 20, 0]) {
        let before = look::sound(&rig.encoded).len();
        rig.send(Command::SoundLoss(loss)).await;
        for packet in part {
            rig.send(Command::Unit(Unit::Packet(packet.clone()))).await;
        }
        // 100 frames of 1024 samples are 106 packets; a few are still in the decoder and the encoder.
        rig.until(|rig| look::sound(&rig.encoded).len() >= before + 95).await;
    }
    rig.finish().await;
    let sound = look::sound(&rig.encoded);
    let count = |packets: &[media::Encoded]| packets.iter().filter(|p| has_redundancy(&p.data)).count();
    assert_eq!(count(&sound[..95]), 0, "no loss, no redundancy");
    assert!(count(&sound[115..195]) > 70, "{} of 80 packets", count(&sound[115..195]));
    assert!(count(&sound[225..]) < 5, "{} packets after the losses", count(&sound[225..]));
}
