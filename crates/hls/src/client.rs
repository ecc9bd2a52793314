//! The client: one master playlist at most, one or two renditions, and whom an input is for.

use std::{fmt, time::Instant};

use url::Url;

use crate::{
    Chosen, Failure, FetchId, Fetched, Input, Output, Reason, Rendition, Shown, What, Wish, address, choose,
    desk::{Desk, Pending},
    playlist::{Master, Media, Playlist, Start, parse},
    track::Track,
};

/// An HLS stream that is being played. `Debug` shows no address, which may have a token.
pub struct Client {
    wish: Wish,
    state: State,
    desk: Desk,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("wish", &self.wish).finish_non_exhaustive()
    }
}

enum State {
    /// Nothing was asked for yet.
    New(Url),
    Playing(Box<Playing>),
    /// Ended or failed, and said so.
    Over,
}

struct Playing {
    main: Track,
    audio: Option<Track>,
    /// The master playlist's `EXT-X-START`.
    start: Option<Start>,
    /// Whether a master playlist has been seen: its variants are none.
    chosen: bool,
    /// Whether [`Output::Begun`] was said.
    begun: bool,
}

impl Client {
    /// A client for the playlist at an address, master or media. It begins with the first [`Input::Tick`].
    pub fn new(url: Url, wish: Wish) -> Self {
        Self { wish, state: State::New(url), desk: Desk::new() }
    }

    /// Takes an input; what is to be done now, in this order. Empty once the stream has ended or failed.
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Output> {
        match self.step(now, input) {
            Ok(true) => {
                self.state = State::Over;
                self.desk.outputs.push(Output::Ended);
            }
            Ok(false) => self.desk.outputs.extend(self.wake(now).map(Output::WaitUntil)),
            Err(reason) => {
                self.state = State::Over;
                // Nobody would wait for the answers.
                self.desk.outputs.retain(|output| !matches!(output, Output::Fetch(_)));
                self.desk.outputs.push(Output::Failed(reason));
            }
        }
        std::mem::take(&mut self.desk.outputs)
    }

    /// Whether all of it was given out.
    fn step(&mut self, now: Instant, input: Input) -> Result<bool, Reason> {
        if let State::New(url) = &self.state {
            let url = address::web(url, url.clone(), What::Playlist)?;
            let main = Track::new(now, Rendition::Main, url);
            self.state = State::Playing(Box::new(Playing {
                main,
                audio: None,
                start: None,
                chosen: false,
                begun: false,
            }));
        }
        let State::Playing(playing) = &mut self.state else { return Ok(false) };
        match input {
            Input::Tick => {}
            Input::Taken { rendition } => playing.track(rendition).into_iter().for_each(Track::taken),
            Input::Fetched { id, result } => {
                if let Some(pending) = self.desk.answered(id) {
                    let result = pending.checked(result);
                    playing.answered(now, (id, pending, result), &self.wish, &mut self.desk)?;
                }
            }
        }
        while let Some((pending, failure)) = self.desk.overdue(now) {
            let id = pending.fetch.id;
            playing.answered(now, (id, pending, Err(failure)), &self.wish, &mut self.desk)?;
        }
        playing.turn(now, &mut self.desk)?;
        Ok(playing.has_ended())
    }

    fn wake(&self, now: Instant) -> Option<Instant> {
        let State::Playing(playing) = &self.state else { return None };
        let tracks = [Some(&playing.main), playing.audio.as_ref()];
        let wake = tracks.into_iter().flatten().filter_map(Track::wake).chain(self.desk.wake()).min();
        wake.map(|wake| wake.max(now))
    }
}

impl Playing {
    fn track(&mut self, rendition: Rendition) -> Option<&mut Track> {
        match rendition {
            Rendition::Main => Some(&mut self.main),
            Rendition::Audio => self.audio.as_mut(),
        }
    }

    fn has_ended(&self) -> bool {
        self.main.has_ended() && self.audio.as_ref().is_none_or(Track::has_ended)
    }

    /// Does what is due, the pictures' rendition first: the sound goes along with it.
    fn turn(&mut self, now: Instant, desk: &mut Desk) -> Result<(), Reason> {
        let both = |audio: &Option<Track>| audio.as_ref().is_none_or(|audio| audio.playlist.is_some());
        // Begun together, so that both are as far from the end.
        if both(&self.audio) {
            if let (Some(playlist), false) = (&self.main.playlist, self.begun) {
                let (live, audio) = (!playlist.complete, self.audio.is_some());
                desk.outputs.push(Output::Begun { live, audio });
                self.begun = true;
            }
            self.main.begin(self.start, None);
            if let Some(audio) = &mut self.audio {
                audio.begin(self.start, self.main.place());
            }
        }
        self.main.turn(now, None, desk)?;
        let place = self.main.place();
        self.audio.as_mut().map_or(Ok(()), |audio| audio.turn(now, place, desk))
    }

    fn answered(
        &mut self,
        now: Instant,
        (id, pending, result): (FetchId, Pending, Result<Fetched, Failure>),
        wish: &Wish,
        desk: &mut Desk,
    ) -> Result<(), Reason> {
        let Pending { fetch, rendition, begun } = pending;
        let place = self.main.place();
        let Some(track) = self.track(rendition) else { return Ok(()) };
        if fetch.what != What::Playlist {
            let body = result.map(|fetched| fetched.body);
            return track.answered(now, (id, fetch.what, fetch.url), body, desk);
        }
        let Fetched { url, body } = match result {
            Ok(fetched) => fetched,
            Err(failure) => return track.not_loaded(now, failure),
        };
        let shown = Shown::of(&url);
        match parse(url.into(), &body) {
            Ok(Playlist::Media(media)) => self.loaded(now, begun, (rendition, media), desk),
            Ok(Playlist::Master(_)) if self.chosen => return Err(Reason::Nested { url: shown }),
            Ok(Playlist::Master(master)) => self.choose(now, &master, wish, desk)?,
            // An origin that is writing it, or a page of an error with status 200: as if it had not come.
            Err(error) if place.is_some() => {
                let failure = Failure::Network(error.to_string());
                return self.track(rendition).map_or(Ok(()), |track| track.not_loaded(now, failure));
            }
            Err(error) => return Err(Reason::Playlist { url: shown, error }),
        }
        Ok(())
    }

    fn loaded(
        &mut self,
        now: Instant,
        begun: Instant,
        (rendition, media): (Rendition, Media),
        desk: &mut Desk,
    ) {
        let with = if rendition == Rendition::Audio { self.main.place() } else { None };
        self.chosen = true;
        if let Some(track) = self.track(rendition) {
            track.loaded(now, begun, media, with, desk);
        }
    }

    fn choose(&mut self, now: Instant, master: &Master, wish: &Wish, desk: &mut Desk) -> Result<(), Reason> {
        let variant = choose::variant(master, wish).ok_or_else(|| {
            let codecs = master.variants.iter().take(5).map(|variant| variant.codecs.join("+"));
            let seen = codecs.collect::<Vec<_>>().join(", ").chars().take(200).collect();
            Reason::NoVariant { url: Shown::of(&master.base), count: master.variants.len(), seen }
        })?;
        let resolve = |uri: &str| address::resolve(&master.base, uri, What::Playlist);
        let audio = choose::audio(master, variant);
        let audio_url = audio.and_then(|audio| audio.uri.as_deref()).map(resolve).transpose()?;
        let (main_url, audio_url) = match audio_url {
            // Where no pictures are wanted, the sound alone will do.
            Some(sound) if !wish.pictures => (sound, None),
            audio_url => (resolve(&variant.uri)?, audio_url),
        };
        let name = audio.filter(|_| audio_url.is_some()).map(|audio| audio.name.clone());
        let (size, bandwidth_bps, codecs) = (variant.size, variant.bandwidth_bps, variant.codecs.clone());
        desk.outputs.push(Output::Chosen(Chosen { size, bandwidth_bps, codecs, audio: name }));
        self.main = Track::new(now, Rendition::Main, main_url);
        self.audio = audio_url.map(|url| Track::new(now, Rendition::Audio, url));
        (self.start, self.chosen) = (master.start, true);
        Ok(())
    }
}
