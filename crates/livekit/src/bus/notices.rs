use media::Codec;
use psrpc::{Bus, BusError, Metadata, Server};
use tokio::sync::watch;

use super::{
    messages::WhipRtcConnectionNotifyRequest,
    methods::WHIP_RTC_CONNECTION_NOTIFY,
    status::{Audio, Video},
};

/// Opus is clocked at this rate in RTP, whatever it carries; the SFU does not say it.
const OPUS_HZ: u32 = 48_000;

/// What the SFU has last said of a WHIP publisher that it has itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notice {
    /// The participant is gone, whatever ended it. There is nothing after it.
    pub closed: bool,
    /// The pictures that it receives.
    pub video: Option<Video>,
    /// The sound that it receives.
    pub audio: Option<Audio>,
}

/// Notices about one participant: the newest, which is all that counts. Dropped: the topic is unsubscribed.
#[must_use = "dropping it unsubscribes"]
pub struct Notices {
    newest: watch::Receiver<Notice>,
    _registration: psrpc::Registration,
}

impl Notices {
    pub(super) async fn open(bus: &Bus, participant_sid: &str) -> Result<Self, BusError> {
        let (sender, newest) = watch::channel(Notice::default());
        let notify = move |request: WhipRtcConnectionNotifyRequest, _: Metadata| {
            sender.send_if_modified(|notice| {
                // One that was late does not open it again.
                let news = !notice.closed;
                if news {
                    *notice = request.into();
                }
                news
            });
            async { Ok(()) }
        };
        let server = Server::new(bus, WHIP_RTC_CONNECTION_NOTIFY.service);
        let registration =
            server.register(&WHIP_RTC_CONNECTION_NOTIFY, &[participant_sid], notify, |_| 1.0).await?;
        Ok(Self { newest, _registration: registration })
    }

    /// The next notice; those that came meanwhile but for the newest are passed over. Cancel safe. Pends for ever once the bus
    /// is closed.
    pub async fn changed(&mut self) -> Notice {
        match self.newest.changed().await {
            Ok(()) => self.newest.borrow_and_update().clone(),
            Err(_) => std::future::pending().await,
        }
    }
}

impl From<WhipRtcConnectionNotifyRequest> for Notice {
    fn from(request: WhipRtcConnectionNotifyRequest) -> Self {
        let video = request.video.map(|video| Video {
            mime_type: video.mime_type,
            bitrate_bps: video.average_bitrate,
            width: video.width,
            height: video.height,
            fps: video.framerate,
        });
        let audio = request.audio.map(|audio| {
            let opus = audio.mime_type.eq_ignore_ascii_case(Codec::Opus.mime_type());
            let told = Some(audio.sample_rate).filter(|rate| *rate > 0);
            Audio {
                mime_type: audio.mime_type,
                bitrate_bps: audio.average_bitrate,
                channels: audio.channels,
                sample_rate: told.unwrap_or(if opus { OPUS_HZ } else { 0 }),
            }
        });
        Self { closed: request.closed, video, audio }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use prost::Message;
    use serde_json::Value;

    use super::*;

    /// As livekit-server 1.13.5 sent it.
    fn captured(which: &str) -> Notice {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../../testdata/bus-vectors.json")).unwrap();
        let name = format!("Request/IngressHandler/WHIPRTCConnectionNotify/{which}");
        let vector = vectors.iter().find(|vector| vector["name"] == name.as_str()).unwrap();
        let bytes = BASE64_STANDARD.decode(vector["message"]["raw_request"].as_str().unwrap()).unwrap();
        WhipRtcConnectionNotifyRequest::decode(bytes.as_slice()).unwrap().into()
    }

    #[test]
    fn what_the_sfu_says_is_read_whole() {
        let notice = captured("alive");
        assert!(!notice.closed);
        let video = notice.video.unwrap();
        assert_eq!((video.mime_type.as_str(), video.width, video.height), ("video/VP8", 640, 480));
        assert_eq!(video.bitrate_bps, 29_167);
        let audio = notice.audio.unwrap();
        assert_eq!((audio.mime_type.as_str(), audio.channels, audio.sample_rate), ("audio/opus", 1, 48_000));
    }

    #[test]
    fn the_end_has_no_media() {
        assert_eq!(captured("closed"), Notice { closed: true, ..Notice::default() });
    }
}
