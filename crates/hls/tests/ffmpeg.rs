//! What ffmpeg writes as HLS comes out byte by byte, and every picture of it.
#![allow(clippy::unwrap_used)]

mod sim;

use std::{fs, path::Path, process::Command, time::Duration};

use bytes::Bytes;
use hls::{ByteRange, Failure, Fetch, Rendition, Wish};
use sim::{Answer, Origin, Pace, Seen};
use sluicegate_hls as hls;

const PICTURES: usize = 150;

fn ffmpeg(dir: &Path, args: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args.split(' '))
        .current_dir(dir)
        .output();
    let output = output.expect("ffmpeg is installed: the end-to-end tests need it, too");
    assert!(output.status.success(), "ffmpeg {args}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Six seconds of 25 pictures, encoded once.
fn source(dir: &Path) {
    ffmpeg(
        dir,
        "-f lavfi -i testsrc2=s=320x180:r=25:d=6 -f lavfi -i sine=d=6 -c:v libx264 -preset ultrafast -g 25 -c:a aac -shortest src.mp4",
    );
}

/// The hash of each decoded picture.
fn pictures(dir: &Path, file: &str) -> Vec<String> {
    let lines = ffmpeg(dir, &format!("-i {file} -map 0:v -f framemd5 -"));
    let lines = String::from_utf8(lines).unwrap();
    let hashes = lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(',').next().unwrap().to_owned());
    hashes.collect()
}

/// A folder as an origin.
struct Folder<'a>(&'a Path);

impl Origin for Folder<'_> {
    fn get(&mut self, _: Duration, fetch: &Fetch) -> Answer {
        let body = fs::read(self.0.join(&fetch.url.path()[1..])).map_err(|_| Failure::Status(404))?;
        let body = Bytes::from(body);
        let Some(ByteRange { offset, length }) = fetch.range else { return Ok(body) };
        Ok(body.slice(offset as usize..(offset + length) as usize))
    }
}

fn play(dir: &Path, list: &str) -> Seen {
    let url = format!("https://origin.example/{list}");
    let seen = sim::run(
        &url,
        Wish::default(),
        &mut Folder(dir),
        Pace::AtOnce,
        Duration::ZERO,
        Duration::from_secs(60),
    );
    assert_eq!((&seen.failed, seen.skipped.len(), seen.ended.is_some()), (&None, 0, true));
    seen
}

/// A rendition as one stream of bytes.
fn joined(seen: &Seen, rendition: Rendition) -> Vec<u8> {
    let data = seen.data.iter().map(|(_, data)| data).filter(|data| data.rendition == rendition);
    data.flat_map(|data| [data.init.clone().unwrap_or_default(), data.bytes.clone()]).flatten().collect()
}

fn files(dir: &Path, names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| fs::read(dir.join(name)).unwrap()).collect()
}

/// What comes out is what these files have, and all pictures are in it.
fn check(dir: &Path, args: &str, expected: &[&str]) {
    ffmpeg(dir, &format!("-i src.mp4 -c copy -f hls -hls_time 2 -hls_playlist_type vod {args} list.m3u8"));
    let got = joined(&play(dir, "list.m3u8"), Rendition::Main);
    assert_eq!(got.len(), files(dir, expected).len(), "{args}");
    assert!(got == files(dir, expected), "{args}");
    fs::write(dir.join("got"), got).unwrap();
    let seen = pictures(dir, "got");
    assert_eq!(seen.len(), PICTURES, "{args}");
    assert!(seen == pictures(dir, "src.mp4"), "{args}");
}

#[test]
fn every_way_in_which_ffmpeg_writes_hls_comes_out_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    source(dir);
    let clear = ["c0.ts", "c1.ts", "c2.ts"];
    check(dir, "-hls_segment_filename c%d.ts", &clear);
    check(
        dir,
        "-hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4 -hls_segment_filename f%d.m4s",
        &["init.mp4", "f0.m4s", "f1.m4s", "f2.m4s"],
    );
    // Byte ranges: one file for all.
    check(dir, "-hls_flags single_file -hls_segment_filename one.ts", &["one.ts"]);
    check(dir, "-hls_segment_type fmp4 -hls_flags single_file -hls_segment_filename one.mp4", &["one.mp4"]);
    // AES-128: in the end the same bytes as without, the IV by number and said.
    fs::write(dir.join("k.key"), 0x00112233445566778899aabbccddeeff_u128.to_be_bytes()).unwrap();
    for info in ["k.key\nk.key\n", "k.key\nk.key\n0123456789abcdef0123456789abcdef\n"] {
        fs::write(dir.join("info"), info).unwrap();
        check(dir, "-hls_key_info_file info -start_number 3 -hls_segment_filename e%d.ts", &clear);
        let text = fs::read_to_string(dir.join("list.m3u8")).unwrap();
        assert!(text.contains("METHOD=AES-128"), "{text}");
        assert!(files(dir, &["e3.ts"]) != files(dir, &["c0.ts"]));
    }
}

#[test]
fn pictures_and_sound_of_a_master_playlist_come_out_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    source(dir);
    let command = Command::new("ffmpeg")
        .args("-v error -nostdin -i src.mp4 -c copy -map 0:v -map 0:a -f hls -hls_time 2 -hls_playlist_type vod".split(' '))
        .args(["-master_pl_name", "index.m3u8", "-hls_segment_filename", "%v_%d.ts"])
        .args(["-var_stream_map", "v:0,agroup:a a:0,agroup:a,default:yes", "%v.m3u8"])
        .current_dir(dir)
        .output()
        .expect("ffmpeg is installed: the end-to-end tests need it, too");
    assert!(command.status.success(), "{}", String::from_utf8_lossy(&command.stderr));
    let seen = play(dir, "index.m3u8");
    assert_eq!((seen.chosen[0].size, seen.chosen[0].audio.is_some()), (Some((320, 180)), true));
    let (main, audio) = (joined(&seen, Rendition::Main), joined(&seen, Rendition::Audio));
    assert!(main == files(dir, &["0_0.ts", "0_1.ts", "0_2.ts"]));
    assert!(audio.len() > 20_000);
    fs::write(dir.join("main.ts"), main).unwrap();
    assert!(pictures(dir, "main.ts") == pictures(dir, "src.mp4"));
    let lists = fs::read_to_string(dir.join("1.m3u8")).unwrap();
    let names: Vec<_> = lists.lines().filter(|line| line.ends_with(".ts")).collect();
    assert!(audio == files(dir, &names));
}
