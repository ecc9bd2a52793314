//! The log: text or JSON lines on standard error.
//!
//! Secrets stay out because their types print no more than four characters ([`media::StreamKey`], [`crate::config::Secret`]).

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::{Level, Logging};

/// Lines that wait for the log's reader: some seconds of a busy server's info lines. Past it, lines are dropped and
/// counted: a stuck reader must not stop the media.
const WAITING_LINES: usize = 4096;

/// How long the end of the process waits for the last lines to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// Our crates, as tracing names them: package `sluicegate-<role>`, and the server's own library and binary.
const OURS: &str = "sluicegate";

/// Starts the log of the process and returns its guard; the lines that wait are written when that is dropped.
///
/// # Errors
/// When a log was started before.
pub fn start(logging: &Logging) -> Result<Guard, tracing::subscriber::SetGlobalDefaultError> {
    let (writer, guard) = background(io::stderr());
    tracing::subscriber::set_global_default(subscriber(logging, writer))?;
    Ok(guard)
}

/// The span of one session: every line inside it carries these. `room` may come later, with
/// `span.record("room", …)`.
pub fn session_span(ingress_id: &str, resource_id: &str, room: Option<&str>) -> tracing::Span {
    tracing::info_span!("session", ingress_id, resource_id, room)
}

/// Turns events into lines for `writer`.
fn subscriber<W>(logging: &Logging, writer: W) -> impl tracing::Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // An internal error report goes to standard error by a call that panics when that is closed.
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let layer = if logging.json {
        layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        layer.with_ansi(false).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(logging)))
}

/// Our crates at the level asked for; libraries one step quieter, since their info is a developer's detail.
fn filter(logging: &Logging) -> Targets {
    let libraries = match logging.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn | Level::Info => LevelFilter::WARN,
        Level::Debug => LevelFilter::INFO,
        Level::Trace => LevelFilter::DEBUG,
    };
    let level = level(logging.level);
    let mut targets =
        Targets::new().with_default(libraries).with_target(OURS, level).with_target("server", level);
    for (name, component) in &logging.component_levels {
        let component = self::level(*component);
        targets =
            targets.with_target(format!("{OURS}_{name}"), component).with_target(name.as_str(), component);
    }
    targets
}

fn level(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// Keeps the log alive. Dropping it writes the waiting lines, for one second at most.
#[derive(Debug)]
pub struct Guard {
    lines: Lines,
    done: Receiver<()>,
}

impl Guard {
    /// Lines dropped so far because the log's reader was too slow.
    pub fn dropped(&self) -> u64 {
        self.lines.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The global subscriber never ends and holds a sender of its own, so the end is a message.
        if self.lines.queue.try_send(Line::End).is_ok() {
            let _ = self.done.recv_timeout(FLUSH);
        }
    }
}

enum Line {
    Text(Vec<u8>),
    End,
}

/// Where log lines go; [`MakeWriter`] for tracing.
#[derive(Debug, Clone)]
struct Lines {
    queue: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

/// A thread that writes lines to `out`. Errors of `out` are ignored: with nobody reading the log, sessions go on.
fn background(mut out: impl Write + Send + 'static) -> (Lines, Guard) {
    let (queue, lines) = sync_channel(WAITING_LINES);
    let (finished, done) = sync_channel(1);
    std::thread::spawn(move || {
        while let Ok(Line::Text(line)) = lines.recv() {
            let _ = out.write_all(&line);
        }
        let _ = out.flush();
        let _ = finished.send(());
    });
    let lines = Lines { queue, dropped: Arc::default() };
    (lines.clone(), Guard { lines, done })
}

impl Write for Lines {
    /// tracing's formatter hands over whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.queue.try_send(Line::Text(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
