use bytes::{BufMut as _, Bytes, BytesMut};

use super::{Command, Event, Mark, What};
use crate::wire::{Body, Error, Frame, Message, cut, frame, json, nanos_up, unit_frame};

impl Message for Command {
    fn frame(self) -> Result<Frame, Error> {
        match self {
            Command::Start(start) => json(1, &start),
            Command::Data { input, data } => frame(2, &[input], data),
            Command::Section { input, at } => {
                let mut head = BytesMut::new();
                head.put_u8(input);
                head.put_i64(nanos_up(at));
                frame(3, &head, Bytes::new())
            }
        }
    }

    fn read(tag: u8, body: Bytes) -> Result<Self, Error> {
        let mut body = Body::new(tag, body);
        let command = match tag {
            1 => Command::Start(body.json()?),
            2 => Command::Data { input: body.byte("input")?, data: body.rest() },
            3 => Command::Section { input: body.byte("input")?, at: body.time("at")? },
            tag => return Err(Error::Tag { tag }),
        };
        body.end()?;
        Ok(command)
    }
}

impl Message for Event {
    fn frame(self) -> Result<Frame, Error> {
        match self {
            Event::Read { input, offset, length } => {
                let mut head = BytesMut::new();
                head.put_u8(input);
                head.put_u64(offset);
                head.put_u32(length);
                frame(1, &head, Bytes::new())
            }
            Event::Unit(unit) => unit_frame([2, 3], unit),
            Event::Tracks { video, audio, duration } => json(4, &(video, audio, duration)),
            Event::Mark(mark) => mark_frame(mark),
            Event::Warning(text) => frame(6, &[], cut(text)),
            Event::Failed { kind, text } => json(7, &(kind, String::from_utf8_lossy(&cut(text)))),
            Event::Ended => frame(8, &[], Bytes::new()),
        }
    }

    fn read(tag: u8, body: Bytes) -> Result<Self, Error> {
        let mut body = Body::new(tag, body);
        let event = match tag {
            1 => Event::Read {
                input: body.byte("input")?,
                offset: body.offset("offset")?,
                length: body.number("length")?,
            },
            2 => Event::Unit(body.format()?),
            3 => Event::Unit(body.packet()?),
            4 => {
                let (video, audio, duration) = body.json()?;
                Event::Tracks { video, audio, duration }
            }
            5 => Event::Mark(Mark { at: body.time("at")?, what: What::Id3(body.rest()) }),
            9 => Event::Mark(Mark { at: body.time("at")?, what: What::Title(body.text()) }),
            10 => {
                let at = body.time("at")?;
                let (event_id, out_of_network, cancelled, duration) = body.json()?;
                Event::Mark(Mark { at, what: What::Splice { event_id, out_of_network, cancelled, duration } })
            }
            6 => Event::Warning(body.text()),
            7 => {
                let (kind, text) = body.json()?;
                Event::Failed { kind, text }
            }
            8 => Event::Ended,
            tag => return Err(Error::Tag { tag }),
        };
        body.end()?;
        Ok(event)
    }
}

fn mark_frame(Mark { at, what }: Mark) -> Result<Frame, Error> {
    let (tag, payload) = match what {
        What::Id3(tag) => (5, tag),
        What::Title(title) => (9, cut(title)),
        What::Splice { event_id, out_of_network, cancelled, duration } => {
            let fields = (event_id, out_of_network, cancelled, duration);
            (10, serde_json::to_vec(&fields).map_err(|source| Error::Json { tag: 10, source })?.into())
        }
    };
    frame(tag, &nanos_up(at).to_be_bytes(), payload)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Buf as _;
    use media::{MediaTime, Unit};
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        demux::{InputInfo, Kind, Start},
        wire::next,
    };

    fn there_and_back<M: Message>(messages: Vec<M>) -> Vec<M> {
        let mut stream = BytesMut::new();
        for message in messages {
            stream.put(message.frame().unwrap());
        }
        let mut back = Vec::new();
        while let Some(message) = next(&mut stream).unwrap() {
            back.push(message);
        }
        assert!(!stream.has_remaining());
        back
    }

    fn payload() -> impl Strategy<Value = Bytes> {
        vec(any::<u8>(), 0..100).prop_map(Bytes::from)
    }

    fn time() -> impl Strategy<Value = MediaTime> {
        (-1_i64 << 50..1 << 50).prop_map(MediaTime::from_nanos)
    }

    fn span() -> impl Strategy<Value = Option<Duration>> {
        proptest::option::of((0..1_u64 << 50).prop_map(Duration::from_nanos))
    }

    fn start() -> impl Strategy<Value = Start> {
        let input = (any::<Option<u64>>(), any::<bool>(), any::<Option<String>>());
        let input = input.prop_map(|(size, seekable, media_type)| InputInfo { size, seekable, media_type });
        (vec(input, 0..3), any::<bool>(), any::<bool>(), any::<bool>(), span())
            .prop_map(|(inputs, live, video, audio, start_at)| Start { inputs, live, video, audio, start_at })
    }

    fn command() -> impl Strategy<Value = Command> {
        prop_oneof![
            start().prop_map(Command::Start),
            (any::<u8>(), payload()).prop_map(|(input, data)| Command::Data { input, data }),
            (any::<u8>(), time()).prop_map(|(input, at)| Command::Section { input, at }),
        ]
    }

    fn event() -> impl Strategy<Value = Event> {
        let what = prop_oneof![
            payload().prop_map(What::Id3),
            ".{0,80}".prop_map(What::Title),
            (any::<u32>(), any::<bool>(), any::<bool>(), span()).prop_map(
                |(event_id, out_of_network, cancelled, duration)| What::Splice {
                    event_id,
                    out_of_network,
                    cancelled,
                    duration
                }
            ),
        ];
        let kind = prop_oneof![
            Just(Kind::NotMedia),
            Just(Kind::Broken),
            any::<String>().prop_map(Kind::Unsupported),
        ];
        let format = media::Format::new(media::Codec::Flac, Bytes::from_static(b"audio/x-flac"));
        prop_oneof![
            (any::<u8>(), any::<u64>(), any::<u32>()).prop_map(|(input, offset, length)| Event::Read {
                input,
                offset,
                length
            }),
            Just(Event::Unit(Unit::Format(super::super::AUDIO, format))),
            (any::<bool>(), any::<bool>(), span()).prop_map(|(video, audio, duration)| Event::Tracks {
                video,
                audio,
                duration
            }),
            (time(), what).prop_map(|(at, what)| Event::Mark(Mark { at, what })),
            ".{0,80}".prop_map(Event::Warning),
            (kind, ".{0,80}").prop_map(|(kind, text)| Event::Failed { kind, text }),
            Just(Event::Ended),
        ]
    }

    proptest! {
        #[test]
        fn commands_come_back_whole(commands in vec(command(), 1..6)) {
            prop_assert_eq!(there_and_back(commands.clone()), commands);
        }

        #[test]
        fn events_come_back_whole(events in vec(event(), 1..6)) {
            prop_assert_eq!(there_and_back(events.clone()), events);
        }

        #[test]
        fn garbage_is_an_error_or_a_message_never_a_panic(tag in any::<u8>(), body in vec(any::<u8>(), 0..64)) {
            let _ = Command::read(tag, Bytes::from(body.clone()));
            let _ = Event::read(tag, Bytes::from(body));
        }
    }
}
