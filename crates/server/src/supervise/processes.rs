//! What all worker processes use together, to know what the rest of the machine does.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::cpu::process_times;

/// The worker processes that run.
#[derive(Debug, Default)]
pub struct Processes {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pids: HashSet<u32>,
    /// When it was looked at last, and all that had been used by then.
    last: Option<(Instant, Duration)>,
}

/// A process counts as a worker until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    pid: u32,
    processes: Arc<Processes>,
}

impl Processes {
    pub(super) fn count(self: &Arc<Self>, pid: u32) -> Counted {
        self.lock().pids.insert(pid);
        Counted { pid, processes: self.clone() }
    }

    /// The cores that workers used since the call before, those that ended meanwhile included; 0 at first. Reads one small
    /// file of `/proc` for each.
    pub(super) fn cores(&self, now: Instant) -> f64 {
        let mut inner = self.lock();
        // First: a worker that is reaped in between would be counted twice, and then not be missed.
        let ended = process_times("self").map_or(Duration::ZERO, |times| times.reaped);
        let used = |pid: &u32| process_times(&pid.to_string()).map_or(Duration::ZERO, |times| times.used);
        let total = ended + inner.pids.iter().map(used).sum::<Duration>();
        let Some((at, before)) = inner.last.replace((now, total)) else { return 0.0 };
        let wall = now.saturating_duration_since(at).as_secs_f64();
        if wall > 0.0 { total.saturating_sub(before).as_secs_f64() / wall } else { 0.0 }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds this lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.processes.lock().pids.remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_that_ended_is_still_in_the_sum() {
        let processes = Arc::new(Processes::default());
        let start = Instant::now();
        assert_eq!(processes.cores(start), 0.0);
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let mut child = Command::new("sh").args(["-c", busy]).stdin(Stdio::null()).spawn().unwrap();
        let counted = processes.count(child.id());
        assert!(child.wait().unwrap().success());
        drop(counted);
        assert!(processes.cores(start + Duration::from_secs(1)) > 0.0);
    }
}
