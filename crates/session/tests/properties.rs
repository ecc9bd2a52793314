//! Random surroundings: whatever happens in whatever order, the promises of the design hold.

mod rig;
mod world;

use std::time::Duration;

use media::{Kind, Layer, Quality};
use proptest::prelude::*;
use rig::*;
use sluicegate_session::*;
use world::{Event, Pick, World};

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![4 => Just(Pick::Newest), 1 => Just(Pick::Older)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Video), Just(Kind::Audio)]
}

fn qualities() -> impl Strategy<Value = Qualities> {
    proptest::sample::subsequence(Quality::ALL.to_vec(), 0..=3).prop_map(|set| set.into_iter().collect())
}

fn ladder() -> impl Strategy<Value = Vec<Layer>> {
    proptest::sample::subsequence(layers(), 1..=3)
}

fn source_end() -> impl Strategy<Value = SourceEnd> {
    use SourceEnd::*;
    prop_oneof![
        Just(Finished),
        Just(Lost),
        Just(Silent),
        Just(Unsupported("x".into())),
        Just(Invalid("x".into())),
        Just(Pull { label: "not_found", text: "x".into() })
    ]
}

fn room_end() -> impl Strategy<Value = RoomEnd> {
    use RoomEnd::*;
    prop_oneof![Just(Left), Just(Removed), Just(Duplicate), Just(ConnectionLost), Just(JoinFailed)]
}

fn sound_way() -> impl Strategy<Value = SoundWay> {
    prop_oneof![Just(SoundWay::Untouched { info: AUDIO, channels: 2 }), Just(SoundWay::Encoded)]
}

fn common() -> impl Strategy<Value = Event> {
    use Event::*;
    prop_oneof![
        12 => Just(Progress),
        1 => prop_oneof![Just(Admitted::Yes), Just(Admitted::Full), Just(Admitted::ShuttingDown)].prop_map(Admission),
        2 => pick().prop_map(Accepted),
        2 => Just(TookOver),
        2 => (pick(), kind()).prop_map(|(pick, kind)| Format(pick, kind)),
        6 => pick().prop_map(Media),
        2 => (pick(), sound_way()).prop_map(|(pick, way)| Sound(pick, way)),
        3 => pick().prop_map(Passing),
        2 => pick().prop_map(PassedKey),
        2 => pick().prop_map(NotPassing),
        1 => Just(Joined),
        1 => Just(Connected),
        2 => Just(Reconnecting),
        2 => any::<bool>().prop_map(Resumed),
        2 => kind().prop_map(Published),
        4 => qualities().prop_map(Wanted),
        2 => any::<bool>().prop_map(Withhold),
        6 => proptest::sample::select(Quality::ALL.to_vec()).prop_map(Key),
        3 => pick().prop_map(Ready),
        2 => pick().prop_map(Info),
        3 => (pick(), ladder()).prop_map(|(pick, layers)| Layers(pick, layers)),
        2 => pick().prop_map(Audio),
        5 => pick().prop_map(FrameOut),
    ]
}

fn faults() -> impl Strategy<Value = Event> {
    use Event::*;
    prop_oneof![
        3 => (pick(), source_end()).prop_map(|(pick, end)| SourceEnded(pick, end)),
        1 => room_end().prop_map(RoomEnded),
        1 => pick().prop_map(Finished),
        2 => pick().prop_map(Failed),
        4 => pick().prop_map(Died),
        1 => any::<bool>().prop_map(Update),
        1 => Just(Delete),
        1 => Just(Reported),
        1 => prop_oneof![Just(StateRefusal::Deleted), Just(StateRefusal::Superseded)].prop_map(Refused),
        1 => prop_oneof![
            4 => Just(Shutdown(sluicegate_session::Shutdown::Drain)),
            1 => Just(Shutdown(sluicegate_session::Shutdown::Now)),
        ],
    ]
}

/// An event and how long after the one before it.
fn steps(faulty: u32) -> impl Strategy<Value = Vec<(Duration, Event)>> {
    let event = prop_oneof![60 => common(), faulty => faults()];
    let pause = prop_oneof![
        30 => Just(Duration::ZERO),
        60 => (1u64..400).prop_map(Duration::from_millis),
        1 => (1u64..40_000).prop_map(Duration::from_millis),
    ];
    proptest::collection::vec((pause, event), 0..160)
}

fn ender() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Delete),
        Just(Event::Update(true)),
        Just(Event::Shutdown(Shutdown::Now)),
        Just(Event::RoomEnded(RoomEnd::Removed)),
        Just(Event::Refused(StateRefusal::Superseded)),
    ]
}

/// From any request to end to `Over`: the final state and the room, at worst without an answer.
fn limit() -> Duration {
    Budget::default().flush + Budget::default().leave
}

/// Where a random sequence starts: a session that has just asked, or one that got further in an ordinary way.
fn start() -> impl Strategy<Value = Stage> {
    prop_oneof![1 => Just(Stage::Asked), 1 => Just(Stage::Joining), 1 => Just(Stage::Buffering), 3 => Just(Stage::Live)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_promise_holds_in_any_order_of_events(stage in start(), steps in steps(6)) {
        let mut world = World::at(stage);
        world.live_through(steps);
    }

    #[test]
    fn an_end_is_reached_within_the_budget_whatever_else_happens(
        before in steps(1), ender in ender(), after in steps(20)
    ) {
        let mut world = World::at(Stage::Live);
        world.live_through(before);
        world.happen(ender);
        let until = world.rig.now + limit();
        for (pause, event) in after {
            world.pass(pause.min(until - world.rig.now));
            world.happen(event);
        }
        world.pass(until - world.rig.now);
        prop_assert!(world.over);
    }

    #[test]
    fn a_pull_keeps_every_promise_in_any_order_of_events(stage in start(), steps in steps(6)) {
        let mut world = World::with(PULL, stage);
        world.live_through(steps);
    }

    #[test]
    fn a_pull_that_is_admitted_always_has_an_end_that_users_see(
        stage in prop_oneof![Just(Stage::Admitted), Just(Stage::Live)], before in steps(3), end in source_end()
    ) {
        let mut world = World::with(PULL, stage);
        world.live_through(before);
        for source in world.open.clone() {
            world.feed(Input::SourceEnded { source, end: end.clone() });
        }
        world.pass(limit());
        prop_assert!(world.over);
    }

    #[test]
    fn a_session_that_nobody_feeds_any_more_comes_to_its_end(before in steps(3)) {
        let mut world = World::at(Stage::Live);
        world.live_through(before);
        for source in world.open.clone() {
            world.feed(Input::SourceEnded { source, end: SourceEnd::Lost });
        }
        world.pass(limit());
        prop_assert!(world.over);
    }
}
