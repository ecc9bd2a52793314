//! The element in front of a chain: bytes of a [`Feed`], in push mode, seekable when the input is.
//!
//! Push only: to pull, demuxers ask for hundreds of pieces where one after the other will do.

use std::sync::{Arc, Mutex, PoisonError};

use gst::glib;
use gst_base::{prelude::*, subclass::base_src::CreateSuccess, subclass::prelude::*};
use gstreamer as gst;
use gstreamer_base as gst_base;

use super::feed::{Feed, Got};

/// Bytes asked for at a time.
const PIECE: u32 = 64 * 1024;

/// The same in the first piece's worth: `avidemux` makes one step through its headers with each buffer, and a whole clip may
/// fit into a piece.
const FIRST_PIECES: u32 = 4 * 1024;

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    #[allow(unreachable_pub, reason = "as for what wraps it")]
    pub struct Source {
        pub(super) feed: Mutex<Option<Arc<Feed>>>,
    }

    impl Source {
        fn feed(&self) -> Option<Arc<Feed>> {
            self.feed.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Source {
        const NAME: &'static str = "SluicegateSource";
        type Type = super::Source;
        type ParentType = gst_base::BaseSrc;
    }

    impl ObjectImpl for Source {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_format(gst::Format::Bytes);
            self.obj().set_blocksize(PIECE);
        }
    }

    impl GstObjectImpl for Source {}

    impl ElementImpl for Source {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::OnceLock<gst::subclass::ElementMetadata> = std::sync::OnceLock::new();
            Some(METADATA.get_or_init(|| {
                gst::subclass::ElementMetadata::new("Input", "Source", "Bytes of the server", "Sluicegate")
            }))
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::OnceLock<Vec<gst::PadTemplate>> = std::sync::OnceLock::new();
            TEMPLATES.get_or_init(|| {
                let caps = gst::Caps::new_any();
                let always = gst::PadPresence::Always;
                gst::PadTemplate::new("src", gst::PadDirection::Src, always, &caps).into_iter().collect()
            })
        }
    }

    impl BaseSrcImpl for Source {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            if let Some(feed) = self.feed() {
                feed.flush(false);
            }
            Ok(())
        }

        fn is_seekable(&self) -> bool {
            self.feed().is_some_and(|feed| feed.info.seekable)
        }

        fn size(&self) -> Option<u64> {
            self.feed()?.info.size
        }

        fn create(
            &self,
            offset: u64,
            _buffer: Option<&mut gst::BufferRef>,
            length: u32,
        ) -> Result<CreateSuccess, gst::FlowError> {
            let length = if offset < u64::from(PIECE) { length.min(FIRST_PIECES) } else { length };
            match self.feed().map(|feed| feed.read(offset, length)) {
                Some(Got::Data(data)) => {
                    let end = offset.saturating_add(data.len() as u64);
                    let mut buffer = gst::Buffer::from_slice(data);
                    if let Some(buffer) = buffer.get_mut() {
                        buffer.set_offset(offset);
                        buffer.set_offset_end(end);
                    }
                    Ok(CreateSuccess::NewBuffer(buffer))
                }
                Some(Got::End) => Err(gst::FlowError::Eos),
                Some(Got::Flushing) | None => Err(gst::FlowError::Flushing),
            }
        }

        fn unlock(&self) -> Result<(), gst::ErrorMessage> {
            if let Some(feed) = self.feed() {
                feed.flush(true);
            }
            Ok(())
        }

        fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
            if let Some(feed) = self.feed() {
                feed.flush(false);
            }
            Ok(())
        }

        fn query(&self, query: &mut gst::QueryRef) -> bool {
            if let gst::QueryViewMut::Scheduling(scheduling) = query.view_mut() {
                let seekable = self.is_seekable();
                let seekable =
                    if seekable { gst::SchedulingFlags::SEEKABLE } else { gst::SchedulingFlags::empty() };
                scheduling.set(gst::SchedulingFlags::SEQUENTIAL | seekable, 1, -1, 0);
                scheduling.add_scheduling_modes([gst::PadMode::Push]);
                return true;
            }
            BaseSrcImplExt::parent_query(self, query)
        }
    }
}

glib::wrapper! {
    /// What GStreamer's machinery sees has to be public; the module is not.
    #[allow(unreachable_pub)]
    pub struct Source(ObjectSubclass<imp::Source>) @extends gst_base::BaseSrc, gst::Element, gst::Object;
}

impl Source {
    pub(crate) fn new(feed: Arc<Feed>) -> Self {
        let source: Self = glib::Object::new();
        *source.imp().feed.lock().unwrap_or_else(PoisonError::into_inner) = Some(feed);
        source
    }
}
