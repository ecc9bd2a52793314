//! How many cores are idle, and what a process uses: what admission decides by.
//!
//! The parsing is pure; [`Sampler`] and [`ProcessMeter`] are the thin readers around it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

/// Clock ticks a second in `/proc`: `USER_HZ`, 100 on every architecture that Linux still builds for.
const TICKS_PER_SECOND: u64 = 100;

/// What the machine had and used between two samples, in cores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Cores that this process may use: those it may run on, or the cgroup's quota if that is less.
    pub cores: f64,
    /// Cores that were idle and that this process could have had.
    pub idle_cores: f64,
    /// Cores that the hypervisor gave to somebody else while we had work for them.
    pub steal_cores: f64,
}

impl Usage {
    /// Used part of the cores, 0 to 1.
    pub fn load(&self) -> f64 {
        if self.cores > 0.0 { (1.0 - self.idle_cores / self.cores).clamp(0.0, 1.0) } else { 1.0 }
    }
}

/// Measures [`Usage`] between calls. Reads a few small files of `/proc` and `/sys/fs/cgroup` each time.
#[derive(Debug)]
pub struct Sampler {
    proc: PathBuf,
    cgroups: Vec<PathBuf>,
    last: Reading,
    usage: Usage,
}

/// One look at the counters.
#[derive(Debug)]
struct Reading {
    at: Instant,
    ticks: Ticks,
    limits: Vec<Limit>,
}

impl Sampler {
    /// Takes the first reading. Until the second, every core counts as idle.
    pub fn new(now: Instant) -> io::Result<Self> {
        Self::over(Path::new("/proc"), Path::new("/sys/fs/cgroup"), now)
    }

    fn over(proc: &Path, cgroup_root: &Path, now: Instant) -> io::Result<Self> {
        // Without a cgroup file (no cgroup v2, no /sys) there is no quota that we could see.
        let membership = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
        let cgroups = cgroup_folders(&membership, cgroup_root);
        let last = read(proc, &cgroups, now)?;
        let cores = last.cores();
        let usage = Usage { cores, idle_cores: cores, steal_cores: 0.0 };
        Ok(Self { proc: proc.to_owned(), cgroups, last, usage })
    }

    /// What was used since the call before. Calls closer than a clock tick (10 ms) repeat the last answer.
    pub fn sample(&mut self, now: Instant) -> io::Result<Usage> {
        let reading = read(&self.proc, &self.cgroups, now)?;
        if let Some(usage) = usage(&self.last, &reading) {
            self.usage = usage;
            self.last = reading;
        }
        Ok(self.usage)
    }
}

impl Reading {
    fn cores(&self) -> f64 {
        self.limits.iter().map(|limit| limit.cores).fold(f64::from(self.ticks.cpus), f64::min)
    }
}

fn read(proc: &Path, cgroups: &[PathBuf], at: Instant) -> io::Result<Reading> {
    let odd = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let status = fs::read_to_string(proc.join("self/status"))?;
    let allowed = parse_allowed_cpus(&status);
    let stat = fs::read_to_string(proc.join("stat"))?;
    let ticks = parse_stat(&stat, allowed.as_deref())
        .ok_or_else(|| odd("/proc/stat: expected a cpu line with 8 numbers for a CPU that we may use"))?;
    let limit = |folder: &PathBuf| {
        let cores = parse_cpu_max(&fs::read_to_string(folder.join("cpu.max")).ok()?)?;
        let used = parse_cpu_stat(&fs::read_to_string(folder.join("cpu.stat")).ok()?)?;
        Some(Limit { cores, used })
    };
    Ok(Reading { at, ticks, limits: cgroups.iter().filter_map(limit).collect() })
}

/// `None` when no tick has passed.
fn usage(before: &Reading, after: &Reading) -> Option<Usage> {
    let total = after.ticks.total.saturating_sub(before.ticks.total);
    let wall = after.at.saturating_duration_since(before.at).as_secs_f64();
    if total == 0 || wall <= 0.0 {
        return None;
    }
    // The kernel documents that the idle counters may step back.
    let cores_in = |before: u64, ticks: u64| {
        let part = ticks.saturating_sub(before).min(total) as f64 / total as f64;
        part * f64::from(after.ticks.cpus)
    };
    let mut idle_cores = cores_in(before.ticks.idle, after.ticks.idle);
    // The limits come in the order of the folders; one that has just appeared or gone waits for the next sample.
    if before.limits.len() == after.limits.len() {
        for (before, after) in before.limits.iter().zip(&after.limits) {
            let used = after.used.saturating_sub(before.used).as_secs_f64() / wall;
            idle_cores = idle_cores.min((after.cores - used).max(0.0));
        }
    }
    let steal_cores = cores_in(before.ticks.steal, after.ticks.steal);
    Some(Usage { cores: after.cores(), idle_cores: idle_cores.min(after.cores()), steal_cores })
}

/// Counters of `/proc/stat`, summed over the CPUs that we may run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    cpus: u32,
    idle: u64,
    steal: u64,
    total: u64,
}

/// Sums the `cpuN` lines (proc_stat(5)): user nice system idle iowait irq softirq steal, and guest times that user
/// contains already. `allowed`: CPU numbers to count; `None`: all. `None` when no line counts.
fn parse_stat(text: &str, allowed: Option<&[u32]>) -> Option<Ticks> {
    let mut sum = Ticks::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let number =
            words.next().and_then(|name| name.strip_prefix("cpu")).and_then(|n| n.parse::<u32>().ok());
        let Some(number) = number.filter(|n| allowed.is_none_or(|allowed| allowed.contains(n))) else {
            continue;
        };
        let times: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
        let [_, _, _, idle, iowait, _, _, steal] = times[..] else {
            tracing::debug!(cpu = number, "a line of /proc/stat has fewer than 8 numbers");
            continue;
        };
        sum.cpus += 1;
        sum.idle += idle + iowait;
        sum.steal += steal;
        sum.total += times.iter().sum::<u64>();
    }
    (sum.cpus > 0).then_some(sum)
}

/// The `Cpus_allowed_list` of `/proc/self/status`, `0-3,8`: affinity and cpusets together.
fn parse_allowed_cpus(status: &str) -> Option<Vec<u32>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cpus = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(cpus)
}

/// What one cgroup may use, and has used.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limit {
    cores: f64,
    used: Duration,
}

/// Our cgroup v2 folder and those above it: a quota on any of them holds for us. In a container the path is often
/// that of the host and not to be seen here; what is there is the root, which is then the container's own.
fn cgroup_folders(membership: &str, root: &Path) -> Vec<PathBuf> {
    let Some(path) = membership.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let folder = root.join(path);
    folder.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_owned).collect()
}

/// The cores of `cpu.max`, `<quota> <period>` in microseconds; `None` for `max`, no limit.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

/// The CPU time in `cpu.stat`.
fn parse_cpu_stat(text: &str) -> Option<Duration> {
    let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    micros.trim().parse().ok().map(Duration::from_micros)
}

/// Measures the cores that one process, with all its threads, uses between calls.
#[derive(Debug)]
pub struct ProcessMeter {
    pid: u32,
    at: Instant,
    used: Duration,
}

impl ProcessMeter {
    /// Takes the first reading. Fails when there is no such process.
    pub fn new(pid: u32, now: Instant) -> io::Result<Self> {
        Ok(Self { pid, at: now, used: process_times(&pid.to_string())?.used })
    }

    /// Cores used since the call before; the counter has steps of 10 ms, so a second or more between calls is good.
    /// Fails once the process has gone.
    pub fn cores(&mut self, now: Instant) -> io::Result<f64> {
        let used = process_times(&self.pid.to_string())?.used;
        let wall = now.saturating_duration_since(self.at).as_secs_f64();
        let cores = if wall > 0.0 { used.saturating_sub(self.used).as_secs_f64() / wall } else { 0.0 };
        (self.at, self.used) = (now, used);
        Ok(cores)
    }
}

/// Times of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessTimes {
    /// CPU time of all its threads, user and system.
    pub(crate) used: Duration,
    /// The same of the children that it has waited for.
    pub(crate) reaped: Duration,
    /// When it started, after the machine did.
    pub(crate) started: Duration,
}

/// Reads `/proc/<pid>/stat`; `pid` may be `self`.
pub(crate) fn process_times(pid: &str) -> io::Result<ProcessTimes> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_process_stat(&text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("/proc/{pid}/stat: expected 22 fields (proc_pid_stat(5))"),
        )
    })
}

/// Fields 14 to 17 and 22 of proc_pid_stat(5). Field 2 is the name in parentheses and may hold spaces and parentheses.
fn parse_process_stat(text: &str) -> Option<ProcessTimes> {
    const AFTER_NAME: usize = 3;
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - AFTER_NAME)?.parse::<u64>().ok();
    let time = |ticks: u64| Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND));
    Some(ProcessTimes {
        used: time(ticks(14)? + ticks(15)?),
        reaped: time(ticks(16)? + ticks(17)?),
        started: time(ticks(22)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  40 0 40 800 80 0 0 40 0 0\ncpu0 20 0 20 400 40 0 0 20 0 0\n\
        cpu1 20 0 20 400 40 0 0 20 5 0\nintr 12345 1 2 3\nbtime 1700000000\n";

    fn reading(at: Instant, idle: u64, total: u64, limits: &[(f64, u64)]) -> Reading {
        let limit = |&(cores, millis): &(f64, u64)| Limit { cores, used: Duration::from_millis(millis) };
        let ticks = Ticks { cpus: 4, idle, steal: 0, total };
        Reading { at, ticks, limits: limits.iter().map(limit).collect() }
    }

    #[test]
    fn stat_sums_the_cpus_that_may_be_used() {
        let all = Ticks { cpus: 2, idle: 880, steal: 40, total: 1000 };
        assert_eq!(parse_stat(STAT, None), Some(all));
        assert_eq!(
            parse_stat(STAT, Some(&[1, 7])),
            Some(Ticks { cpus: 1, idle: 440, steal: 20, total: 500 })
        );
        assert_eq!(parse_stat(STAT, Some(&[7])), None);
        assert_eq!(parse_stat("cpu0 1 2 3\n", None), None);
    }

    #[test]
    fn allowed_cpus_are_single_numbers_and_ranges() {
        let status = "Name:\tsluicegate\nCpus_allowed:\tf0f\nCpus_allowed_list:\t0-3,8,10-11\n";
        assert_eq!(parse_allowed_cpus(status), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(parse_allowed_cpus("Name:\tx\n"), None);
    }

    #[test]
    fn cpu_max_is_quota_by_period_or_no_limit() {
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(1.5));
        assert_eq!(parse_cpu_max("max 100000\n"), None);
        assert_eq!(parse_cpu_max(""), None);
        assert_eq!(parse_cpu_stat("usage_usec 2500000\nuser_usec 1\n"), Some(Duration::from_millis(2500)));
    }

    #[test]
    fn every_cgroup_above_counts() {
        let root = Path::new("/sys/fs/cgroup");
        let folders = cgroup_folders("1:cpu:/old\n0::/a/b\n", root);
        assert_eq!(folders, [root.join("a/b"), root.join("a"), root.to_owned()]);
        assert_eq!(cgroup_folders("0::/\n", root), [root.to_owned()]);
        assert!(cgroup_folders("1:cpu:/old\n", root).is_empty());
    }

    #[test]
    fn idle_cores_are_the_idle_part_of_all() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let usage = usage(&reading(now, 1000, 2000, &[]), &reading(later, 1300, 2400, &[])).unwrap();
        assert_eq!(usage, Usage { cores: 4.0, idle_cores: 3.0, steal_cores: 0.0 });
        assert_eq!(usage.load(), 0.25);
    }

    #[test]
    fn a_quota_caps_cores_and_idle_cores() {
        let now = Instant::now();
        let later = now + Duration::from_secs(2);
        let before = reading(now, 1000, 2000, &[(1.5, 0), (3.0, 10_000)]);
        let after = reading(later, 1300, 2400, &[(1.5, 1000), (3.0, 11_000)]);
        let usage = usage(&before, &after).unwrap();
        assert_eq!(usage, Usage { cores: 1.5, idle_cores: 1.0, steal_cores: 0.0 });
    }

    #[test]
    fn a_cgroup_over_its_quota_has_nothing_idle() {
        let now = Instant::now();
        let after = reading(now + Duration::from_secs(1), 1300, 2400, &[(0.5, 600)]);
        let usage = usage(&reading(now, 1000, 2000, &[(0.5, 0)]), &after).unwrap();
        assert_eq!((usage.idle_cores, usage.load()), (0.0, 1.0));
    }

    #[test]
    fn a_counter_that_steps_back_and_a_tick_too_few_are_survived() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let back = usage(&reading(now, 1000, 2000, &[]), &reading(later, 999, 2400, &[])).unwrap();
        assert_eq!(back.idle_cores, 0.0);
        assert_eq!(usage(&reading(now, 1000, 2000, &[]), &reading(later, 1000, 2000, &[])), None);
    }

    #[test]
    fn the_sampler_reads_files_as_the_kernel_writes_them() {
        let root = tempfile::tempdir().unwrap();
        let (proc, cgroup) = (root.path().join("proc"), root.path().join("cgroup"));
        fs::create_dir_all(proc.join("self")).unwrap();
        fs::create_dir_all(cgroup.join("pod")).unwrap();
        fs::write(proc.join("self/status"), "Cpus_allowed_list:\t0-1\n").unwrap();
        fs::write(proc.join("self/cgroup"), "0::/pod\n").unwrap();
        fs::write(proc.join("stat"), STAT).unwrap();
        fs::write(cgroup.join("pod/cpu.max"), "120000 100000\n").unwrap();
        fs::write(cgroup.join("pod/cpu.stat"), "usage_usec 0\n").unwrap();
        let now = Instant::now();
        let mut sampler = Sampler::over(&proc, &cgroup, now).unwrap();
        let idle = Usage { cores: 1.2, idle_cores: 1.2, steal_cores: 0.0 };
        assert_eq!(sampler.sample(now).unwrap(), idle);

        let busier =
            STAT.replace("cpu0 20 0 20 400 40", "cpu0 100 0 40 400 40").replace("cpu1 20", "cpu1 120");
        fs::write(proc.join("stat"), busier).unwrap();
        fs::write(cgroup.join("pod/cpu.stat"), "usage_usec 900000\n").unwrap();
        let usage = sampler.sample(now + Duration::from_secs(1)).unwrap();
        assert_eq!((usage.cores, usage.idle_cores), (1.2, 0.0));
    }

    #[test]
    fn process_times_survive_odd_names() {
        let line = "42 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 150 50 30 20 20 0 1 0 700 4096 12\n";
        let expected = ProcessTimes {
            used: Duration::from_secs(2),
            reaped: Duration::from_millis(500),
            started: Duration::from_secs(7),
        };
        assert_eq!(parse_process_stat(line), Some(expected));
        assert_eq!(parse_process_stat("42 (short) S 1 2"), None);
    }

    #[test]
    fn the_meter_reads_this_process() {
        let now = Instant::now();
        let mut meter = ProcessMeter::new(std::process::id(), now).unwrap();
        assert!(meter.cores(now + Duration::from_secs(1)).unwrap() >= 0.0);
        assert_eq!(meter.cores(now + Duration::from_secs(1)).unwrap(), 0.0, "no time, no cores");
        // The largest process id that Linux can give is 2^22.
        assert!(ProcessMeter::new(u32::MAX, now).is_err());
    }
}
