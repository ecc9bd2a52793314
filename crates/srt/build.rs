//! Finds libsrt: by pkg-config where its development package is, else by the name that Debian's and Ubuntu's runtime package
//! gives the library. The binding is written by hand and needs no header.

/// The flavour that Debian's FFmpeg and GStreamer use, so that nothing is installed for us alone.
const RUNTIME: &str = "libsrt-gnutls.so.1.5";

fn main() {
    let found = pkg_config::Config::new().atleast_version("1.5").cargo_metadata(true).probe("srt");
    if found.is_err() {
        println!("cargo::rustc-link-lib=dylib:+verbatim={RUNTIME}");
    }
}
