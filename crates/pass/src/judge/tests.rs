use super::*;
use crate::testing::{clip, parts};
use bytes::Bytes;
use media::{Format, Quality, TrackId};

/// What a judge is shown: a clip's groups of pictures again and again, on a clock of its own.
struct Show {
    judge: Judge,
    record: Bytes,
    clip: Vec<Packet>,
    now: i64,
    step: i64,
    /// Every news, with the time of the picture that it came with.
    said: Vec<(i64, Verdict)>,
}

impl Show {
    fn new(units: Vec<Unit>) -> Self {
        let (record, clip) = parts(units);
        let mut show = Self { judge: Judge::new(), record, clip, now: 0, step: 40, said: Vec::new() };
        show.judge.set_layer(Some(layer(96, 72)), 30_000);
        show.format();
        show
    }

    fn format(&mut self) {
        let format = Format::new(Codec::H264, self.record.clone());
        assert_eq!(self.judge.take(&Unit::Format(TrackId(0), format)), None);
    }

    /// The next encoder, on the same connection.
    fn change(&mut self, units: Vec<Unit>) {
        (self.record, self.clip) = parts(units);
        self.format();
    }

    /// A group of so many pictures: the clip's first, then those behind it.
    fn group(&mut self, pictures: usize) {
        for at in 0..pictures {
            let at = if at == 0 { 0 } else { 1 + (at - 1) % 11 };
            let lead = self.clip[at].pts.since(self.clip[at].dts);
            self.picture(self.clip[at].data.clone(), lead);
        }
    }

    fn picture(&mut self, data: Bytes, lead: MediaTime) {
        let dts = MediaTime::from_millis(self.now);
        let packet =
            Packet { track: TrackId(0), kind: Kind::Video, pts: dts + lead, dts, keyframe: false, data };
        if let Some(verdict) = self.judge.take(&Unit::Packet(packet)) {
            self.said.push((self.now, verdict));
        }
        self.now += self.step;
    }

    fn said(&mut self) -> Vec<(i64, Verdict)> {
        std::mem::take(&mut self.said)
    }
}

fn layer(width: u32, height: u32) -> Layer {
    Layer { quality: Quality::High, width, height, bitrate_bps: 1_000_000 }
}

use Verdict::{Fits, Unfit};

#[test]
fn a_stream_that_promises_its_order_fits_from_the_first_key_picture_on() {
    for clip in [clip!("x264_no_b"), clip!("x264_baseline")] {
        let mut show = Show::new(clip);
        (0..20).for_each(|_| show.group(12));
        assert_eq!(show.said(), [(0, Fits)]);
    }
}

#[test]
fn one_that_does_not_is_watched_for_a_whole_group() {
    let mut show = Show::new(clip!("x264_no_b"));
    // The record of an encoder that allows B pictures, and uses none.
    show.record = parts(clip!("x264_b")).0;
    show.format();
    show.group(12);
    assert_eq!(show.said(), []);
    assert_eq!(show.judge.verdict(), Unfit(Why::Unknown));
    show.group(12);
    assert_eq!(show.said(), [(480, Fits)]);
}

#[test]
fn what_the_container_wants_shown_otherwise_does_not_go_through() {
    let turned = Shape { turn: media::Turn::new(false, 1), pixel: None };
    let wide = Shape { pixel: Some((4, 3)), ..Shape::default() };
    for (shape, why) in [(turned, Why::Turned), (wide, Why::PixelShape)] {
        let mut show = Show::new(clip!("x264_no_b"));
        let format = Format { shape, ..Format::new(Codec::H264, show.record.clone()) };
        show.judge.take(&Unit::Format(TrackId(0), format));
        (0..5).for_each(|_| show.group(12));
        assert_eq!(show.said.iter().map(|(_, verdict)| *verdict).collect::<Vec<_>>(), [Unfit(why)]);
    }
}

#[test]
fn what_is_not_h264_that_browsers_decode_is_named() {
    for (clip, why) in [
        (clip!("x264_444"), Why::Profile { idc: 244 }),
        (clip!("x264_high10"), Why::Profile { idc: 110 }),
        (clip!("x264_interlaced"), Why::Interlaced),
        (clip!("x264_sar_hrd_aud"), Why::PixelShape),
        (clip!("openh264"), Why::Size { width: 160, height: 96 }),
        (clip!("x264_b"), Why::BFrames),
    ] {
        let mut show = Show::new(clip);
        show.group(3);
        assert_eq!(show.said.first().map(|(_, verdict)| *verdict), Some(Unfit(why)));
        (0..5).for_each(|_| show.group(3));
        assert_eq!(show.said.len(), 1, "{:?}", show.said);
    }
    let mut judge = Judge::new();
    let format = Format::new(Codec::Vp8, Bytes::new());
    judge.take(&Unit::Format(TrackId(0), format));
    let packet = parts(clip!("x264_no_b")).1.remove(0);
    assert_eq!(judge.take(&Unit::Packet(packet)), Some(Unfit(Why::Codec(Codec::Vp8))));
}

#[test]
fn b_pictures_end_it_at_once_and_a_clean_group_brings_it_back() {
    let mut show = Show::new(clip!("x264_no_b"));
    show.group(12);
    show.change(clip!("x264_b"));
    show.group(12);
    show.change(clip!("x264_no_b"));
    show.group(12);
    show.group(12);
    let news = [(0, Fits), (480, Unfit(Why::Unknown)), (560, Unfit(Why::BFrames)), (1440, Fits)];
    assert_eq!(show.said(), news);
}

#[test]
fn a_picture_shown_before_an_earlier_one_is_as_bad_as_a_b_picture() {
    let mut show = Show::new(clip!("x264_no_b"));
    show.group(5);
    let data = show.clip[5].data.clone();
    show.picture(data.clone(), MediaTime::from_millis(-40));
    assert_eq!(show.said.len(), 1, "the same time again is not before");
    show.picture(data, MediaTime::from_millis(-81));
    assert_eq!(show.said(), [(0, Fits), (240, Unfit(Why::BFrames))]);
    show.group(12);
    assert_eq!(show.said(), []);
    show.group(12);
    assert_eq!(show.said(), []);
    show.group(12);
    assert_eq!(show.said(), [(280 + 24 * 40, Fits)], "twice as long to be sure");
}

#[test]
fn a_new_size_ends_it_and_the_old_one_brings_it_back() {
    let mut show = Show::new(clip!("x264_no_b"));
    show.group(12);
    show.change(clip!("openh264"));
    show.group(6);
    show.change(clip!("x264_no_b"));
    show.group(12);
    show.group(12);
    assert_eq!(show.said(), [(0, Fits), (480, Unfit(Why::Size { width: 160, height: 96 })), (1200, Fits)]);
    show.judge.set_layer(Some(layer(1280, 720)), 30_000);
    show.group(1);
    assert_eq!(show.said(), [(1680, Unfit(Why::Size { width: 96, height: 72 }))]);
    show.judge.set_layer(None, 30_000);
    show.group(1);
    assert_eq!(show.said(), [(1720, Unfit(Why::Unknown))]);
}

#[test]
fn too_many_pictures_a_second_are_measured() {
    let mut show = Show::new(clip!("x264_no_b"));
    show.group(30);
    show.step = 25;
    (0..10).for_each(|_| show.group(12));
    let said = show.said();
    assert!(matches!(said[..], [(0, Fits), (_, Unfit(Why::FrameRate { .. }))]), "{said:?}");
    show.step = 33;
    (0..20).for_each(|_| show.group(12));
    assert!(matches!(show.said()[..], [(_, Fits)]), "30 of 30");
}

#[test]
fn too_many_bits_are_measured_over_whole_groups_with_a_margin_to_get_back() {
    let mut show = Show::new(clip!("x264_no_b"));
    let (_, packets) = parts(clip!("x264_no_b"));
    let mut stream = Stream::read(&show.record).unwrap();
    let group: usize = packets[..12].iter().map(|packet| stream.look(&packet.data).unwrap().bytes).sum();
    let bps = group as u64 * 8 * 1000 / 480;
    let of =
        |percent: u64| Layer { bitrate_bps: u32::try_from(bps * 100 / percent).unwrap(), ..layer(96, 72) };
    show.judge.set_layer(Some(of(149)), 30_000);
    (0..10).for_each(|_| show.group(12));
    assert_eq!(show.said(), [(0, Fits)]);
    show.judge.set_layer(Some(of(152)), 30_000);
    (0..10).for_each(|_| show.group(12));
    assert_eq!(show.said(), [(4800, Unfit(Why::Bitrate { bps }))]);
    show.judge.set_layer(Some(of(140)), 30_000);
    (0..10).for_each(|_| show.group(12));
    assert_eq!(show.said(), [], "not yet");
    show.judge.set_layer(Some(of(134)), 30_000);
    (0..10).for_each(|_| show.group(12));
    assert_eq!(show.said(), [(14_400, Fits)]);
}

#[test]
fn key_pictures_too_far_apart_end_it_while_one_is_awaited() {
    let mut show = Show::new(clip!("x264_no_b"));
    // 40 ms each: 262 take 10.48 s.
    show.group(262);
    show.group(265);
    let mut start = 262 * 40;
    assert_eq!(show.said(), [(0, Fits), (start + 263 * 40, Unfit(Why::KeyframeInterval))], "over 10.5 s");
    show.group(12);
    assert_eq!(show.said(), []);
    show.group(263);
    start += (265 + 12) * 40;
    assert_eq!(show.said(), [(start, Fits)]);
    show.group(12);
    start += 263 * 40;
    assert_eq!(show.said(), [(start, Unfit(Why::KeyframeInterval))], "the key picture itself is too late");
    show.group(1);
    assert_eq!(show.said(), [(start + 12 * 40, Fits)]);
}

#[test]
fn what_cannot_be_read_ends_it_until_a_clean_group_is_over() {
    let mut show = Show::new(clip!("x264_no_b"));
    show.group(3);
    show.picture(Bytes::from_static(&[0, 0, 0, 9, 0x41]), MediaTime::ZERO);
    show.group(12);
    show.group(12);
    let error = Error::Length { at: 0, length: 9, left: 1 };
    assert_eq!(show.said(), [(0, Fits), (120, Unfit(Why::Broken(error))), (160 + 480, Fits)]);
    show.record = Bytes::from_static(&[9]);
    show.format();
    show.group(1);
    let said = show.said();
    assert!(
        matches!(said[..], [(1120, Unfit(why))] if why.to_string().starts_with("cannot be read: AVCDecoder")),
        "{said:?}"
    );
}

#[test]
fn before_a_key_picture_nothing_is_known() {
    let mut show = Show::new(clip!("x264_no_b"));
    let data = show.clip[1].data.clone();
    show.picture(data.clone(), MediaTime::ZERO);
    assert_eq!(show.judge.verdict(), Unfit(Why::Unknown));
    show.group(2);
    show.format();
    show.picture(data, MediaTime::ZERO);
    assert_eq!(show.said(), [(40, Fits), (120, Unfit(Why::Unknown))], "another format, no key picture yet");
}

#[test]
fn a_second_pair_of_parameter_sets_is_more_than_the_packetizer_sends() {
    let mut show = Show::new(clip!("x264_no_b"));
    show.group(2);
    // Picture parameter set 15, with a picture that is no key picture.
    let data = [&[0, 0, 0, 3, 0x68, 0b0000_1000, 0b0100_1000][..], &show.clip[2].data].concat();
    show.picture(data.into(), MediaTime::ZERO);
    assert_eq!(show.said(), [(0, Fits), (80, Unfit(Why::ParameterSets))]);
}

#[test]
fn a_picture_is_made_ready_for_the_room() {
    let mut show = Show::new(clip!("x264_no_b"));
    show.group(1);
    let output = Output::Video(Quality::High);
    let key = show.judge.frame(&show.clip[0], output).unwrap();
    assert_eq!((key.output, key.pts, key.keyframe), (output, show.clip[0].pts, true));
    assert!(key.data.starts_with(&[0, 0, 0, 1, 0x67]));
    assert!(!show.judge.frame(&show.clip[1], output).unwrap().keyframe);
    let broken = Packet { data: Bytes::from_static(&[0, 0, 0, 9]), ..show.clip[1].clone() };
    assert_eq!(show.judge.frame(&broken, output), None);
}
