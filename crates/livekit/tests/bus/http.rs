//! As much HTTP as the tests need: one request a connection, and a listener for webhooks.

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

/// One POST of JSON; gives the status and the body.
pub(crate) async fn post(port: u16, path: &str, token: &str, body: &Value) -> std::io::Result<(u16, String)> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.get(9..12).and_then(|code| code.parse().ok());
    match status.zip(answer.split_once("\r\n\r\n")) {
        Some((status, (_, body))) => Ok((status, body.to_owned())),
        None => Err(std::io::Error::other(format!("POST {path}: answer {answer:?} is not HTTP/1.1"))),
    }
}

/// Receives webhooks: their event names, in order.
pub(crate) struct Webhooks {
    pub(crate) port: u16,
    events: mpsc::Receiver<Value>,
    _tasks: JoinSet<()>,
}

impl Webhooks {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, events) = mpsc::channel(100);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, sender.clone()));
            }
        });
        Self { port, events, _tasks: tasks }
    }

    /// The next one: event and ingress id.
    pub(crate) async fn next(&mut self) -> (String, String) {
        let event = tokio::time::timeout(super::lab::PATIENCE, self.events.recv()).await;
        let event = event.expect("a webhook in time").expect("the listener runs");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["event"]), text(&event["ingressInfo"]["ingressId"]))
    }
}

/// Every request of one kept-alive connection.
async fn serve(stream: TcpStream, events: mpsc::Sender<Value>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => {}
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        events.send(serde_json::from_slice(&body).unwrap()).await.unwrap();
    }
}
