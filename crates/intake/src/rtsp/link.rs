//! Questions and answers on the connection.

use std::{collections::VecDeque, io, time::Duration};

use bytes::Bytes;
use rand::RngExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    Error,
    auth::{self, Challenge, Login},
    message::{Invalid, Item, Reader, Response},
};
use crate::url::Stream;

/// For the answer to a request. Cameras that wake up take some seconds.
const ANSWER: Duration = Duration::from_secs(10);

/// Room for what is read at once.
const READ: usize = 16 << 10;

/// Packets that come before the answer to PLAY and are kept, in bytes: a key picture.
const EARLY: usize = 4 << 20;

/// What we call ourselves.
const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));

pub(super) struct Link {
    pub(super) stream: Stream,
    reader: Reader,
    origin: String,
    cseq: u32,
    login: Option<Login>,
    /// What the server asked for, and how many requests have been made with it.
    challenge: Option<(Challenge, u32)>,
    cnonce: String,
    /// From the answer to the first SETUP on.
    pub(super) session: Option<String>,
    pub(super) early: VecDeque<(u8, Bytes)>,
    early_bytes: usize,
}

/// Why the connection gave no more.
#[derive(Debug)]
pub(super) enum Lost {
    /// The server closed it.
    Closed,
    Io(io::ErrorKind),
    Invalid(Invalid),
}

impl Link {
    pub(super) fn new(stream: Stream, origin: String, login: Option<Login>) -> Self {
        Self {
            stream,
            reader: Reader::default(),
            origin,
            cseq: 0,
            login,
            challenge: None,
            cnonce: format!("{:016x}", rand::rng().random::<u64>()),
            session: None,
            early: VecDeque::new(),
            early_bytes: 0,
        }
    }

    pub(super) fn origin(&self) -> String {
        self.origin.clone()
    }

    pub(super) fn wrong(&self, why: &'static str) -> Error {
        Error::Protocol { origin: self.origin(), why }
    }

    /// Asks, and answers a challenge. Whatever the status: the answer.
    pub(super) async fn ask(
        &mut self,
        method: &'static str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response, Error> {
        let seconds = ANSWER.as_secs();
        let asked = timeout(ANSWER, self.exchange(method, uri, headers)).await;
        asked.unwrap_or_else(|_| Err(Error::TimedOut { origin: self.origin(), method, seconds }))
    }

    /// The same; anything but success is an error.
    pub(super) async fn demand(
        &mut self,
        method: &'static str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response, Error> {
        let response = self.ask(method, uri, headers).await?;
        self.check(method, &response)?;
        Ok(response)
    }

    /// Whether an answer is success.
    pub(super) fn check(&self, method: &'static str, response: &Response) -> Result<(), Error> {
        let origin = self.origin();
        match response.status {
            200..=299 => Ok(()),
            401 | 403 => Err(Error::Unauthorized { origin }),
            404 | 410 => Err(Error::NotFound { origin }),
            status => Err(Error::Status { origin, status, method }),
        }
    }

    /// Takes the challenge of an answer that nobody waits for: the next request is made with it.
    pub(super) fn renew(&mut self, response: &Response) {
        if response.status == 401
            && let Some(challenge) = auth::best(response.headers("WWW-Authenticate"))
        {
            self.challenge = Some((challenge, 0));
        }
    }

    async fn exchange(
        &mut self,
        method: &'static str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response, Error> {
        // Once for the challenge, and once more for a nonce that has grown old meanwhile.
        for attempt in 0..3 {
            let request = self.send(method, uri, headers).await;
            let request =
                request.map_err(|error| Error::Broken { origin: self.origin(), kind: error.kind() })?;
            let response = self.answer_to(request).await?;
            let again = attempt == 0 || response.headers("WWW-Authenticate").any(is_stale);
            if response.status != 401 || self.login.is_none() || !again {
                return Ok(response);
            }
            let Some(challenge) = auth::best(response.headers("WWW-Authenticate")) else {
                return Ok(response);
            };
            self.challenge = Some((challenge, 0));
        }
        Err(Error::Unauthorized { origin: self.origin() })
    }

    /// Sends a request and gives its number.
    pub(super) async fn send(
        &mut self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<u32> {
        self.cseq += 1;
        let mut text = format!("{method} {uri} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: {AGENT}\r\n", self.cseq);
        if let Some(session) = &self.session {
            text.push_str(&format!("Session: {session}\r\n"));
        }
        if let (Some(login), Some((challenge, count))) = (&self.login, &mut self.challenge) {
            *count += 1;
            let answer = challenge.answer(login, method, uri, *count, &self.cnonce);
            text.push_str(&format!("Authorization: {answer}\r\n"));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.write(text.as_bytes()).await?;
        Ok(self.cseq)
    }

    /// Sends an interleaved packet.
    pub(super) async fn send_packet(&mut self, channel: u8, packet: &[u8]) -> io::Result<()> {
        let Ok(length) = u16::try_from(packet.len()) else { return Ok(()) };
        let [high, low] = length.to_be_bytes();
        self.write(&[&[b'$', channel, high, low], packet].concat()).await
    }

    /// Tells a server that asks that we are there.
    pub(super) async fn reply(&mut self, method: &str, cseq: &str) -> io::Result<()> {
        let known = matches!(method, "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" | "ANNOUNCE" | "TEARDOWN");
        let status = if known { "200 OK" } else { "501 Not Implemented" };
        let cseq: String = cseq.chars().filter(char::is_ascii_digit).take(10).collect();
        self.write(format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n\r\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(ANSWER, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn answer_to(&mut self, cseq: u32) -> Result<Response, Error> {
        loop {
            let lost = |lost| match lost {
                Lost::Closed => {
                    Error::Broken { origin: self.origin.clone(), kind: io::ErrorKind::UnexpectedEof }
                }
                Lost::Io(kind) => Error::Broken { origin: self.origin.clone(), kind },
                Lost::Invalid(Invalid(why)) => Error::Protocol { origin: self.origin.clone(), why },
            };
            match next(&mut self.stream, &mut self.reader).await.map_err(lost)? {
                // Some servers leave the number out.
                Item::Response(response) if response.cseq().is_none_or(|number| number == cseq) => {
                    return Ok(response);
                }
                Item::Response(_) => {}
                Item::Request { method, cseq } => {
                    let replied = self.reply(&method, &cseq).await;
                    replied.map_err(|error| Error::Broken { origin: self.origin(), kind: error.kind() })?;
                }
                Item::Data { channel, packet } => {
                    self.early_bytes += packet.len();
                    if self.early_bytes <= EARLY {
                        self.early.push_back((channel, packet));
                    }
                }
            }
        }
    }

    /// What comes next. Can be cancelled.
    pub(super) async fn next(&mut self) -> Result<Item, Lost> {
        next(&mut self.stream, &mut self.reader).await
    }
}

async fn next(stream: &mut Stream, reader: &mut Reader) -> Result<Item, Lost> {
    loop {
        if let Some(item) = reader.next().map_err(Lost::Invalid)? {
            return Ok(item);
        }
        reader.buffer().reserve(READ);
        match stream.read_buf(reader.buffer()).await {
            Ok(0) => return Err(Lost::Closed),
            Ok(_) => {}
            Err(error) => return Err(Lost::Io(error.kind())),
        }
    }
}

fn is_stale(header: &str) -> bool {
    header.to_ascii_lowercase().replace(['"', ' '], "").contains("stale=true")
}
