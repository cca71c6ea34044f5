//! What somebody who waits wants to know, on standard error.

use std::time::{Duration, Instant};

/// Tells now and then how far the simulation is.
pub(crate) struct Progress {
    row: String,
    told: Instant,
}

/// Real time between two lines.
const PAUSE: Duration = Duration::from_secs(2);

impl Progress {
    pub(crate) fn new(row: String) -> Self {
        eprintln!("{row}");
        Self {
            row,
            told: Instant::now(),
        }
    }

    /// One line, unless there was one a moment ago.
    pub(crate) fn show(&mut self, what: &str, passed: Duration, done: usize, all: usize) {
        if self.told.elapsed() < PAUSE {
            return;
        }
        self.told = Instant::now();
        let minutes = passed.as_secs_f64() / 60.0;
        let percent = 100 * done / all;
        eprintln!("  {}: {what}, minute {minutes:.0}, {percent} %", self.row);
    }
}
