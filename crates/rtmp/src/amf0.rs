//! AMF0 values (AMF0 specification, Adobe 2007), decoded within bounds and encoded for answers.

use crate::limits::{AMF_DEPTH, AMF_STRING, AMF_VALUES};

/// A value. Objects, typed objects and ECMA arrays are one thing here: names with values, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Also stands for dates (milliseconds since 1970).
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Text; bytes that are not UTF-8 become U+FFFD.
    String(String),
    /// Names with values.
    Object(Vec<(String, Value)>),
    /// Values without names.
    Array(Vec<Value>),
    /// Nothing.
    Null,
    /// Not even null.
    Undefined,
}

/// Why bytes are no AMF0 within our bounds. `at` counts from the start of the message body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The body ends inside a value.
    #[error("AMF0 at {at}: {missing} bytes missing from a {what}")]
    Truncated {
        /// Offset in the body.
        at: usize,
        /// What was being read.
        what: &'static str,
        /// How much more it needs.
        missing: usize,
    },
    /// A value type that publishers never send.
    #[error("AMF0 at {at}: marker {marker:#04x}, expected one of 0x00-0x06, 0x08-0x0d, 0x0f, 0x10")]
    Marker {
        /// Offset in the body.
        at: usize,
        /// The type's number.
        marker: u8,
    },
    /// Nested over [`AMF_DEPTH`].
    #[error("AMF0 at {at}: nested over {limit} deep")]
    TooDeep {
        /// Offset in the body.
        at: usize,
        /// The bound.
        limit: usize,
    },
    /// More than [`AMF_VALUES`] values.
    #[error("AMF0 at {at}: over {limit} values")]
    TooMany {
        /// Offset in the body.
        at: usize,
        /// The bound.
        limit: usize,
    },
    /// A string over [`AMF_STRING`] bytes.
    #[error("AMF0 at {at}: string of {declared} bytes, limit {limit}")]
    StringTooLong {
        /// Offset in the body.
        at: usize,
        /// The length that was announced.
        declared: usize,
        /// The bound.
        limit: usize,
    },
}

impl Value {
    /// The number, if it is one; also a number in a string, as some encoders write.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(n) => Some(*n),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The first field of that name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(fields) => fields.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0a;
    pub(super) const DATE: u8 = 0x0b;
    pub(super) const LONG_STRING: u8 = 0x0c;
    pub(super) const UNSUPPORTED: u8 = 0x0d;
    pub(super) const XML: u8 = 0x0f;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
}

/// All values of a message body. Nothing is allocated by an announced length or count.
pub fn decode(body: &[u8]) -> Result<Vec<Value>, Error> {
    let mut reader = Reader { body, at: 0, values: 0 };
    let mut values = Vec::new();
    while reader.at < body.len() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let rest = &self.body[self.at..];
        let Some(taken) = rest.get(..len) else {
            return Err(Error::Truncated { at: self.at, what, missing: len - rest.len() });
        };
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        let at = self.at;
        if depth > AMF_DEPTH {
            return Err(Error::TooDeep { at, limit: AMF_DEPTH });
        }
        self.values += 1;
        if self.values > AMF_VALUES {
            return Err(Error::TooMany { at, limit: AMF_VALUES });
        }
        let [marker] = self.array("marker")?;
        Ok(match marker {
            marker::NUMBER => Value::Number(f64::from_be_bytes(self.array("number")?)),
            marker::BOOLEAN => Value::Boolean(self.array::<1>("boolean")? != [0]),
            marker::STRING => Value::String(self.short_string()?),
            marker::LONG_STRING | marker::XML => Value::String(self.long_string()?),
            marker::NULL => Value::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Value::Undefined,
            marker::DATE => self.date()?,
            marker::OBJECT => Value::Object(self.fields(depth, false)?),
            marker::TYPED_OBJECT => {
                self.short_string()?;
                Value::Object(self.fields(depth, false)?)
            }
            marker::ECMA_ARRAY => {
                // The count is a hint (AMF0 2.10), and encoders write wrong ones.
                self.take(4, "array count")?;
                Value::Object(self.fields(depth, true)?)
            }
            marker::STRICT_ARRAY => self.strict_array(depth)?,
            marker => return Err(Error::Marker { at, marker }),
        })
    }

    fn date(&mut self) -> Result<Value, Error> {
        let milliseconds = f64::from_be_bytes(self.array("date")?);
        self.take(2, "time zone")?;
        Ok(Value::Number(milliseconds))
    }

    fn strict_array(&mut self, depth: usize) -> Result<Value, Error> {
        let count = u32::from_be_bytes(self.array("array count")?);
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    /// Names and values up to the end marker. `open_end`: an array that ends with the body is whole, since some encoders
    /// leave the end marker of `onMetaData` away.
    fn fields(&mut self, depth: usize, open_end: bool) -> Result<Vec<(String, Value)>, Error> {
        let mut fields = Vec::new();
        loop {
            if open_end && self.at == self.body.len() {
                return Ok(fields);
            }
            let name = self.short_string()?;
            if name.is_empty() && self.body.get(self.at) == Some(&marker::OBJECT_END) {
                self.at += 1;
                return Ok(fields);
            }
            fields.push((name, self.value(depth + 1)?));
        }
    }

    fn short_string(&mut self) -> Result<String, Error> {
        let len = u16::from_be_bytes(self.array("string length")?);
        self.string(usize::from(len))
    }

    fn long_string(&mut self) -> Result<String, Error> {
        let len = u32::from_be_bytes(self.array("string length")?);
        self.string(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn string(&mut self, declared: usize) -> Result<String, Error> {
        if declared > AMF_STRING {
            return Err(Error::StringTooLong { at: self.at, declared, limit: AMF_STRING });
        }
        Ok(String::from_utf8_lossy(self.take(declared, "string")?).into_owned())
    }
}

/// Appends a value's bytes to `out`. Strings of 64 KiB and more are cut to what a short string holds.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(n) => {
            out.push(marker::NUMBER);
            out.extend(n.to_be_bytes());
        }
        Value::Boolean(b) => out.extend([marker::BOOLEAN, u8::from(*b)]),
        Value::String(s) => {
            out.push(marker::STRING);
            encode_text(s, out);
        }
        Value::Object(fields) => {
            out.push(marker::OBJECT);
            for (name, value) in fields {
                encode_text(name, out);
                encode(value, out);
            }
            out.extend([0, 0, marker::OBJECT_END]);
        }
        Value::Array(items) => {
            out.push(marker::STRICT_ARRAY);
            out.extend(u32::try_from(items.len()).unwrap_or(u32::MAX).to_be_bytes());
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Null => out.push(marker::NULL),
        Value::Undefined => out.push(marker::UNDEFINED),
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    let len = text.len().min(usize::from(u16::MAX));
    out.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(&text.as_bytes()[..len]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_encoders_send() {
        let body = [
            &[2, 0, 1, b'a'][..],
            &[0, 0x40, 0, 0, 0, 0, 0, 0, 0],
            &[8, 0, 0, 0, 9, 0, 1, b'w', 1, 1, 0, 0, 9],
            &[10, 0, 0, 0, 2, 5, 6],
            &[11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x10, 0, 1, b't', 0, 0, 9],
        ]
        .concat();
        let expected = [
            Value::String("a".into()),
            Value::Number(2.0),
            Value::Object(vec![("w".into(), Value::Boolean(true))]),
            Value::Array(vec![Value::Null, Value::Undefined]),
            Value::Number(0.0),
            Value::Object(vec![]),
        ];
        assert_eq!(decode(&body), Ok(expected.to_vec()));
    }

    #[test]
    fn an_ecma_array_without_its_end_marker_is_whole() {
        let fields = vec![("w".into(), Value::Null)];
        assert_eq!(decode(&[8, 0, 0, 0, 1, 0, 1, b'w', 5]), Ok(vec![Value::Object(fields)]));
        assert!(matches!(decode(&[3, 0, 1, b'w', 5]), Err(Error::Truncated { at: 5, .. })));
    }

    #[test]
    fn ten_thousand_levels_are_refused_at_the_limit() {
        let objects = [3, 0, 1, b'x'].repeat(10_000);
        assert_eq!(decode(&objects), Err(Error::TooDeep { at: 4 * (AMF_DEPTH + 1), limit: AMF_DEPTH }));
        let arrays = [10, 0, 0, 0, 1].repeat(10_000);
        assert_eq!(decode(&arrays), Err(Error::TooDeep { at: 5 * (AMF_DEPTH + 1), limit: AMF_DEPTH }));
    }

    #[test]
    fn the_deepest_allowed_nesting_is_read() {
        let mut body = [10, 0, 0, 0, 1].repeat(AMF_DEPTH);
        body.push(5);
        assert!(decode(&body).is_ok());
    }

    #[test]
    fn counts_and_lengths_are_not_believed() {
        assert!(matches!(decode(&[10, 0xff, 0xff, 0xff, 0xff]), Err(Error::Truncated { at: 5, .. })));
        let nulls = [&[10, 0xff, 0xff, 0xff, 0xff][..], &[5; 5000]].concat();
        assert!(matches!(decode(&nulls), Err(Error::TooMany { limit: AMF_VALUES, .. })));
        let string = [12, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(decode(&string), Err(Error::StringTooLong { at: 5, .. })));
    }

    #[test]
    fn a_name_that_is_no_utf8_is_replaced() {
        assert_eq!(decode(&[2, 0, 1, 0xff]), Ok(vec![Value::String("\u{fffd}".into())]));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|n| Value::Number(f64::from(n) / 8.0)),
            any::<bool>().prop_map(Value::Boolean),
            "[a-z]{0,12}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(("[a-z]{1,8}", inner.clone()), 0..6).prop_map(Value::Object),
                prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in any_value()) {
            let mut bytes = Vec::new();
            encode(&value, &mut bytes);
            prop_assert_eq!(decode(&bytes), Ok(vec![value]));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode(&bytes);
        }
    }
}
