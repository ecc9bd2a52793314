//! What it costs to judge a publisher's pictures and to make them ready for a room: prints the time for each picture, and
//! the part of a core that is for a stream, and what is said of it as a layer of that size and rate (up to 30 fps).
//! `cost <file.flv> [<width> <height> <kbit/s> [<out.h264>]]`, H.264 in FLV; the pictures go to the second file.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, run by hand")]

use std::{hint::black_box, time::Instant};

use media::{Kind, Layer, Output, Packet, Quality, Unit};
use sluicegate_pass::{Judge, Verdict};

#[allow(dead_code, unused_imports, unused_macros, reason = "shared with the crate's own tests")]
#[path = "../src/testing.rs"]
mod testing;

const ROUNDS: u32 = 20;

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("usage: cost <file.flv> [<width> <height> <kbit/s> [<out.h264>]]");
    let mut number = || args.next().map(|arg| arg.parse::<u32>().expect("a number"));
    let layer = number().zip(number()).zip(number()).map(|((width, height), kbps)| Layer {
        quality: Quality::High,
        width,
        height,
        bitrate_bps: kbps * 1000,
    });
    let units = testing::flv(std::fs::read(path).unwrap().leak());
    let packets: Vec<&Packet> = units.iter().filter_map(packet).collect();
    let bytes: usize = packets.iter().map(|packet| packet.data.len()).sum();
    let (first, last) = (packets.first().unwrap().dts, packets.last().unwrap().dts);
    let seconds = last.duration_since(first).as_secs_f64();

    let mut annex_b = Vec::new();
    let start = Instant::now();
    for round in 0..ROUNDS {
        let mut judge = Judge::new();
        judge.set_layer(layer, 30_000);
        for unit in &units {
            let verdict = black_box(judge.take(unit));
            let Some(packet) = packet(unit) else { continue };
            let frame = judge.frame(packet, Output::Video(Quality::High)).unwrap();
            if round == 0 {
                annex_b.extend_from_slice(&frame.data);
                match verdict {
                    Some(Verdict::Fits) => println!("{}: fits", packet.dts),
                    Some(Verdict::Unfit(why)) => println!("{}: {why}", packet.dts),
                    None => {}
                }
            }
            black_box(frame);
        }
    }
    let each = start.elapsed() / ROUNDS;
    println!(
        "{} pictures, {:.0} kbit/s, {} bytes in Annex B",
        packets.len(),
        bytes as f64 * 8.0 / seconds / 1000.0,
        annex_b.len(),
    );
    println!(
        "{:.2} us for each picture, {:.6} core",
        each.as_secs_f64() * 1e6 / packets.len() as f64,
        each.as_secs_f64() / seconds
    );
    if let Some(out) = args.next() {
        std::fs::write(out, annex_b).unwrap();
    }
}

fn packet(unit: &Unit) -> Option<&Packet> {
    match unit {
        Unit::Packet(packet) if packet.kind == Kind::Video => Some(packet),
        _ => None,
    }
}
