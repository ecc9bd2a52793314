use crate::{CodecId, Metadata, amf0::Value, event::printable};

/// Reads the values of a data message: `onMetaData` and its object, with or without `@setDataFrame` before them.
/// `None` for other data messages.
pub(crate) fn read(values: &[Value]) -> Option<Metadata> {
    let values = match values {
        [Value::String(name), rest @ ..] if name == "@setDataFrame" => rest,
        all => all,
    };
    let [Value::String(name), fields, ..] = values else { return None };
    if name != "onMetaData" {
        return None;
    }
    let number = |name| fields.get(name).and_then(Value::as_number).filter(|n| n.is_finite() && *n > 0.0);
    let pixels = |name| number(name).map(|n| n as u32);
    Some(Metadata {
        width: pixels("width"),
        height: pixels("height"),
        fps: number("framerate"),
        video_codec: fields.get("videocodecid").and_then(codec),
        video_kbps: number("videodatarate"),
        audio_codec: fields.get("audiocodecid").and_then(codec),
        audio_kbps: number("audiodatarate"),
        encoder: fields.get("encoder").and_then(Value::as_str).map(printable),
    })
}

/// A number of FLV's, a name, or a FourCC as a number: FFmpeg and OBS write `hvc1` as 0x68766331.
fn codec(value: &Value) -> Option<CodecId> {
    match value {
        Value::String(name) => Some(CodecId::Name(printable(name))),
        Value::Number(n) if (0.0..256.0).contains(n) => Some(CodecId::Flv(*n as u8)),
        Value::Number(n) => Some(CodecId::Name(printable(
            &(*n as u32).to_be_bytes().map(char::from).iter().collect::<String>(),
        ))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Value {
        let number = |name: &str, n: f64| (name.to_owned(), Value::Number(n));
        Value::Object(vec![
            number("width", 1280.0),
            number("height", 720.0),
            number("framerate", 29.97),
            number("videocodecid", 7.0),
            ("audiocodecid".into(), Value::String("mp4a".into())),
            number("audiodatarate", f64::NAN),
            ("encoder".into(), Value::String("Lavf\n59".into())),
        ])
    }

    #[test]
    fn both_spellings_are_read() {
        let plain = vec![Value::String("onMetaData".into()), fields()];
        let wrapped = [vec![Value::String("@setDataFrame".into())], plain.clone()].concat();
        let expected = Metadata {
            width: Some(1280),
            height: Some(720),
            fps: Some(29.97),
            video_codec: Some(CodecId::Flv(7)),
            audio_codec: Some(CodecId::Name("mp4a".into())),
            encoder: Some("Lavf?59".into()),
            ..Metadata::default()
        };
        assert_eq!(read(&plain), Some(expected.clone()));
        assert_eq!(read(&wrapped), Some(expected));
    }

    #[test]
    fn a_fourcc_as_a_number_becomes_its_name() {
        assert_eq!(codec(&Value::Number(1_752_589_105.0)), Some(CodecId::Name("hvc1".into())));
    }

    #[test]
    fn other_data_is_no_metadata() {
        assert_eq!(read(&[Value::String("onTextData".into()), fields()]), None);
        assert_eq!(read(&[]), None);
    }
}
