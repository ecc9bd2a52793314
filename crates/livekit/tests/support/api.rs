use livekit_token::{AccessToken, VideoGrants};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, sleep},
};

use super::{
    server::{ROOM, Server},
    within,
};

impl Server {
    /// A call of RoomService: Twirp with JSON, HTTP/1.0 so that the answer ends with the connection.
    pub async fn call(&self, method: &str, body: Value) -> Value {
        let grants =
            VideoGrants { room_admin: true, room_create: true, room: ROOM.into(), ..VideoGrants::default() };
        let token = AccessToken::with_api_key(&self.keys.api_key, &self.keys.api_secret);
        let token = token.with_identity("test").with_grants(grants).to_jwt().unwrap();
        let body = body.to_string();
        let request = format!(
            "POST /twirp/livekit.RoomService/{method} HTTP/1.0\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200"), "{method}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    pub async fn participants(&self) -> Vec<Value> {
        let list = self.call("ListParticipants", json!({ "room": ROOM })).await;
        list["participants"].as_array().cloned().unwrap_or_default()
    }

    /// The ingress participant, as soon as it looks as expected.
    pub async fn participant(&self, what: &str, like: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let list = self.participants().await;
                if let Some(found) = list.into_iter().find(|p| p["identity"] == "obs" && like(p)) {
                    return found;
                }
                sleep(Duration::from_millis(50)).await; // the API has no way to wait
            }
        };
        within(what, found).await
    }

    /// Returns when a participant is in the room no more.
    pub async fn gone(&self, identity: &str) {
        while self.participants().await.iter().any(|p| p["identity"] == identity) {
            sleep(Duration::from_millis(20)).await; // the API has no way to wait
        }
    }
}

/// A track of a participant.
pub fn track<'a>(participant: &'a Value, name: &str) -> Option<&'a Value> {
    participant["tracks"].as_array()?.iter().find(|track| track["name"] == name)
}
