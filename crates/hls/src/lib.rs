//! An HLS client, sans-IO: playlists in, fetches and whole segments out.
//!
//! Source: RFC 8216 and its successor draft-pantos-hls-rfc8216bis where players follow it (`EXT-X-GAP`). Why a client of our own: docs/adr/0017-hls.md.
//!
//! [`Client`] is one stream. Whoever owns it gives it [`Input`]s and does what the [`Output`]s say: every byte that it wants
//! is an [`Output::Fetch`], so that who does the fetching decides which addresses may be reached. Nothing here reads a clock, opens a socket or a file.
//!
//! ```
//! # use sluicegate_hls as hls;
//! # use std::time::Instant;
//! let now = Instant::now();
//! let url = "https://origin.example/live/index.m3u8".parse().unwrap();
//! let mut client = hls::Client::new(url, hls::Wish { most_lines: 720, ..hls::Wish::default() });
//! let outputs = client.handle(now, hls::Input::Tick);
//! assert!(matches!(&outputs[0], hls::Output::Fetch(fetch) if fetch.what == hls::What::Playlist));
//! ```
#![forbid(unsafe_code)]

mod address;
mod choose;
mod client;
mod crypt;
mod desk;
mod error;
mod event;
pub mod limits;
mod playlist;
mod remember;
mod track;

pub use choose::{KNOWN_CODECS, Wish};
pub use client::Client;
pub use error::{Failure, Reason, Shown};
pub use event::{ByteRange, Chosen, Data, Fetch, FetchId, Fetched, Input, Output, Rendition, Skip, What};
pub use playlist::Error as PlaylistError;
