//! What a process uses, as Linux counts it (proc(5)).

use std::fs;
use std::time::Duration;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What is its own and can be taken back from it by nobody: `RssAnon`.
    pub anonymous: u64,
    /// Its program's pages: `RssFile`.
    pub file: u64,
    /// All that it had at once at most: `VmHWM`.
    most: u64,
}

impl Memory {
    /// Of a process that lives.
    pub fn of(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
            Some(kib << 10)
        };
        Some(Self {
            anonymous: field("RssAnon:")?,
            file: field("RssFile:")?,
            most: field("VmHWM:")?,
        })
    }

    /// What was its own at most, where its program had so many pages. Those do not count:
    /// the kernel takes them back, and a debug build has ten times as many.
    pub fn peak(self, file: u64) -> u64 {
        self.anonymous.max(self.most.saturating_sub(file))
    }
}

/// User and system time of all threads of a process that lives, in ticks of 10 ms
/// (fields 14 and 15 of `stat`).
pub fn processor(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}
