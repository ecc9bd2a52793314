//! The log: text or JSON lines on standard error.
//!
//! Secrets stay out because their types print no more than four characters ([`media::StreamKey`], [`crate::config::Secret`]).

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, LazyLock};
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

/// Lines of the process's log that were dropped.
static DROPPED: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// Lines dropped so far because the log's reader was too slow.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Starts the log of the process and returns its guard; the lines that wait are written when that is dropped.
///
/// # Errors
/// When a log was started before.
pub fn start(logging: &Logging) -> Result<Guard, tracing::subscriber::SetGlobalDefaultError> {
    let (writer, guard) = background(io::stderr(), Arc::clone(&DROPPED));
    tracing::subscriber::set_global_default(subscriber(logging, writer))?;
    Ok(guard)
}

/// The span of one session: every line inside it carries these. `room` may come later, with
/// `span.record("room", …)`.
pub fn session_span(ingress_id: &str, resource_id: &str, room: Option<&str>) -> tracing::Span {
    tracing::info_span!(parent: None, "session", ingress_id, resource_id, room)
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
fn background(mut out: impl Write + Send + 'static, dropped: Arc<AtomicU64>) -> (Lines, Guard) {
    let (queue, lines) = sync_channel(WAITING_LINES);
    let (finished, done) = sync_channel(1);
    std::thread::spawn(move || {
        while let Ok(Line::Text(line)) = lines.recv() {
            let _ = out.write_all(&line);
        }
        let _ = out.flush();
        let _ = finished.send(());
    });
    let lines = Lines { queue, dropped };
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A log that a test can read.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(logging: &Logging, events: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        tracing::subscriber::with_default(subscriber(logging, move || writer.clone()), events);
        page.text()
    }

    #[test]
    fn a_json_line_has_its_message_and_its_session() {
        let logging = Logging { json: true, ..Logging::default() };
        let text = logged(&logging, || {
            let span = session_span("IN_1", "RT_1", None);
            span.record("room", "studio");
            span.in_scope(|| tracing::info!(layers = 3, "live"));
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["level"], &line["message"], &line["layers"]),
            (&"INFO".into(), &"live".into(), &3.into())
        );
        assert_eq!(line["span"]["ingress_id"], "IN_1");
        assert_eq!(line["span"]["resource_id"], "RT_1");
        assert_eq!(line["span"]["room"], "studio");
    }

    #[test]
    fn a_text_line_has_no_escapes_and_no_key() {
        let key = media::StreamKey::new("f6ppLh4KZxPG");
        let text = logged(&Logging::default(), || {
            session_span("IN_1", "RT_1", Some("studio")).in_scope(|| tracing::warn!(?key, "taken over"));
        });
        assert!(
            text.contains("WARN") && text.contains("ingress_id=\"IN_1\"") && text.contains("taken over"),
            "{text}"
        );
        assert!(text.contains("f6pp") && !text.contains("f6ppL") && !text.contains('\x1b'), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn libraries_are_quieter_than_we_are_unless_asked_for() {
        let events = || {
            tracing::info!(target: "sluicegate_rtmp::session", "ours");
            tracing::info!(target: "str0m::ice", "library");
            tracing::debug!(target: "sluicegate_rtmp::session", "ours in depth");
            tracing::debug!(target: "str0m::ice", "library in depth");
        };
        let messages = |logging: &Logging| -> Vec<String> {
            let message = |line: &str| line.rsplit_once(": ").unwrap().1.to_owned();
            logged(logging, events).lines().map(message).collect()
        };
        assert_eq!(messages(&Logging::default()), ["ours"]);
        let debug = Logging { level: Level::Debug, ..Logging::default() };
        assert_eq!(messages(&debug), ["ours", "library", "ours in depth"]);
        let component_levels = vec![("rtmp".to_owned(), Level::Error), ("str0m".to_owned(), Level::Debug)];
        let components = Logging { component_levels, ..Logging::default() };
        assert_eq!(messages(&components), ["library", "library in depth"]);
    }

    #[test]
    fn lines_are_written_before_the_guard_is_gone() {
        let page = Page::default();
        let (mut lines, guard) = background(page.clone(), Arc::default());
        lines.write_all(b"one\n").unwrap();
        lines.write_all(b"two\n").unwrap();
        drop(guard);
        assert_eq!(page.text(), "one\ntwo\n");
    }

    #[test]
    fn a_closed_pipe_stops_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let dropped = Arc::default();
        let (lines, guard) = background(writer, Arc::clone(&dropped));
        let sink = lines.clone();
        tracing::subscriber::with_default(subscriber(&Logging::default(), sink), || {
            (0..100).for_each(|n| tracing::info!(n, "nobody reads this"));
        });
        drop(guard);
        assert_eq!(dropped.load(Ordering::Relaxed), 0, "written, and the error ignored");
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_no_time() {
        // Nobody reads: the pipe fills, then the writing thread stands still, then the queue fills.
        let (reader, writer) = io::pipe().unwrap();
        let dropped = Arc::default();
        let (mut lines, guard) = background(writer, Arc::clone(&dropped));
        let line = vec![b'x'; 1024];
        // Linux holds 64 KiB in a pipe, so twice as many lines as wait are surely too many.
        (0..2 * WAITING_LINES).for_each(|_| lines.write_all(&line).unwrap());
        assert!(dropped.load(Ordering::Relaxed) > 0);
        drop(reader);
        drop(guard);
    }
}
