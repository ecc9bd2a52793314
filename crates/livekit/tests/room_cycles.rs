//! What stays behind when participants come and go. A test of its own process: it counts file descriptors.

#[allow(dead_code, reason = "room.rs uses the rest")]
mod support;

use media::Codec;
use sluicegate_livekit::room::{self, Event, Reason};
use support::{
    clip::{Player, audio, video},
    server::Server,
    within,
};

#[tokio::test]
async fn ten_participants_leave_no_task_and_no_file_descriptor() {
    let server = Server::start().await;
    let mut player = Player::new(Codec::H264);
    let mut after = vec![];
    for _ in 0..10 {
        let (room, mut events) = room::join(server.options()).await.unwrap();
        room.publish_video(video()).unwrap();
        room.publish_audio(audio()).unwrap();
        player.play_until(&room, &mut events, "connected", |e| *e == Event::Connected).await;
        within("leaving", room.leave()).await;
        let mut last = None;
        while let Some(event) = events.recv().await {
            last = Some(event);
        }
        assert_eq!(last, Some(Event::Ended(Reason::Left)));
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        after.push((tasks, descriptors));
    }
    server.gone("obs").await;
    assert_eq!(after[0].0, 0, "tasks, descriptors: {after:?}");
    assert!(after.iter().all(|counts| *counts == after[0]), "tasks, descriptors: {after:?}");
}
