//! An HTTP/1.1 server for tests that answers with exactly the bytes it is told, and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

/// What is done about one request, in turn.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// The same bytes until the client goes.
    Flood(Vec<u8>),
    /// Nothing more until the client goes.
    Hang,
    /// Ends the connection.
    Close,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Which of the server's connections it came on, from 0.
    pub(crate) connection: usize,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of `Range`, 0 without.
    pub(crate) fn first(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.split('-').next()).map_or(0, |first| first.parse().unwrap())
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    pub(crate) async fn start_at(
        at: &str,
        answer: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (asked.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, number, log.clone(), answer.clone()));
            }
        });
        Self { addr, asked, task }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.addr)).unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    stream: TcpStream,
    connection: usize,
    log: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<impl Fn(&Asked) -> Vec<Step>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    // a TLS hello, which need not have a line's end in it
    if stream.fill_buf().await?.first() == Some(&0x16) {
        stream.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        return Ok(());
    }
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let path = lines[0].split(' ').nth(1).unwrap().to_owned();
        let header =
            |line: &String| line.split_once(':').map(|(k, v)| (k.to_lowercase(), v.trim().to_owned()));
        let asked = Asked { connection, path, headers: lines[1..].iter().filter_map(header).collect() };
        log.lock().unwrap().push(asked.clone());
        for step in answer(&asked) {
            match step {
                Step::Send(bytes) => stream.get_mut().write_all(&bytes).await?,
                Step::Flood(bytes) => loop {
                    stream.get_mut().write_all(&bytes).await?;
                },
                Step::Hang => {
                    while stream.read_line(&mut String::new()).await? > 0 {}
                    return Ok(());
                }
                Step::Close => return Ok(()),
            }
        }
    }
}

/// The next connection, once its request has been read.
pub(crate) async fn request(listener: &TcpListener) -> TcpStream {
    let mut stream = BufReader::new(listener.accept().await.unwrap().0);
    let mut line = String::from("-");
    while !line.trim_end().is_empty() {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
    }
    stream.into_inner()
}

/// A head with these lines.
pub(crate) fn head(status: &str, lines: &[String]) -> Step {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    Step::Send(format!("HTTP/1.1 {status}\r\n{lines}\r\n").into_bytes())
}

/// A whole answer.
pub(crate) fn ok(body: &[u8]) -> Vec<Step> {
    vec![head("200 OK", &[format!("Content-Length: {}", body.len())]), Step::Send(body.to_vec())]
}

pub(crate) fn status(status: &str) -> Vec<Step> {
    vec![head(status, &["Content-Length: 0".to_owned()])]
}

pub(crate) fn redirect(to: &str) -> Vec<Step> {
    vec![head("302 Found", &[format!("Location: {to}"), "Content-Length: 0".to_owned()])]
}

/// `body` from where the request's range begins, as a server with ranges does, cut off after `cut` bytes of it.
pub(crate) fn part(asked: &Asked, body: &[u8], etag: &str, cut: Option<usize>) -> Vec<Step> {
    let (first, size) = (asked.first(), body.len());
    let rest = &body[first..];
    let mut lines = vec![format!("Content-Length: {}", rest.len()), format!("ETag: {etag}")];
    lines.push(format!("Content-Range: bytes {first}-{}/{size}", size - 1));
    let mut steps = vec![head("206 Partial Content", &lines)];
    match cut {
        Some(cut) if cut < rest.len() => steps.extend([Step::Send(rest[..cut].to_vec()), Step::Close]),
        _ => steps.push(Step::Send(rest.to_vec())),
    }
    steps
}
