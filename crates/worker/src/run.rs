use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::{BufMut as _, BytesMut};
use media::{Format, Kind, Packet, TrackId, Unit};
use pipeline::{Command, Event, Plan, Start, wire};
use thiserror::Error;

use crate::{
    build::{self, News},
    clock,
    drain::Drain,
    inbox::{Inbox, Item, Room},
    load::Untold,
    outbox::Outbox,
    track::{Track, Ways},
    video::Video,
};

/// How often buses and counters are looked at while nothing comes.
const TICK: Duration = Duration::from_millis(50);

/// The same while a full decoder holds up its lane, one encoder takes over from another, or the end is being drained.
const SHORT_TICK: Duration = Duration::from_millis(2);

/// How often the load is reported, and dropped frames with it.
const REPORT: Duration = Duration::from_secs(1);

/// Bytes asked of the socket at a time.
const READ_AT_ONCE: usize = 64 * 1024;

/// Why a worker ended before its stream did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket could not be used.
    #[error("worker socket: {0}")]
    Socket(#[from] io::Error),
    /// The server closed the socket, or spoke nonsense.
    #[error("{0}")]
    Closed(String),
    /// The first command was another.
    #[error("first command is {0}, expected start")]
    NotStarted(&'static str),
    /// The plan could not be carried out.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// GStreamer gave up.
    #[error("{0}")]
    Pipeline(String),
}

/// Serves one session over `socket` until its end of stream is drained, it fails, or the server is gone. GStreamer must
/// be initialised. What went wrong has also been sent as [`Event::Failed`].
///
/// # Errors
/// Whatever ended it but the end of its stream.
pub fn run(socket: UnixStream) -> Result<(), Error> {
    let inbox = Arc::new(Inbox::new());
    let (outbox, writer) = Outbox::new(socket.try_clone()?)?;
    let reader = {
        let (inbox, socket) = (inbox.clone(), socket.try_clone()?);
        thread::Builder::new().name("inbox".into()).spawn(move || read(socket, &inbox))?
    };
    let result = Session::serve(&inbox, &outbox);
    match &result {
        Ok(()) => outbox.send(Event::Ended),
        Err(Error::Closed(_)) => {}
        Err(error) => outbox.send(Event::Failed(error.to_string())),
    }
    inbox.stop();
    drop(outbox);
    if matches!(result, Err(Error::Closed(_))) {
        // Nobody reads: a writer that waits for a full socket would wait for ever.
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
    writer.join();
    let _ = socket.shutdown(std::net::Shutdown::Both);
    let _ = reader.join();
    result
}

/// The reader thread: bytes into commands.
fn read(mut socket: UnixStream, inbox: &Inbox) {
    let mut received = BytesMut::new();
    let mut chunk = vec![0; READ_AT_ONCE];
    let why = loop {
        match wire::next::<Command>(&mut received) {
            Ok(Some(command)) => {
                if !inbox.put(command) {
                    return;
                }
            }
            Err(error) => break error.to_string(),
            Ok(None) => match socket.read(&mut chunk) {
                Ok(0) => break "server closed the socket".to_owned(),
                Ok(read) => received.put_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break format!("read worker socket: {error}"),
            },
        }
    };
    inbox.close(why);
}

struct Session {
    plan: Plan,
    ways: Ways,
    video: Video,
    video_track: Option<Track>,
    audio_track: Option<Track>,
    /// Percent of the sound's packets that the receiver misses.
    sound_loss: u8,
    draining: Option<Drain>,
    reported: Instant,
    load: Untold,
    /// A report that found the way full.
    unsent: Option<String>,
}

impl Session {
    fn serve(inbox: &Arc<Inbox>, outbox: &Outbox) -> Result<(), Error> {
        let mut session = loop {
            match inbox.take(Room::ALL, TICK) {
                None => {}
                Some(Item::Command(Command::Start(start))) => break Session::new(*start, inbox, outbox),
                Some(Item::Command(other)) => return Err(Error::NotStarted(name(&other))),
                Some(Item::Unit(unit, _)) => return Err(Error::NotStarted(name(&Command::Unit(unit)))),
                Some(Item::Closed(why)) => return Err(Error::Closed(why)),
                Some(Item::Frame(_)) => unreachable!("nothing makes frames before the start"),
            }
        };
        outbox.send(Event::Ready);
        while !session.step()? {}
        Ok(())
    }

    fn new(Start { plan, output_from }: Start, inbox: &Arc<Inbox>, outbox: &Outbox) -> Self {
        let ways = Ways { inbox: inbox.clone(), outbox: outbox.clone(), output_from };
        let video =
            Video::new(plan.clone(), inbox.clone(), outbox.clone(), output_from.and_then(clock::to_gst));
        Self {
            plan,
            ways,
            video,
            video_track: None,
            audio_track: None,
            sound_loss: 0,
            draining: None,
            reported: Instant::now(),
            load: Untold::default(),
            unsent: None,
        }
    }

    /// One turn of the command thread; true when the stream is drained.
    fn step(&mut self) -> Result<bool, Error> {
        let has_room = |track: &Option<Track>| track.as_ref().is_none_or(Track::has_room);
        let room = Room { sound: has_room(&self.audio_track), pictures: has_room(&self.video_track) };
        let busy = room != Room::ALL || self.draining.is_some() || self.video.is_handing_over();
        let patience = if busy { SHORT_TICK } else { TICK };
        match self.ways.inbox.take(room, patience) {
            Some(Item::Command(command)) => self.command(command)?,
            Some(Item::Unit(Unit::Format(track, format), _)) => self.format(track, format)?,
            Some(Item::Unit(Unit::Packet(packet), since)) => self.packet(packet, since),
            Some(Item::Frame(frame)) => {
                if let Some(track) = &self.video_track {
                    self.video.frame(frame, track.format.codec)?;
                }
            }
            Some(Item::Closed(why)) => return Err(Error::Closed(why)),
            None => {}
        }
        self.report();
        self.video.tend(Instant::now(), self.draining.is_some())?;
        if self.draining.is_some() {
            return self.drain();
        }
        self.listen()?;
        Ok(false)
    }

    fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.video_track.iter().chain(&self.audio_track)
    }

    fn command(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Start(_) => self.warn("a second start command is ignored"),
            Command::Unit(_) => unreachable!("the inbox gives units as such"),
            Command::Keyframe(quality) => self.video.keyframe(quality),
            Command::Pause(quality) => self.video.pause(quality),
            Command::Resume(quality) => self.video.resume(quality),
            Command::SkipTo(time) => self.video.skip_to(time),
            Command::ResumeAt(quality, time) => self.video.resume_at(quality, time),
            Command::Effort(effort) => self.video.set_effort(effort),
            Command::SoundLoss(percent) => {
                self.sound_loss = percent;
                self.audio_track.iter().for_each(|track| track.set_loss(percent));
            }
            Command::EndOfStream => {
                self.tracks().for_each(Track::end);
                self.draining = Some(Drain::new(self.video_track.is_some(), self.audio_track.is_some()));
            }
        }
        Ok(())
    }

    fn format(&mut self, id: TrackId, format: Format) -> Result<(), Error> {
        let slot = match format.codec.kind() {
            Kind::Video => &mut self.video_track,
            Kind::Audio => &mut self.audio_track,
        };
        if let Some(track) = slot {
            if track.id != id {
                self.warn("a second track of the same kind is ignored");
                return Ok(());
            }
            if track.format == format {
                return Ok(());
            }
            if track.format.codec == format.codec {
                return Ok(track.reconfigure(format)?);
            }
        }
        // The old decoder ends before the new one starts.
        *slot = None;
        let codec = format.codec;
        *slot = Track::start(id, format, &self.plan, &self.ways)?;
        slot.iter().for_each(|track| track.set_loss(self.sound_loss));
        if slot.is_none() {
            self.warn(&format!("a track of {codec} cannot be decoded here and is ignored"));
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet, since: Instant) {
        if packet.kind == Kind::Video {
            self.video.expect(packet.pts, since);
        }
        let mut tracks = self.video_track.iter_mut().chain(&mut self.audio_track);
        if let Some(track) = tracks.find(|track| track.id == packet.track) {
            track.push(packet);
        }
    }

    /// What chains have said while all should be running.
    fn listen(&mut self) -> Result<(), Error> {
        for track in self.tracks() {
            if let Some(News::Failed(why)) = track.news() {
                return Err(Error::Pipeline(format!("track of {}: {why}", track.format.codec)));
            }
        }
        self.video.failure().map_or(Ok(()), |why| Err(Error::Pipeline(why)))
    }

    /// True when everything under way has come out, or the time is up.
    fn drain(&mut self) -> Result<bool, Error> {
        let Some(drain) = &mut self.draining else { return Ok(false) };
        if drain.is_late() {
            self.warn("the end of the stream was not drained in time");
            return Ok(true);
        }
        let news = |track: &Option<Track>| track.as_ref().and_then(Track::news);
        let tracks = (news(&self.video_track), news(&self.audio_track));
        drain
            .step(tracks, self.video.branches(), || self.ways.inbox.frames_are_empty())
            .map_err(Error::Pipeline)
    }

    /// Says how far behind the worker is, and what has been dropped since the last time. A server that does not read gets
    /// it when it does.
    fn report(&mut self) {
        let outbox = &self.ways.outbox;
        self.video.tell_notes(|note| outbox.offer(Event::Warning(note)));
        if self.reported.elapsed() < REPORT {
            return;
        }
        self.reported = Instant::now();
        let mut dropped = 0;
        if self.unsent.is_none() {
            (dropped, self.unsent) = self.video.take_dropped();
        }
        self.load.add(self.video.take_behind(), dropped);
        self.load.tell(|load| outbox.offer(Event::Load(load)));
        if let Some(line) = &self.unsent
            && outbox.offer(Event::Warning(line.clone()))
        {
            self.unsent = None;
        }
    }

    /// This thread must not wait for a server that does not read: a warning may be lost.
    fn warn(&self, line: &str) {
        self.ways.outbox.offer(Event::Warning(line.to_owned()));
    }
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Start(_) => "start",
        Command::Unit(Unit::Format(..)) => "a format",
        Command::Unit(Unit::Packet(_)) => "a packet",
        Command::Keyframe(_) => "keyframe",
        Command::Pause(_) => "pause",
        Command::Resume(_) => "resume",
        Command::SkipTo(_) => "skip",
        Command::ResumeAt(..) => "resume at",
        Command::Effort(_) => "effort",
        Command::SoundLoss(_) => "sound loss",
        Command::EndOfStream => "end of stream",
    }
}
