use livekit_protocol::{InputAudioState, InputVideoState};
use psrpc::{Client, Options};
use sluicegate_livekit::bus::{
    Handlers, Notice, Notices, messages::WhipRtcConnectionNotifyRequest, methods::WHIP_RTC_CONNECTION_NOTIFY,
};

use super::lab::{Lab, PATIENCE};

async fn next(notices: &mut Notices) -> Notice {
    tokio::time::timeout(PATIENCE, notices.changed()).await.expect("a notice in time")
}

/// As livekit-server says it.
async fn say(client: &Client, sid: &str, closed: bool) -> Result<(), psrpc::Error> {
    let video =
        InputVideoState { mime_type: "video/VP8".into(), width: 640, height: 360, ..Default::default() };
    let audio = InputAudioState { mime_type: "audio/opus".into(), channels: 2, ..Default::default() };
    let request = WhipRtcConnectionNotifyRequest {
        participant_id: sid.into(),
        closed,
        video: (!closed).then_some(video),
        audio: (!closed).then_some(audio),
    };
    client.call(&WHIP_RTC_CONNECTION_NOTIFY, &[sid], &request, Options::default()).await
}

#[tokio::test]
async fn notices_of_a_participant_are_heard_and_answered_until_it_is_closed() {
    let lab = Lab::start().await;
    let handlers = Handlers::serve(&lab.bus).await.unwrap();
    let mut notices = handlers.notices("PA_1").await.unwrap();
    let mut other = handlers.notices("PA_2").await.unwrap();
    let client = Client::new(&lab.second_bus().await, WHIP_RTC_CONNECTION_NOTIFY.service).await.unwrap();

    say(&client, "PA_1", false).await.unwrap();
    let notice = next(&mut notices).await;
    assert!(!notice.closed);
    assert_eq!(notice.video.unwrap().width, 640);
    assert_eq!(notice.audio.unwrap().channels, 2);

    say(&client, "PA_1", true).await.unwrap();
    // Late, and out of order.
    say(&client, "PA_1", false).await.unwrap();
    assert_eq!(next(&mut notices).await, Notice { closed: true, ..Notice::default() });

    say(&client, "PA_2", false).await.unwrap();
    assert!(!next(&mut other).await.closed, "each participant has its own");
    drop(notices);
    let again = handlers.notices("PA_1").await;
    assert!(again.is_ok(), "its topic is free again");
}
