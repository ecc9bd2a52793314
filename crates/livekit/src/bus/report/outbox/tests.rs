use livekit_protocol::ingress_state::Status as Endpoint;
use proptest::prelude::*;

use super::*;

const START: i64 = 1_000_000;

/// What can happen to an outbox.
#[derive(Debug, Clone)]
enum Event {
    Put(Status),
    Poll,
    Answer(Answer),
    /// Milliseconds of waiting; nanoseconds that the wall clock moves, either way.
    Pass(u64, i64),
    Hurry,
    Supersede,
    Orphan,
}

fn status() -> impl Strategy<Value = Status> {
    let phase = prop_oneof![
        4 => Just(Phase::Buffering),
        6 => Just(Phase::Publishing),
        1 => Just(Phase::Ended(Outcome::Stopped)),
        1 => Just(Phase::Ended(Outcome::Failed("room disconnected".into()))),
    ];
    (phase, 0..4_u8).prop_map(|(phase, n)| Status { room_sid: format!("RM_{n}"), ..Status::new(phase) })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => status().prop_map(Event::Put),
        8 => Just(Event::Poll),
        8 => prop_oneof![8 => Just(Answer::Stored), 8 => Just(Answer::Failed), 1 => Just(Answer::Refused(Gone::Deleted))]
            .prop_map(Event::Answer),
        4 => (0..8000_u64, -1_000_000..1_000_000_i64).prop_map(|(ms, ns)| Event::Pass(ms, ns)),
        1 => Just(Event::Hurry),
        1 => Just(Event::Supersede),
        1 => Just(Event::Orphan),
    ]
}

/// An outbox and what an observer knows about it.
struct World {
    outbox: Outbox,
    now: Now,
    in_flight: Option<IngressState>,
    /// The newest status that was taken.
    newest: Option<Status>,
    posted: Vec<IngressState>,
    stored: Vec<IngressState>,
}

fn is_final(state: &IngressState) -> bool {
    !matches!(state.status(), Endpoint::EndpointBuffering | Endpoint::EndpointPublishing)
}

impl World {
    fn new() -> Self {
        let session = Constant { resource_id: "RT_1".into(), started_at: START, reusable: true };
        Self {
            outbox: Outbox::new(session),
            now: Now { instant: Instant::now(), unix_ns: START },
            in_flight: None,
            newest: None,
            posted: vec![],
            stored: vec![],
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Put(status) => {
                if self.outbox.put(self.now, status.clone()) {
                    assert!(
                        !self.newest.as_ref().is_some_and(Status::is_terminal),
                        "taken after the final one"
                    );
                    self.newest = Some(status);
                }
            }
            Event::Poll => self.poll(),
            Event::Answer(answer) => {
                if let Some(state) = self.in_flight.take() {
                    self.outbox.answered(self.now, answer);
                    if answer == Answer::Stored {
                        self.stored.push(state);
                    }
                }
            }
            Event::Pass(ms, ns) => {
                self.now.instant += Duration::from_millis(ms);
                self.now.unix_ns += ns;
            }
            Event::Hurry => self.outbox.hurry(),
            Event::Supersede => self.outbox.supersede(),
            Event::Orphan => {
                self.outbox.orphan(self.now);
                if self.outbox.ending().is_none() {
                    self.newest = self.outbox.latest.clone();
                }
            }
        }
    }

    fn poll(&mut self) {
        let Step::Post { state, .. } = self.outbox.poll(self.now) else { return };
        assert!(self.in_flight.is_none(), "two in flight");
        let newest = self.newest.as_ref().expect("something was put");
        assert_eq!(state.room_id, newest.room_sid, "not the newest");
        assert_eq!(is_final(&state), newest.is_terminal());
        assert_eq!(is_final(&state), state.ended_at != 0);
        assert_eq!(state.started_at, START);
        if let Some(before) = self.posted.last() {
            assert!(state.updated_at > before.updated_at, "updated_at does not grow");
            assert!(!is_final(before) || (before.status(), &before.error) == (state.status(), &state.error));
        }
        assert!(!self.stored.iter().any(is_final), "posted after the final state was stored");
        self.posted.push(*state.clone());
        self.in_flight = Some(*state);
    }

    /// livekit-server is back and takes everything.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.apply(Event::Pass(LAST_RETRY.as_millis() as u64, 1));
            self.poll();
            self.apply(Event::Answer(Answer::Stored));
        }
        assert!(self.outbox.is_settled());
    }
}

proptest! {
    #[test]
    fn in_any_order_of_events_the_rules_of_the_bus_hold(events in proptest::collection::vec(event(), 0..120)) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
        }
        world.settle();
        let finals = world.stored.iter().filter(|state| is_final(state)).count();
        match world.outbox.ending() {
            Some(Ending::Delivered) => prop_assert_eq!(finals, 1),
            Some(_) => prop_assert_eq!(finals, 0),
            None => {
                prop_assert_eq!(finals, 0);
                let newest = world.newest.as_ref().map(|status| &status.room_sid);
                prop_assert_eq!(world.stored.last().map(|state| &state.room_id), newest);
            }
        }
        if world.newest.is_some_and(|status| status.is_terminal()) {
            prop_assert!(world.outbox.ending().is_some(), "a final state always leads to an end");
        }
    }
}

#[test]
fn a_final_state_is_given_up_after_an_hour() {
    let mut world = World::new();
    world.apply(Event::Put(Status::new(Phase::Ended(Outcome::Stopped))));
    let mut waited = Duration::ZERO;
    while world.outbox.ending().is_none() {
        world.poll();
        world.apply(Event::Answer(Answer::Failed));
        world.apply(Event::Pass(5000, 0));
        waited += Duration::from_secs(5);
    }
    assert_eq!(world.outbox.ending(), Some(Ending::Abandoned));
    assert!((KEEP_FINAL..KEEP_FINAL + Duration::from_secs(10)).contains(&waited), "{waited:?}");
}

#[test]
fn a_live_session_says_again_what_it_said_a_minute_ago_and_one_that_ended_does_not() {
    let mut world = World::new();
    world.apply(Event::Put(Status::new(Phase::Publishing)));
    world.poll();
    world.apply(Event::Answer(Answer::Stored));
    let due = Step::Wait(Some(world.now.instant + REFRESH));
    assert_eq!(world.outbox.poll(world.now), due);
    world.apply(Event::Pass(60_000, 0));
    world.poll();
    assert!(world.in_flight.is_some());
    world.apply(Event::Put(Status::new(Phase::Ended(Outcome::Stopped))));
    world.settle();
    world.apply(Event::Pass(60_000, 0));
    assert_eq!(world.outbox.poll(world.now), Step::Over(Ending::Delivered));
    assert_eq!(world.posted.len(), 3);
}
