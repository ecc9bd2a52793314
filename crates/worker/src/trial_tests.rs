use super::*;

const PROCESS_DEADLINE: Duration = Duration::from_secs(1);

fn shell(script: &str) -> Outcome {
    watch(Command::new("/bin/sh").args(["-c", script]), PROCESS_DEADLINE)
}

fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trial_that_hangs_is_ended_at_the_deadline() {
    let begin = Instant::now();
    let outcome = shell("trap '' TERM; exec sleep 60");
    assert!(why(&outcome).contains("hangs"), "{outcome:?}");
    assert!(begin.elapsed() < PROCESS_DEADLINE + 3 * LAST_BREATH);
}

#[test]
fn a_trial_that_crashes_says_how_and_takes_nobody_with_it() {
    let outcome = shell("echo driver is upset >&2; kill -SEGV $$");
    assert!(why(&outcome).contains("signal: 11"), "{outcome:?}");
    assert!(why(&outcome).ends_with("driver is upset"), "{outcome:?}");
}

#[test]
fn the_last_word_of_a_trial_is_its_outcome() {
    let works = Outcome::Works { start_ms: 20.0, picture_ms: 1.5 };
    assert_eq!(shell(&format!("echo '{}'", serde_json::to_string(&works).unwrap())), works);
}

#[test]
fn software_encoders_pass_their_trial() {
    gst::init().unwrap();
    for name in ["x264", "openh264", "vp8"] {
        let outcome = one(encoder::recipe(name).unwrap());
        assert!(matches!(outcome, Outcome::Works { .. }), "{name}: {outcome:?}");
    }
}

#[test]
fn an_element_that_is_missing_is_named() {
    gst::init().unwrap();
    let vaapi = encoder::recipe("vaapi_legacy").unwrap();
    if gst::ElementFactory::find(&vaapi.factory).is_none() {
        assert!(why(&one(vaapi)).contains("vaapih264enc is missing"));
    }
}

fn made(keys: &[usize], key: &[u8]) -> Vec<Made> {
    let made = |at| Made { keyframe: keys.contains(&at), data: bytes::Bytes::copy_from_slice(key) };
    (0..PICTURES as usize).map(made).collect()
}

#[test]
fn what_receivers_cannot_use_is_refused() {
    const GOOD: [u8; 8] = [0, 0, 0, 1, 0x67, 66, 0xc0, 30];
    let h264 = |keys: &[usize], key: &[u8]| look(Codec::H264, &made(keys, key));
    assert_eq!(h264(&[0, 15], &GOOD), Ok(()));
    assert_eq!(h264(&[0, 13, 29], &GOOD), Ok(()));
    assert!(h264(&[0], &GOOD).unwrap_err().contains("on request"));
    assert!(h264(&[0, 20], &GOOD).unwrap_err().contains("on request"));
    assert!(h264(&[1, 15], &GOOD).unwrap_err().contains("first picture"));
    assert!(h264(&[0, 15], &[0, 0, 0, 1, 0x67, 77, 0xc0, 30]).unwrap_err().contains("profile 77"));
    assert!(h264(&[0, 15], &[0, 0, 0, 1, 0x67, 66, 0x80, 30]).unwrap_err().contains("constrained"));
    assert!(h264(&[0, 15], &[0, 0, 0, 1, 0x65, 1, 2, 3]).unwrap_err().contains("sequence parameter set"));
    assert_eq!(look(Codec::Vp8, &made(&[0, 15], &[0, 0, 0, 0x9d, 1, 0x2a])), Ok(()));
    assert!(look(Codec::Vp8, &made(&[0, 15], &[0; 6])).is_err());
}
