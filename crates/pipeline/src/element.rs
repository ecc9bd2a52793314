use std::{borrow::Cow, fmt};

/// One GStreamer element as a plan wants it: data only, so that tests and people can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The factory's name, as `gst-inspect-1.0` lists it.
    pub factory: Cow<'static, str>,
    /// Everything that is set on it; what is not listed keeps its default.
    pub properties: Vec<Property>,
}

/// One property that a plan sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// GObject property name.
    pub name: Cow<'static, str>,
    /// The value as `gst_util_set_object_arg` reads it.
    pub value: String,
    /// Why it is not left at its default.
    pub reason: Cow<'static, str>,
    /// Left out, rather than an error, where the element has no such property or value.
    pub optional: bool,
}

impl Element {
    /// An element with nothing set.
    pub fn new(factory: impl Into<Cow<'static, str>>) -> Self {
        Self { factory: factory.into(), properties: Vec::new() }
    }

    /// The same with one more property.
    #[must_use]
    pub fn set(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl ToString,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (name, value, reason) = (name.into(), value.to_string(), reason.into());
        self.properties.push(Property { name, value, reason, optional: false });
        self
    }

    /// The same for a property that came with a later version of the element.
    #[must_use]
    pub(crate) fn set_where_possible(
        self,
        name: impl Into<Cow<'static, str>>,
        value: impl ToString,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut element = self.set(name, value, reason);
        if let Some(property) = element.properties.last_mut() {
            property.optional = true;
        }
        element
    }
}

/// The factory, then one indented `name = value  # reason` a line; `~` for `=` where it is optional.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.factory)?;
        for Property { name, value, reason, optional } in &self.properties {
            let sign = if *optional { '~' } else { '=' };
            writeln!(f, "    {name} {sign} {value}  # {reason}")?;
        }
        Ok(())
    }
}
