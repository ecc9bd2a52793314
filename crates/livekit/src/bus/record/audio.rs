use livekit_protocol::{
    AudioCodec, IngressAudioEncodingOptions, IngressAudioEncodingPreset, IngressAudioOptions, TrackSource,
    ingress_audio_options::EncodingOptions,
};

use super::Invalid;

/// Opus for one channel when the record names no rate (preset OPUS_MONO_64KBS), bit/s.
const MONO_BPS: u32 = 64_000;
/// Opus for two channels when the record names no rate (preset OPUS_STEREO_96KBPS, the default), bit/s.
const STEREO_BPS: u32 = 96_000;

/// How sound is published: Opus, in frames of 20 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioOptions {
    /// The track's name, or empty.
    pub name: String,
    /// MICROPHONE (also when the record names none) or SCREEN_SHARE_AUDIO.
    pub source: TrackSource,
    /// 1 or 2.
    pub channels: u8,
    /// Target, bit/s.
    pub bitrate_bps: u32,
    /// Discontinuous transmission: near-silence costs next to nothing.
    pub dtx: bool,
}

impl AudioOptions {
    pub(super) fn read(options: &IngressAudioOptions) -> Result<Self, Invalid> {
        let source = match TrackSource::try_from(options.source) {
            // As LiveKit's SDKs publish: clients look for a microphone.
            Ok(TrackSource::Unknown) => TrackSource::Microphone,
            Ok(s @ (TrackSource::Microphone | TrackSource::ScreenShareAudio)) => s,
            _ => return Err(Invalid::Source),
        };
        let (channels, bitrate_bps, dtx) = match options.encoding_options {
            None => (2, STEREO_BPS, true),
            Some(EncodingOptions::Preset(preset)) => match IngressAudioEncodingPreset::try_from(preset) {
                Ok(IngressAudioEncodingPreset::OpusStereo96kbps) => (2, STEREO_BPS, true),
                Ok(IngressAudioEncodingPreset::OpusMono64kbs) => (1, MONO_BPS, true),
                Err(_) => return Err(Invalid::Preset),
            },
            Some(EncodingOptions::Options(custom)) => read_custom(custom)?,
        };
        Ok(Self { name: options.name.clone(), source, channels, bitrate_bps, dtx })
    }
}

fn read_custom(custom: IngressAudioEncodingOptions) -> Result<(u8, u32, bool), Invalid> {
    if !matches!(AudioCodec::try_from(custom.audio_codec), Ok(AudioCodec::DefaultAc | AudioCodec::Opus)) {
        return Err(Invalid::AudioCodec);
    }
    let (channels, usual) = match custom.channels {
        1 => (1, MONO_BPS),
        0 | 2 => (2, STEREO_BPS),
        _ => return Err(Invalid::Channels),
    };
    let bitrate = if custom.bitrate == 0 { usual } else { custom.bitrate };
    Ok((channels, bitrate, !custom.disable_dtx))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoding: Option<EncodingOptions>) -> Result<(u8, u32, bool), Invalid> {
        let options = IngressAudioOptions { encoding_options: encoding, ..Default::default() };
        AudioOptions::read(&options).map(|a| (a.channels, a.bitrate_bps, a.dtx))
    }

    fn custom(channels: u32, bitrate: u32, disable_dtx: bool) -> Result<(u8, u32, bool), Invalid> {
        let options = IngressAudioEncodingOptions { channels, bitrate, disable_dtx, ..Default::default() };
        read(Some(EncodingOptions::Options(options)))
    }

    #[test]
    fn presets_and_none_are_livekits_numbers() {
        assert_eq!(read(None), Ok((2, 96_000, true)));
        assert_eq!(read(Some(EncodingOptions::Preset(0))), Ok((2, 96_000, true)));
        assert_eq!(read(Some(EncodingOptions::Preset(1))), Ok((1, 64_000, true)));
        assert_eq!(read(Some(EncodingOptions::Preset(2))), Err(Invalid::Preset));
    }

    #[test]
    fn custom_options_fill_in_what_is_zero() {
        assert_eq!(custom(0, 0, false), Ok((2, 96_000, true)));
        assert_eq!(custom(1, 0, true), Ok((1, 64_000, false)));
        assert_eq!(custom(2, 128_000, false), Ok((2, 128_000, true)));
        assert_eq!(custom(3, 0, false), Err(Invalid::Channels));
    }

    #[test]
    fn only_opus_is_published() {
        let aac = IngressAudioEncodingOptions { audio_codec: AudioCodec::Aac.into(), ..Default::default() };
        assert_eq!(read(Some(EncodingOptions::Options(aac))), Err(Invalid::AudioCodec));
    }

    #[test]
    fn the_source_must_be_one_of_sound() {
        let read = |source: i32| {
            AudioOptions::read(&IngressAudioOptions { source, name: "mic".into(), ..Default::default() })
        };
        assert_eq!(read(2).unwrap().source, TrackSource::Microphone);
        assert_eq!(read(4).unwrap().name, "mic");
        for source in [1, 3, 9] {
            assert_eq!(read(source), Err(Invalid::Source));
        }
    }
}
