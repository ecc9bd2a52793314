//! Elements under the names of hardware encoders, which do what a broken device does.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gstreamer as gst;
use media::{Layer, Quality};
use pipeline::{Audio, Picture, Plan, encoder, ladder};

/// Frames that come out before it breaks.
pub const GOOD_FRAMES: usize = 40;

/// The recipe's encoder posts an error.
pub fn register_dying(recipe: &str) {
    register(recipe, Dying::static_type());
}

/// The recipe's encoder takes frames and gives none.
pub fn register_hanging(recipe: &str) {
    register(recipe, Hanging::static_type());
}

fn register(recipe: &str, type_: glib::Type) {
    let factory = &encoder::recipe(recipe).expect("a recipe").factory;
    gst::Element::register(None, factory, gst::Rank::NONE, type_).unwrap();
}

/// Whatever a hardware recipe sets, as text that nobody reads.
fn properties() -> Vec<glib::ParamSpec> {
    let video = ladder::preset(ladder::DEFAULT_PRESET).unwrap();
    let plan = Plan { video, audio: Audio::STEREO_96K, encoders: vec![] };
    let layer = Layer { quality: Quality::High, width: 640, height: 360, bitrate_bps: 500_000 };
    let picture = Picture { width: 640, height: 360, par: (1, 1), fps_milli: 30_000 };
    let recipes = encoder::recipes().iter().filter(|recipe| recipe.kind == encoder::Kind::Hardware);
    let mut names: Vec<String> = recipes
        .filter_map(|recipe| Some((recipe, plan.encode(recipe.name, &layer, &picture, 1, 0)?)))
        .flat_map(|(recipe, elements)| {
            elements.into_iter().filter(|element| element.factory == recipe.factory)
        })
        .flat_map(|element| element.properties)
        .filter(|property| !property.optional)
        .map(|property| property.name.into_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| glib::ParamSpecString::builder(name).build()).collect()
}

/// A working encoder, and behind it an `identity` that breaks.
fn fill(bin: &gst::Bin, identity: &gst::Element) {
    let encoder = gst::ElementFactory::make("x264enc")
        .property_from_str("tune", "zerolatency")
        .property_from_str("speed-preset", "ultrafast")
        .build()
        .unwrap();
    bin.add_many([&encoder, identity]).unwrap();
    encoder.link(identity).unwrap();
    for (element, name) in [(&encoder, "sink"), (identity, "src")] {
        let target = element.static_pad(name).unwrap();
        let pad = gst::GhostPad::builder_with_target(&target).unwrap().name(name).build();
        bin.add_pad(&pad).unwrap();
    }
}

macro_rules! broken {
    ($module:ident, $name:ident, $identity:expr) => {
        mod $module {
            use super::*;

            #[derive(Debug, Default)]
            pub struct Imp;

            #[glib::object_subclass]
            impl ObjectSubclass for Imp {
                const NAME: &'static str = concat!("Test", stringify!($name));
                type Type = super::$name;
                type ParentType = gst::Bin;
            }

            impl ObjectImpl for Imp {
                fn properties() -> &'static [glib::ParamSpec] {
                    // A specification belongs to one class.
                    static SPECS: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
                    SPECS.get_or_init(super::properties)
                }

                fn set_property(&self, _: usize, _: &glib::Value, _: &glib::ParamSpec) {}

                fn constructed(&self) {
                    self.parent_constructed();
                    fill(self.obj().upcast_ref(), &$identity);
                }
            }

            impl GstObjectImpl for Imp {}

            impl ElementImpl for Imp {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static METADATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
                    Some(METADATA.get_or_init(|| {
                        let class = "Codec/Encoder/Video/Hardware";
                        gst::subclass::ElementMetadata::new("Broken", class, "Breaks", "Tests")
                    }))
                }
            }

            impl BinImpl for Imp {}
        }

        glib::wrapper! {
            pub struct $name(ObjectSubclass<$module::Imp>) @extends gst::Bin, gst::Element, gst::Object;
        }
    };
}

broken!(dying, Dying, {
    let after = i32::try_from(GOOD_FRAMES).unwrap() + 1;
    gst::ElementFactory::make("identity").property("error-after", after).build().unwrap()
});

broken!(hanging, Hanging, {
    let identity = gst::ElementFactory::make("identity").build().unwrap();
    let passed = AtomicUsize::new(0);
    let kind = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
    identity.static_pad("sink").unwrap().add_probe(kind, move |_, _| {
        if passed.fetch_add(1, Ordering::Relaxed) < GOOD_FRAMES {
            return gst::PadProbeReturn::Pass;
        }
        gst::PadProbeReturn::Ok
    });
    identity
});
