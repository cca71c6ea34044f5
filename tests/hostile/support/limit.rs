//! A memory limit as a container has one: a control group where one can be made, and
//! where none can, a watcher that kills as the kernel would.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::usage::Memory;

/// The chart's limit.
pub const LIMIT: u64 = 256 << 20;
/// What is to be left free of it: a quarter.
pub const TO_STAY_BELOW: u64 = LIMIT / 4 * 3;

/// Where control groups are made, and the file of their limit: version 2, then 1.
const GROUPS: [(&str, &str); 2] = [
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
];

/// A control group of one process; it goes with it.
pub struct Group(Option<PathBuf>);

impl Group {
    /// One with the limit, if this machine lets us make one.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("phase-hostile-{}-{number}", std::process::id());
        let make = |(root, limit): &(&str, &str)| {
            let group = Path::new(root).join(&name);
            fs::create_dir(&group).ok()?;
            if fs::write(group.join(limit), LIMIT.to_string()).is_ok() {
                // Nothing is to hide in swap; not every kernel counts it.
                let _ = fs::write(group.join("memory.swap.max"), "0");
                return Some(group);
            }
            let _ = fs::remove_dir(&group);
            None
        };
        Self(GROUPS.iter().find_map(make))
    }

    /// The file that a process writes its id into to be in the group.
    pub fn entrance(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|group| group.join("cgroup.procs"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            // The kernel may not have seen the process go yet.
            for _ in 0..100 {
                if fs::remove_dir(group).is_ok() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Looks at a process until it is gone; what it took at most, so far, is in `peak`.
/// Above the limit it is killed.
pub async fn watch(process: u32, peak: &std::sync::atomic::AtomicU64) {
    let mut file = 0;
    while let Some(memory) = Memory::of(process) {
        // Near the limit the kernel takes the program's pages back.
        file = memory.file.max(file);
        peak.fetch_max(memory.peak(file), Ordering::Relaxed);
        if memory.anonymous > LIMIT {
            let id = i32::try_from(process)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            let Some(id) = id else { return };
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
