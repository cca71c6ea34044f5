//! What a process uses, as Linux counts it.

use std::fs;
use std::time::Duration;

use tokio::time::sleep;

/// What a process uses.
pub(crate) struct Usage {
    /// Resident bytes (`VmRSS`, proc(5)).
    pub(crate) memory: u64,
    processor: Duration,
}

impl Usage {
    /// Time on processors since.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        self.processor - before.processor
    }

    fn of(process: u32) -> Self {
        Self {
            memory: memory(process),
            processor: processor(process),
        }
    }
}

/// Once what was asked last has been put away.
pub(crate) async fn settled(process: u32) -> Usage {
    sleep(Duration::from_millis(100)).await;
    Usage::of(process)
}

fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

/// User and system time of all threads, in ticks of 10 ms (fields 14 and 15 of
/// `/proc/PID/stat`, proc(5)).
fn processor(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(14) + ticks(15)))
}
