use media::{Kind, Layer, Quality};
use str0m::{
    change::SdpApi,
    media::{Direction, MediaKind, Mid, Rid, Simulcast, SimulcastLayer},
};

use super::Error;

/// The simulcast id of a layer. The SFU knows the set q, h, f, and takes the last for the top (RFC 8853; LiveKit's convention).
pub fn rid(quality: Quality) -> &'static str {
    match quality {
        Quality::Low => "q",
        Quality::Medium => "h",
        Quality::High => "f",
    }
}

/// Whether these layers can be one track: one to three, lowest first, each quality once, the last one high.
pub fn check_layers(layers: &[Layer]) -> Result<(), Error> {
    let qualities: Vec<Quality> = layers.iter().map(|layer| layer.quality).collect();
    let ascending = qualities.windows(2).all(|pair| pair[0] < pair[1]);
    if qualities.last() == Some(&Quality::High) && ascending {
        return Ok(());
    }
    Err(Error::Layers { count: layers.len(), found: format!("{qualities:?}").to_lowercase() })
}

/// A track from the moment that somebody wants it published.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) kind: Kind,
    /// The layers' qualities, lowest first; empty for sound.
    pub(super) qualities: Vec<Quality>,
    stream: String,
    cid: String,
    /// Known once an offer holds it.
    pub(super) mid: Option<Mid>,
    /// What goes out is kept to be sent again, as much as we want.
    pub(super) resends: bool,
}

impl Track {
    pub(super) fn audio(stream: &str, cid: &str) -> Self {
        Self {
            kind: Kind::Audio,
            qualities: vec![],
            stream: stream.into(),
            cid: cid.into(),
            mid: None,
            resends: false,
        }
    }

    pub(super) fn video(layers: &[Layer], stream: &str, cid: &str) -> Result<Self, Error> {
        check_layers(layers)?;
        let qualities = layers.iter().map(|layer| layer.quality).collect();
        Ok(Self {
            kind: Kind::Video,
            qualities,
            stream: stream.into(),
            cid: cid.into(),
            mid: None,
            resends: false,
        })
    }

    /// The rid that goes with each packet of a layer: none on a track with one layer.
    pub(super) fn rid(&self, quality: Quality) -> Option<Rid> {
        (self.qualities.len() > 1).then(|| Rid::from(rid(quality)))
    }

    /// Which layer a rid stands for.
    pub(super) fn quality(&self, sent: Option<Rid>) -> Option<Quality> {
        match sent {
            None => self.qualities.last().copied(),
            Some(sent) => self.qualities.iter().copied().find(|q| sent == Rid::from(rid(*q))),
        }
    }

    /// Adds the track's media line to an offer.
    pub(super) fn offer(&mut self, changes: &mut SdpApi<'_>) {
        let (kind, simulcast) = match self.kind {
            Kind::Audio => (MediaKind::Audio, None),
            Kind::Video => (MediaKind::Video, self.simulcast()),
        };
        // The SFU finds the AddTrackRequest of a media line by the track id in its msid.
        let (stream, cid) = (Some(self.stream.clone()), Some(self.cid.clone()));
        self.mid = Some(changes.add_media(kind, Direction::SendOnly, stream, cid, simulcast));
    }

    fn simulcast(&self) -> Option<Simulcast> {
        let mut simulcast = Simulcast::new();
        if self.qualities.len() < 2 {
            return None;
        }
        for quality in &self.qualities {
            simulcast.add_send_layer(SimulcastLayer::new(rid(*quality)));
        }
        Some(simulcast)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(quality: Quality) -> Layer {
        Layer { quality, width: 2, height: 2, bitrate_bps: 1 }
    }

    #[test]
    fn layers_must_ascend_to_high() {
        use Quality::*;
        for good in [vec![High], vec![Medium, High], vec![Low, High], vec![Low, Medium, High]] {
            let layers: Vec<_> = good.iter().copied().map(layer).collect();
            assert_eq!(Track::video(&layers, "s", "c").unwrap().qualities, good);
        }
        for bad in [vec![], vec![Low], vec![High, High], vec![High, Low], vec![Medium, Low, High]] {
            let layers: Vec<_> = bad.iter().copied().map(layer).collect();
            assert!(matches!(Track::video(&layers, "s", "c"), Err(Error::Layers { .. })), "{bad:?}");
        }
    }

    #[test]
    fn one_layer_has_no_rid_and_more_have_one_each() {
        let one = Track::video(&[layer(Quality::High)], "s", "c").unwrap();
        assert_eq!(one.rid(Quality::High), None);
        assert_eq!(one.quality(None), Some(Quality::High));
        let two = Track::video(&[layer(Quality::Medium), layer(Quality::High)], "s", "c").unwrap();
        assert_eq!(two.rid(Quality::Medium), Some(Rid::from("h")));
        assert_eq!(two.quality(Some(Rid::from("f"))), Some(Quality::High));
        assert_eq!(two.quality(Some(Rid::from("q"))), None);
    }
}
