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
    if is_watched() {
        counted(host, awaited, stderr()).await
    } else {
        awaited.await
    }
}

async fn counted<T>(host: &Host, awaited: impl Future<Output = T>, out: impl Write) -> T {
    let mut awaited = pin!(awaited);
    let begun = Instant::now();
    let mut tick = interval_at(begun + SECOND, SECOND);
    let mut line = Line {
        out,
        written: false,
    };
    loop {
        tokio::select! {
            biased;
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
struct Line<W: Write> {
    out: W,
    written: bool,
}

impl<W: Write> Line<W> {
    fn write(&mut self, host: &Host, seconds: u64) {
        let text = format!("asking {host} ({seconds} s)");
        let text: String = text.chars().take(WIDTH).collect();
        let _ = write!(self.out, "{ERASE}{text}");
        self.written = true;
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        if self.written {
            let _ = write!(self.out, "{ERASE}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    async fn line(host: &str, milliseconds: u64) -> String {
        let host = host.parse().expect("is one");
        let mut out = Vec::new();
        let awaited = sleep(Duration::from_millis(milliseconds));
        counted(&host, awaited, &mut out).await;
        String::from_utf8(out).expect("is text")
    }

    #[tokio::test(start_paused = true)]
    async fn seconds_are_counted_and_erased() {
        let text = line("https://x.test", 2500).await;
        let asking = "\r\x1b[Kasking https://x.test";
        assert_eq!(text, format!("{asking} (1 s){asking} (2 s)\r\x1b[K"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_is_no_long_wait() {
        assert_eq!(line("https://x.test", 999).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_name_does_not_fill_a_second_line() {
        let text = line(&format!("https://x.test/{}", "y".repeat(150)), 1500).await;
        assert_eq!(text.len(), ERASE.len() + WIDTH + ERASE.len());
    }
}
