//! What a URL gives to play: inputs, each a stream of bytes that is read as its reader wants it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Error, flow::Once, places::Places, player::Rendition, spool::Spooled};

/// What a URL was found to be.
#[derive(Debug)]
pub struct Source {
    /// The main one, and with HLS a second one where the sound has a playlist of its own.
    pub inputs: Vec<Input>,
    /// The bytes come at their sender's pace and need not end: a radio, or a playlist that grows. A burst comes first.
    pub live: bool,
    /// Its server says that it is a radio's: only an outage ends it.
    pub radio: bool,
    /// Titles of a radio. Where they are not taken, the newest takes the place of those before it.
    pub titles: Option<mpsc::Receiver<String>>,
}

/// One stream of bytes. Whatever it needs (connections, a temporary file, a task) ends when it is dropped.
pub struct Input {
    pub(super) bytes: Kind,
    pub(super) size: Option<u64>,
    pub(super) media_type: Option<String>,
}

pub(super) enum Kind {
    /// A server with ranges.
    Places(Box<Places>),
    /// A temporary file.
    Spooled(Spooled),
    /// From the front and only once.
    Once(Box<Once>),
    /// Segments of a playlist.
    Rendition(Rendition),
}

/// What a read gives.
#[derive(Clone, PartialEq, Eq)]
pub enum Read {
    /// At least one byte, and no more than were asked for.
    Data(Bytes),
    /// There is nothing at the offset and after it.
    End,
    /// What follows is another stream, or comes after a hole: its first byte is of this time since the beginning. The bytes
    /// are given by the next read.
    Section {
        /// Since the first byte, in media time, as far as the playlist tells.
        at: Duration,
    },
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Self::End => f.write_str("End"),
            Self::Section { at } => write!(f, "Section({at:?})"),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.bytes {
            Kind::Places(_) => "ranges",
            Kind::Spooled(_) => "spooled",
            Kind::Once(_) => "once",
            Kind::Rendition(_) => "rendition",
        };
        let Self { size, media_type, .. } = self;
        write!(f, "Input {{ {kind}, {size:?} bytes, {media_type:?} }}")
    }
}

impl Input {
    /// Bytes in all, where that is known.
    pub fn size(&self) -> Option<u64> {
        match &self.bytes {
            Kind::Spooled(spooled) => self.size.or_else(|| spooled.size()),
            _ => self.size,
        }
    }

    /// Whether any offset may be read. Where not, the bytes are those that follow the ones before, whatever offset is named.
    pub fn seekable(&self) -> bool {
        matches!(self.bytes, Kind::Places(_) | Kind::Spooled(_))
    }

    /// What the server says that it is (`Content-Type` without parameters, in lower case). Servers say many things.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Up to `length` bytes from `offset` on, as soon as there is one of them. May be dropped and called again. After an error
    /// there is the same error again, except where only another offset could be read.
    ///
    /// # Errors
    /// When what is asked for cannot be had, after the attempts that it is worth.
    pub async fn read(&mut self, offset: u64, length: u32) -> Result<Read, Error> {
        let length = (length as usize).max(1);
        let data = match &mut self.bytes {
            Kind::Places(places) => places.read(offset, length).await?,
            Kind::Spooled(spooled) => spooled.read(offset, length).await?,
            Kind::Once(once) => once.read(length).await?,
            Kind::Rendition(rendition) => return rendition.read(length).await,
        };
        Ok(data.map_or(Read::End, Read::Data))
    }
}
