//! The way to a session: a bounded mailbox, and what may be in it.

use livekit::room::{Error, Events, Participant};
use session::{Input, Shutdown, SourceId, WorkerId};
use tokio::sync::mpsc;

use super::{
    publisher::{Closer, Request},
    pull,
    worker::Pulse,
};

/// What waits for a session's task. It answers within microseconds; a sender that finds it full waits.
const MAIL: usize = 256;

/// What a session is told from outside.
#[derive(Debug)]
pub(super) enum Message {
    Input(Input),
    Accepted(SourceId, Closer),
    TakeOver(Request),
    /// A start of this very session, to be answered with its state.
    Ask(pull::Answer),
    Joined(Result<(Participant, Events), Error>),
    Measured(WorkerId, Pulse),
    /// Percent of the sound's packets that the receiver misses.
    SoundLoss(u8),
}

/// The way to a session. Clones share it; what is sent after the session's end is lost, as the session's own.
#[derive(Debug, Clone)]
pub(crate) struct Mail(mpsc::Sender<Message>);

/// A session's mailbox.
#[derive(Debug)]
pub(super) struct Mailbox(pub(super) mpsc::Receiver<Message>);

impl Mail {
    pub(super) fn new() -> (Self, Mailbox) {
        let (sender, receiver) = mpsc::channel(MAIL);
        (Self(sender), Mailbox(receiver))
    }

    pub(super) async fn input(&self, input: Input) {
        self.tell(Message::Input(input)).await;
    }

    /// False when the session is over.
    pub(super) async fn accepted(&self, source: SourceId, closer: Closer) -> bool {
        self.tell(Message::Accepted(source, closer)).await
    }

    pub(super) async fn measured(&self, worker: WorkerId, pulse: Pulse) {
        self.tell(Message::Measured(worker, pulse)).await;
    }

    /// Hands a second publisher over; gives it back when the session is over.
    pub(super) async fn take_over(&self, request: Request) -> Result<(), Request> {
        match self.0.send(Message::TakeOver(request)).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendError(Message::TakeOver(request))) => Err(request),
            Err(_) => unreachable!("the channel gives back what was sent"),
        }
    }

    /// Asks for the session's state; gives the question back when the session is over.
    pub(super) async fn ask(&self, answer: pull::Answer) -> Result<(), pull::Answer> {
        match self.0.send(Message::Ask(answer)).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendError(Message::Ask(answer))) => Err(answer),
            Err(_) => unreachable!("the channel gives back what was sent"),
        }
    }

    /// The server goes down.
    pub(super) async fn shut_down(&self, how: Shutdown) {
        self.input(Input::Shutdown(how)).await;
    }

    /// Resolves when the session is over.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }

    pub(super) async fn tell(&self, message: Message) -> bool {
        self.0.send(message).await.is_ok()
    }
}
