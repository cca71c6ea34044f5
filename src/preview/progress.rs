//! A line that says what is awaited, where somebody watches.

use std::future::Future;
use std::io::{IsTerminal, Write, stderr};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::phase::host::Host;

const SECOND: Duration = Duration::from_secs(1);
/// As wide as the narrowest usual terminal, less the cursor.
const WIDTH: usize = 79;
/// Back to the line's begin, and all of it erased.
const ERASE: &str = "\r\x1b[K";

/// What a future gives; while it takes longer than a second, and standard error
/// is a terminal, a line there counts the seconds. At the end it is erased.
pub(super) async fn shown<T>(host: &Host, awaited: impl Future<Output = T>) -> T {
    if !is_watched() {
        return awaited.await;
    }
    let mut awaited = pin!(awaited);
    let begun = Instant::now();
    let mut tick = interval_at(begun + SECOND, SECOND);
    let line = Line { written: false };
    let mut line = line;
    loop {
        tokio::select! {
            result = &mut awaited => return result,
            _ = tick.tick() => line.write(host, begun.elapsed().as_secs()),
        }
    }
}

fn is_watched() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stderr().is_terminal() && !dumb
}

/// The line; erased when dropped, also by a panic.
struct Line {
    written: bool,
}

impl Line {
    fn write(&mut self, host: &Host, seconds: u64) {
        let text = format!("asking {host} ({seconds} s)");
        let text: String = text.chars().take(WIDTH).collect();
        let _ = write!(stderr(), "{ERASE}{text}");
        self.written = true;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.written {
            let _ = write!(stderr(), "{ERASE}");
        }
    }
}
