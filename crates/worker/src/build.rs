use gst::{glib, prelude::*};
use gstreamer as gst;
use gstreamer_app::{AppSink, AppSrc};
use media::{Kind, Turn};
use pipeline::{Element, Property, plan};
use thiserror::Error;

use crate::threads::give_way;

/// A plan that this installation of GStreamer cannot carry out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No such element.
    #[error("GStreamer element {0} is missing: install its plugin")]
    Missing(String),
    /// An element without a property, or with one of another type.
    #[error("GStreamer element {factory}: cannot set {name} = {value}")]
    Property {
        /// The element.
        factory: String,
        /// The property.
        name: String,
        /// As planned.
        value: String,
    },
    /// Elements that do not fit.
    #[error("GStreamer elements do not link: {0}")]
    Link(#[from] glib::BoolError),
    /// A pipeline that does not start.
    #[error("GStreamer pipeline does not start: {0}")]
    State(#[from] gst::StateChangeError),
    /// No encoder is left to try.
    #[error("layer {quality}: no encoder is left: {why}")]
    NoEncoder {
        /// The layer.
        quality: media::Quality,
        /// What happened to the last one.
        why: String,
    },
    /// Caps that are none.
    #[error("not caps: {0}")]
    Caps(String),
}

/// A running chain, appsrc in front and appsink behind. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) source: AppSrc,
    bus: gst::Bus,
}

/// What a chain's bus has to say.
#[derive(Debug)]
pub(crate) enum News {
    Failed(String),
    EndOfStream,
}

impl Chain {
    /// An empty pipeline with its source. Its threads, and those that they start, give way to sound's when it is for
    /// pictures.
    pub(crate) fn new(kind: Kind) -> Result<Self, Error> {
        let pipeline = gst::Pipeline::new();
        let bus = pipeline.bus().ok_or_else(|| Error::Missing("bus".into()))?;
        if kind == Kind::Video {
            bus.set_sync_handler(|_, message| give_way(message));
        }
        let source = add(&pipeline, &plan::source())?;
        let source = source.downcast::<AppSrc>().map_err(|_| Error::Missing("appsrc".into()))?;
        Ok(Self { pipeline, source, bus })
    }

    /// Adds elements and links each to the one before, starting with `after`. A decodebin's output is linked when it
    /// appears.
    pub(crate) fn append(&self, after: &gst::Element, elements: &[Element]) -> Result<gst::Element, Error> {
        let mut last = after.clone();
        for element in elements {
            let next = add(&self.pipeline, element)?;
            if last.static_pad("src").is_some() {
                last.link(&next)?;
            } else {
                link_when_it_appears(&last, &next);
            }
            last = next;
        }
        Ok(last)
    }

    /// Adds the sink behind `after`; `take` gets its samples, on a streaming thread.
    pub(crate) fn sink(
        &self,
        after: &gst::Element,
        take: impl FnMut(gst::Sample) + Send + 'static,
    ) -> Result<(), Error> {
        let sink = self.append(after, &[plan::sink()])?;
        let sink = sink.downcast::<AppSink>().map_err(|_| Error::Missing("appsink".into()))?;
        let mut take = take;
        sink.set_callbacks(
            gstreamer_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    take(sink.pull_sample().map_err(|_| gst::FlowError::Eos)?);
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        if let Some(pad) = sink.static_pad("sink") {
            accept_strides(&pad);
        }
        Ok(())
    }

    pub(crate) fn play(&self) -> Result<(), Error> {
        self.pipeline.set_state(gst::State::Playing)?;
        Ok(())
    }

    /// What has happened since the last look. Never waits.
    pub(crate) fn news(&self) -> Option<News> {
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = self.bus.pop_filtered(&kinds)?;
        Some(match message.view() {
            gst::MessageView::Error(error) => {
                let from = error.src().map(|src| src.path_string().to_string()).unwrap_or_default();
                let debug = error.debug().map(|debug| format!(" ({debug})")).unwrap_or_default();
                News::Failed(format!("{from}: {}{debug}", error.error()))
            }
            _ => News::EndOfStream,
        })
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Stopping waits for the streaming threads; they wait for nothing that this thread must do.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn add(pipeline: &gst::Pipeline, element: &Element) -> Result<gst::Element, Error> {
    let made = gst::ElementFactory::make(&element.factory)
        .build()
        .map_err(|_| Error::Missing(element.factory.to_string()))?;
    for property in &element.properties {
        if set(&made, property).is_none() && !property.optional {
            return Err(Error::Property {
                factory: element.factory.to_string(),
                name: property.name.to_string(),
                value: property.value.clone(),
            });
        }
    }
    pipeline.add(&made)?;
    Ok(made)
}

/// Sets a property from its text; `None` when there is no such property or the text is no value of it.
pub(crate) fn set(element: &gst::Element, property: &Property) -> Option<()> {
    let spec = element.find_property(&property.name)?;
    let value = glib::Value::deserialize_with_pspec(&property.value, &spec).ok()?;
    element.set_property_from_value(&property.name, &value);
    Some(())
}

fn link_when_it_appears(from: &gst::Element, to: &gst::Element) {
    let to = to.downgrade();
    from.connect_pad_added(move |_, pad| {
        let Some(sink) = to.upgrade().and_then(|to| to.static_pad("sink")) else { return };
        if pad.direction() == gst::PadDirection::Src && !sink.is_linked() {
            // A pad that does not fit stays unlinked: data then ends in an error on the bus.
            let _ = pad.link(&sink);
        }
    });
}

/// Frames may have padded rows: without this a decoder copies every frame into a tight one.
fn accept_strides(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        if let Some(query) = info.query_mut()
            && let gst::QueryViewMut::Allocation(allocation) = query.view_mut()
        {
            allocation.add_allocation_meta::<gstreamer_video::VideoMeta>(None);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Sets what a plan wants of the decoder that the autoplugger picks, when it is made.
pub(crate) fn tune_decoders(pipeline: &gst::Pipeline, properties: Vec<Property>) {
    pipeline.connect_deep_element_added(move |_, _, element| {
        let decoder =
            element.factory().is_some_and(|factory| factory.has_type(gst::ElementFactoryType::DECODER));
        if decoder {
            for property in &properties {
                let _ = set(element, property);
            }
        }
    });
}

/// Lets every `videoflip` follow rotation tags once there is one. Told to follow them from the start it copies each frame
/// (GStreamer 1.22), also of the many sources that never have a tag: with the memory for as many frames as wait, 10 MiB of
/// 111 with three layers of 720p.
pub(crate) fn follow_rotation(pipeline: &gst::Pipeline) {
    for flip in pipeline.iterate_all_by_element_factory_name("videoflip").into_iter().flatten() {
        let Some(pad) = flip.static_pad("sink") else { continue };
        // Only a change to identity makes it pass frames through: it does not look at what it starts with.
        for direction in ["180", "identity"] {
            flip.set_property_from_str("video-direction", direction);
        }
        let flip = flip.downgrade();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let Some(gst::EventView::Tag(event)) = info.event().map(|event| event.view()) else {
                return gst::PadProbeReturn::Ok;
            };
            if event.tag().get::<gst::tags::ImageOrientation>().is_none() {
                return gst::PadProbeReturn::Ok;
            }
            // Before the tag comes in, so that it is this very tag that is followed.
            if let Some(flip) = flip.upgrade() {
                flip.set_property_from_str("video-direction", "auto");
            }
            gst::PadProbeReturn::Remove
        });
    }
}

/// Turns pictures as their container wants them; those that need no turning stay as `follow_rotation` has them.
pub(crate) fn turn(pipeline: &gst::Pipeline, turn: Turn) {
    for flip in pipeline.iterate_all_by_element_factory_name("videoflip").into_iter().flatten() {
        let now = flip.property_value("video-direction").serialize().unwrap_or_default();
        if !(turn.is_none() && now == "identity") {
            flip.set_property_from_str("video-direction", plan::direction(turn));
        }
    }
}

/// Refuses pictures that are too large before a decoder makes room for them.
pub(crate) fn refuse_large(pipeline: &gst::Pipeline) {
    for element in pipeline.iterate_elements().into_iter().flatten() {
        let Some(pad) = element.static_pad("sink") else { continue };
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
            let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) else {
                return gst::PadProbeReturn::Ok;
            };
            let side =
                |name| event.caps().structure(0).and_then(|caps| caps.get::<i32>(name).ok()).unwrap_or(0);
            let (width, height) = (side("width"), side("height"));
            let (most, other) = plan::MAX_PICTURE;
            if width.max(height) <= most && width.min(height) <= other {
                return gst::PadProbeReturn::Ok;
            }
            if let Some(element) = pad.parent_element() {
                let text = format!("a picture of {width}x{height} is larger than {most}x{other}");
                gst::element_error!(element, gst::StreamError::Format, ("{text}"));
            }
            gst::PadProbeReturn::Drop
        });
    }
}

/// Whether there is such an element here.
pub(crate) fn is_installed(element: &Element) -> bool {
    gst::ElementFactory::find(&element.factory).is_some()
}

/// Caps from a plan's text.
pub(crate) fn caps(text: &str) -> Result<gst::Caps, Error> {
    text.parse().map_err(|_| Error::Caps(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn frame(caps: &gst::Caps, at: u64) -> gst::Sample {
        let mut buffer = gst::Buffer::from_slice([at as u8; 64 * 32 * 3 / 2]);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(at));
        gst::Sample::builder().buffer(&buffer).caps(caps).build()
    }

    #[test]
    fn pictures_are_not_copied_until_a_rotation_tag_comes_and_are_upright_from_then_on() {
        gst::init().unwrap();
        let flip = Element::new("videoflip").set("video-direction", "identity", "as in the plan");
        let chain = Chain::new(Kind::Video).unwrap();
        let last = chain.append(chain.source.upcast_ref(), &[flip]).unwrap();
        let (sender, frames) = mpsc::channel();
        chain.sink(&last, move |sample| sender.send(sample).unwrap()).unwrap();
        follow_rotation(&chain.pipeline);
        chain.play().unwrap();
        let caps = caps("video/x-raw, format=I420, width=64, height=32, framerate=30/1").unwrap();
        let pass = |at| {
            let given = frame(&caps, at);
            chain.source.push_sample(&given).unwrap();
            let came = frames.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
            let memory = |sample: &gst::Sample| sample.buffer().unwrap().peek_memory(0).as_ptr();
            let width = came.caps().unwrap().structure(0).unwrap().get::<i32>("width").unwrap();
            (memory(&came) == memory(&given), width)
        };
        let tag = |add: &dyn Fn(&mut gst::TagListRef)| {
            let mut tags = gst::TagList::new();
            add(tags.get_mut().unwrap());
            let pad = chain.source.static_pad("src").unwrap();
            assert!(pad.push_event(gst::event::Tag::new(tags)));
        };
        assert_eq!(pass(0), (true, 64));
        tag(&|tags| tags.add::<gst::tags::Title>(&"no rotation", gst::TagMergeMode::Append));
        assert_eq!(pass(1), (true, 64));
        tag(&|tags| tags.add::<gst::tags::ImageOrientation>(&"rotate-90", gst::TagMergeMode::Append));
        assert_eq!(pass(2), (false, 32));
    }
}
