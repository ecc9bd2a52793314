use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::ChildStderr,
    time::{Duration, Instant},
};

/// Longest line of a worker that reaches the log; more of it is left out.
const MAX_LINE: usize = 512;

/// Lines of a worker a second that reach the log: GStreamer can complain about every packet.
const LINES_A_SECOND: u32 = 20;

/// A worker's standard error, line by line into `tracing`, bounded in length and rate.
#[derive(Debug)]
pub(crate) struct Log {
    pipe: BufReader<ChildStderr>,
    line: Vec<u8>,
    quota: Quota,
}

impl Log {
    pub(crate) fn new(pipe: ChildStderr) -> Self {
        Self { pipe: BufReader::new(pipe), line: Vec::new(), quota: Quota::new(Instant::now()) }
    }

    /// Takes in what has been written; false when nothing more will be. Cancel safe.
    pub(crate) async fn next(&mut self) -> bool {
        let taken = match self.pipe.fill_buf().await {
            Ok(bytes) if !bytes.is_empty() => {
                let (piece, ended) = match bytes.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (&bytes[..at], true),
                    None => (bytes, false),
                };
                let room = MAX_LINE.saturating_sub(self.line.len());
                self.line.extend_from_slice(&piece[..piece.len().min(room)]);
                let taken = piece.len() + usize::from(ended);
                if ended {
                    self.write_line();
                }
                taken
            }
            _ => {
                if !self.line.is_empty() {
                    self.write_line();
                }
                return false;
            }
        };
        self.pipe.consume(taken);
        true
    }

    fn write_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let (allowed, left_out) = self.quota.take(Instant::now());
        if left_out > 0 {
            tracing::warn!(left_out, "worker: too many log lines");
        }
        if allowed {
            // A hostile stream can put its bytes into GStreamer's messages: no control characters.
            let text = String::from_utf8_lossy(&line).replace(char::is_control, "?");
            tracing::warn!("worker: {text}");
        }
    }
}

/// So many lines a second, and how many were left out before.
#[derive(Debug)]
struct Quota {
    second: Instant,
    used: u32,
}

impl Quota {
    fn new(now: Instant) -> Self {
        Self { second: now, used: 0 }
    }

    /// Whether a line may pass, and how many of the second before did not.
    fn take(&mut self, now: Instant) -> (bool, u32) {
        let mut left_out = 0;
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            left_out = self.used.saturating_sub(LINES_A_SECOND);
            *self = Self::new(now);
        }
        self.used = self.used.saturating_add(1);
        (self.used <= LINES_A_SECOND, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chatty_worker_is_cut_off_and_counted() {
        let start = Instant::now();
        let mut quota = Quota::new(start);
        let passed = (0..100).filter(|_| quota.take(start).0).count();
        assert_eq!(passed, 20);
        assert_eq!(quota.take(start + Duration::from_secs(1)), (true, 80));
        assert_eq!(quota.take(start + Duration::from_secs(3)), (true, 0));
    }
}
