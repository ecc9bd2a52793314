use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};

use livekit_protocol::{IngressInfo, ingress_state::Status as Endpoint};
use psrpc::Code;
use tokio::sync::Semaphore;

use super::*;
use crate::bus::{
    methods::UPDATE_INGRESS_STATE,
    status::{Outcome, Phase},
};

/// A livekit-server that takes every state once its gate is open, unless told otherwise.
struct Fake {
    gate: Semaphore,
    away: AtomicBool,
    refuses: Mutex<Option<Error>>,
    attempts: AtomicUsize,
    at_once: AtomicUsize,
    stored: Mutex<Vec<(String, IngressState)>>,
}

impl Fake {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(1),
            away: AtomicBool::new(false),
            refuses: Mutex::new(None),
            attempts: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            stored: Mutex::new(Vec::new()),
        })
    }

    fn away() -> Arc<Self> {
        let fake = Self::new();
        fake.away.store(true, SeqCst);
        fake
    }

    /// Resource and status of what was stored, in order.
    fn stored(&self) -> Vec<(String, Endpoint)> {
        self.stored.lock().unwrap().iter().map(|(_, s)| (s.resource_id.clone(), s.status())).collect()
    }
}

impl Post for Fake {
    async fn post(&self, ingress_id: &str, state: IngressState, _attempt: u32) -> Result<(), Error> {
        assert_eq!(self.at_once.fetch_add(1, SeqCst), 0, "two updates of one ingress in flight");
        self.attempts.fetch_add(1, SeqCst);
        let gate = self.gate.acquire().await.unwrap();
        self.at_once.fetch_sub(1, SeqCst);
        drop(gate);
        if self.away.load(SeqCst) {
            let source = psrpc::Error::new(Code::Unavailable, "no response from servers");
            return Err(Error::Call { method: UPDATE_INGRESS_STATE, source });
        }
        if let Some(error) = self.refuses.lock().unwrap().clone() {
            return Err(error);
        }
        self.stored.lock().unwrap().push((ingress_id.to_owned(), state));
        Ok(())
    }
}

const START: i64 = 1_795_197_229_000_000_000;
const LONG: Duration = Duration::from_secs(60);

/// A clock that moves 1 ns a look.
fn clock() -> impl Fn() -> i64 + Send + Sync + 'static {
    let at = AtomicI64::new(START);
    move || at.fetch_add(1, SeqCst)
}

fn record() -> Record {
    record_of("IN_1", Some(IngressState::default()))
}

fn record_of(ingress_id: &str, state: Option<IngressState>) -> Record {
    let ingress_id = ingress_id.to_owned();
    Record::new(IngressInfo { ingress_id, reusable: true, state, ..IngressInfo::default() })
}

fn stopped() -> Status {
    Status::new(Phase::Ended(Outcome::Stopped))
}

fn row(resource: &str, endpoint: Endpoint) -> (String, Endpoint) {
    (resource.to_owned(), endpoint)
}

#[tokio::test(start_paused = true)]
async fn a_session_is_reported_from_start_to_end() {
    let fake = Fake::new();
    let reporters = Reporters::new(fake.clone(), clock());
    let reporter = reporters.open(&record(), "RT_1");
    for status in [Status::new(Phase::Buffering), Status::new(Phase::Publishing), stopped()] {
        assert!(reporter.put(status));
        assert!(reporter.flush(LONG).await);
    }
    assert!(!reporter.put(Status::new(Phase::Publishing)), "nothing comes after the final state");
    let expected = [Endpoint::EndpointBuffering, Endpoint::EndpointPublishing, Endpoint::EndpointInactive];
    assert_eq!(fake.stored(), expected.map(|endpoint| row("RT_1", endpoint)));
    let last = fake.stored.lock().unwrap().last().unwrap().1.clone();
    assert_eq!(reporter.state(), last);
    assert!(last.started_at == START && last.ended_at > START && last.updated_at > last.started_at);
    assert_eq!(reporters.shutdown(LONG).await, 0);
}

#[tokio::test(start_paused = true)]
async fn while_livekit_server_is_away_the_newest_state_is_kept_and_offered_with_growing_waits() {
    let fake = Fake::away();
    let reporters = Reporters::new(fake.clone(), clock());
    let reporter = reporters.open(&record(), "RT_1");
    reporter.put(Status::new(Phase::Buffering));
    assert!(time::timeout(LONG, reporter.gone()).await.is_err());
    let attempts = fake.attempts.load(SeqCst);
    assert!((10..=20).contains(&attempts), "{attempts} attempts in a minute");
    reporter.put(Status::new(Phase::Publishing));
    fake.away.store(false, SeqCst);
    assert!(reporter.flush(LONG).await);
    assert_eq!(fake.stored(), [row("RT_1", Endpoint::EndpointPublishing)]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_in_time_when_livekit_server_is_away() {
    let fake = Fake::away();
    let reporters = Reporters::new(fake.clone(), clock());
    let reporter = reporters.open(&record(), "RT_1");
    assert!(reporter.flush(LONG).await, "nothing to deliver yet");
    reporter.put(stopped());
    let before = Instant::now();
    assert!(!reporter.flush(Duration::from_secs(2)).await);
    assert_eq!(before.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_or_superseded_ingress_is_told_to_the_owner_and_posted_to_no_more() {
    for (error, gone) in [(Error::NoIngress, Gone::Deleted), (Error::Superseded, Gone::Superseded)] {
        let fake = Fake::new();
        *fake.refuses.lock().unwrap() = Some(error);
        let reporters = Reporters::new(fake.clone(), clock());
        let reporter = reporters.open(&record(), "RT_1");
        reporter.put(Status::new(Phase::Buffering));
        assert_eq!(reporter.gone().await, gone);
        assert!(!reporter.put(stopped()));
        drop(reporter);
        assert_eq!(reporters.shutdown(LONG).await, 0);
        assert_eq!(fake.attempts.load(SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_stored_state_is_never_posted_to() {
    let fake = Fake::new();
    let reporters = Reporters::new(fake.clone(), clock());
    let reporter = reporters.open(&record_of("IN_1", None), "RT_1");
    assert!(!reporter.put(Status::new(Phase::Buffering)));
    assert_eq!(reporter.gone().await, Gone::Deleted);
    drop(reporter);
    assert_eq!(reporters.shutdown(LONG).await, 0);
    assert_eq!(fake.attempts.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_starts_after_the_stored_one_whatever_the_clock_says() {
    let reporters = Reporters::new(Fake::new(), clock());
    let future = START + 3_000_000_000;
    let stored = IngressState { started_at: future, ..IngressState::default() };
    let reporter = reporters.open(&record_of("IN_1", Some(stored)), "RT_1");
    reporter.put(Status::new(Phase::Buffering));
    assert!(reporter.flush(LONG).await);
    let state = reporter.state();
    assert_eq!(state.started_at, future + 1);
    assert!(state.updated_at > future + 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_session_waits_until_the_last_one_has_said_how_it_ended() {
    let fake = Fake::away();
    let reporters = Reporters::new(fake.clone(), clock());
    let first = reporters.open(&record(), "RT_1");
    first.put(Status::new(Phase::Buffering));
    first.put(stopped());
    drop(first);
    assert!(time::timeout(LONG, std::future::pending::<()>()).await.is_err());
    fake.away.store(false, SeqCst);
    let second = reporters.open(&record(), "RT_2");
    second.put(Status::new(Phase::Buffering));
    assert!(second.flush(LONG).await);
    let expected = [row("RT_1", Endpoint::EndpointInactive), row("RT_2", Endpoint::EndpointBuffering)];
    assert_eq!(fake.stored(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_next_session_does_not_wait_for_ever_for_a_final_state_that_nobody_takes() {
    let fake = Fake::away();
    let reporters = Reporters::new(fake.clone(), clock());
    let first = reporters.open(&record(), "RT_1");
    first.put(stopped());
    let second = reporters.open(&record(), "RT_2");
    second.put(Status::new(Phase::Buffering));
    assert!(!second.flush(LONG).await);
    fake.away.store(false, SeqCst);
    assert!(second.flush(LONG).await);
    assert_eq!(fake.stored(), [row("RT_2", Endpoint::EndpointBuffering)]);
}

#[tokio::test(start_paused = true)]
async fn a_live_session_is_superseded_by_a_new_one_on_its_ingress() {
    let fake = Fake::new();
    let reporters = Reporters::new(fake.clone(), clock());
    let first = reporters.open(&record(), "RT_1");
    first.put(Status::new(Phase::Publishing));
    assert!(first.flush(LONG).await);
    let second = reporters.open(&record(), "RT_2");
    assert_eq!(first.gone().await, Gone::Superseded);
    assert!(!first.put(stopped()));
    second.put(Status::new(Phase::Buffering));
    assert!(second.flush(LONG).await);
    let expected = [row("RT_1", Endpoint::EndpointPublishing), row("RT_2", Endpoint::EndpointBuffering)];
    assert_eq!(fake.stored(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_new_session_does_not_overtake_an_update_in_flight() {
    let fake = Fake::new();
    let closed = fake.gate.acquire().await.unwrap();
    let reporters = Reporters::new(fake.clone(), clock());
    let first = reporters.open(&record(), "RT_1");
    first.put(Status::new(Phase::Publishing));
    assert!(!first.flush(LONG).await);
    let second = reporters.open(&record(), "RT_2");
    second.put(Status::new(Phase::Buffering));
    assert!(!second.flush(LONG).await);
    drop(closed);
    assert!(second.flush(LONG).await);
    assert_eq!(first.gone().await, Gone::Superseded);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_vanishes_leaves_an_error_and_not_a_session_that_seems_alive() {
    let fake = Fake::new();
    let reporters = Reporters::new(fake.clone(), clock());
    let reporter = reporters.open(&record(), "RT_1");
    reporter.put(Status::new(Phase::Publishing));
    assert!(reporter.flush(LONG).await);
    drop(reporter);
    drop(reporters.open(&record_of("IN_2", Some(IngressState::default())), "RT_2"));
    assert_eq!(reporters.shutdown(LONG).await, 0);
    assert_eq!(
        fake.stored(),
        [row("RT_1", Endpoint::EndpointPublishing), row("RT_1", Endpoint::EndpointError)]
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_delivers_what_it_can_and_ends_in_time() {
    let fake = Fake::away();
    let reporters = Reporters::new(fake.clone(), clock());
    let reporter = reporters.open(&record(), "RT_1");
    reporter.put(stopped());
    drop(reporter);
    let before = Instant::now();
    assert_eq!(reporters.shutdown(Duration::from_secs(5)).await, 1);
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    assert!(fake.attempts.load(SeqCst) >= 20, "retries are quick at shutdown");
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_delete_was_lost_learns_of_it_within_a_minute() {
    let fake = Fake::new();
    let reporters = Reporters::new(fake.clone(), clock());
    let reporter = reporters.open(&record(), "RT_1");
    reporter.put(Status::new(Phase::Publishing));
    assert!(reporter.flush(LONG).await);
    *fake.refuses.lock().unwrap() = Some(Error::NoIngress);
    assert_eq!(time::timeout(LONG + Duration::from_secs(1), reporter.gone()).await, Ok(Gone::Deleted));
}
