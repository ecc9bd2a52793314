use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::feed::Pulse;

/// CPU time of the process without a sign of life: parsing the largest index takes a tenth of it.
const CPU: Duration = Duration::from_secs(1);

/// The same in time that passes, for a thread that waits for itself; a machine that is short of CPU is given some.
const WALL: Duration = Duration::from_secs(5);

/// Notices when a chain is caught in a loop.
#[derive(Debug)]
pub(crate) struct Watchdog {
    pulse: Arc<Pulse>,
    /// The last sign of life, and when it was noticed, by both clocks.
    seen: Option<(u64, Duration, Instant)>,
}

impl Watchdog {
    pub(crate) fn new(pulse: Arc<Pulse>) -> Self {
        Self { pulse, seen: None }
    }

    /// Looks; to be called some times a second.
    pub(crate) fn hangs(&mut self) -> bool {
        let Some(since) = self.pulse.busy_since() else {
            self.seen = None;
            return false;
        };
        match self.seen {
            Some((seen, cpu, wall)) if seen == since => {
                cpu_time().saturating_sub(cpu) >= CPU || wall.elapsed() >= WALL
            }
            _ => {
                self.seen = Some((since, cpu_time(), Instant::now()));
                false
            }
        }
    }
}

/// Of this process.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes into `time`, which outlives the call; where there is no such clock it stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
