use session::{Input, Stage};
use tokio::sync::watch;

/// Who takes what is played. A file need not begin before somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Audience {
    /// Nobody: the worker starts.
    None,
    /// A worker does, and finds out what there is to publish. Nobody can see it.
    Worker,
    /// The room has its tracks, and its connection stands.
    Room,
}

/// What the session's inputs say of it.
#[derive(Debug)]
pub(in super::super) struct Attendance {
    audience: watch::Sender<Audience>,
    connected: bool,
}

impl Attendance {
    pub(in super::super) fn new() -> Self {
        Self { audience: watch::Sender::new(Audience::None), connected: false }
    }

    pub(in super::super) fn subscribe(&self) -> watch::Receiver<Audience> {
        self.audience.subscribe()
    }

    /// Takes what happens, before the state machine does.
    pub(in super::super) fn note(&mut self, input: &Input) {
        match input {
            Input::WorkerReady(_) => self.grow(Audience::Worker),
            Input::RoomConnected => self.connected = true,
            _ => {}
        }
    }

    /// Takes what the state machine made of it.
    pub(in super::super) fn follow(&self, stage: Stage) {
        if stage == Stage::Live && self.connected {
            self.grow(Audience::Room);
        }
    }

    /// It is never taken back: a worker or a connection that breaks is what queues and repetitions are for.
    fn grow(&self, to: Audience) {
        self.audience.send_if_modified(|audience| {
            let grows = *audience < to;
            *audience = to.max(*audience);
            grows
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_the_audience_once_it_has_tracks_and_a_connection() {
        let mut attendance = Attendance::new();
        let now = attendance.subscribe();
        attendance.follow(Stage::Buffering);
        assert_eq!(*now.borrow(), Audience::None);
        attendance.grow(Audience::Worker);
        assert_eq!(*now.borrow(), Audience::Worker);
        attendance.follow(Stage::Live);
        assert_eq!(*now.borrow(), Audience::Worker);
        attendance.note(&Input::RoomConnected);
        attendance.follow(Stage::Live);
        attendance.grow(Audience::Worker);
        assert_eq!(*now.borrow(), Audience::Room);
    }
}
