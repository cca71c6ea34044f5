//! When something was, told so that neither a restart nor a wrong clock makes it younger.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A moment that survives restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Which start of the node's kernel.
    pub boot: [u8; 16],
    /// Milliseconds since that start, suspension included.
    pub boottime_ms: u64,
    /// Milliseconds since 1970, by a clock that may be set.
    pub wall_ms: u64,
}

impl Moment {
    /// How long ago it was at `now`; nothing when that cannot be known.
    ///
    /// Within one boot the time since boot counts, which nobody sets. Across
    /// boots the wall clock counts, unless it stands before any of the
    /// `witnesses`, which are other moments known to be past; and never less
    /// than what was measured in its boot and in this one.
    pub(super) fn age(self, now: Self, witnesses: &[Self]) -> Option<Duration> {
        let by_wall = now.wall_ms.checked_sub(self.wall_ms);
        let age = if self.boot == now.boot {
            now.boottime_ms.checked_sub(self.boottime_ms)
        } else if witnesses.iter().any(|past| past.wall_ms > now.wall_ms) {
            None
        } else {
            let later = witnesses.iter().filter(|past| past.boot == self.boot);
            let before = later.map(|past| past.boottime_ms.saturating_sub(self.boottime_ms));
            let measured = before.max().unwrap_or(0).saturating_add(now.boottime_ms);
            by_wall.map(|age| age.max(measured))
        };
        age.map(Duration::from_millis)
    }
}

/// Tells the moment.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Clock {
    /// The node's own clocks.
    #[must_use]
    pub fn system() -> Self {
        let boot = boot_id().unwrap_or_else(unknown_boot);
        Self::fake(move || Moment {
            boot,
            boottime_ms: since_boot_ms(),
            wall_ms: wall_ms(),
        })
    }

    /// A clock that says what `tell` says.
    pub fn fake(tell: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(…)")
    }
}

/// The kernel's 36 characters, without their dashes.
fn boot_id() -> Option<[u8; 16]> {
    let digits = fs::read_to_string(BOOT_ID).ok()?.trim().replace('-', "");
    let mut id = [0; 16];
    let read = base16ct::mixed::decode(digits, &mut id).ok()?.len();
    (read == id.len()).then_some(id)
}

/// No other start of the process has the same: then only the wall clock counts.
fn unknown_boot() -> [u8; 16] {
    fastrand::u128(..).to_le_bytes()
}

fn since_boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let whole = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    whole.saturating_mul(1000).saturating_add(rest / 1_000_000)
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(boot: u8, boottime_ms: u64, wall_ms: u64) -> Moment {
        Moment {
            boot: [boot; 16],
            boottime_ms,
            wall_ms,
        }
    }

    fn ms(age: Option<Duration>) -> Option<u128> {
        age.map(|age| age.as_millis())
    }

    #[test]
    fn within_a_boot_the_wall_clock_does_not_matter() {
        let then = at(1, 1000, 500_000);
        for wall in [0, 499_999, 500_000, u64::MAX] {
            let witnesses = [at(1, 1500, 900_000)];
            let age = then.age(at(1, 4000, wall), &witnesses);
            assert_eq!(ms(age), Some(3000), "wall clock {wall}");
        }
    }

    #[test]
    fn a_time_since_boot_that_went_backwards_says_nothing() {
        assert_eq!(at(1, 1000, 0).age(at(1, 999, 9000), &[]), None);
    }

    #[test]
    fn across_boots_the_wall_clock_counts_unless_it_went_backwards() {
        let then = at(1, 1000, 500_000);
        assert_eq!(ms(then.age(at(2, 10, 560_000), &[])), Some(60_000));
        assert_eq!(then.age(at(2, 10, 499_999), &[]), None);
        let later = [at(1, 40_000, 540_000)];
        assert_eq!(then.age(at(2, 10, 539_999), &later), None);
        assert_eq!(ms(then.age(at(2, 10, 540_000), &later)), Some(40_000));
    }

    #[test]
    fn across_boots_it_is_no_less_than_what_was_measured() {
        let then = at(1, 1000, 500_000);
        // The wall clock was set back while an hour passed before the boot and one after it.
        let hour = 3_600_000;
        let later = [at(1, 1000 + hour, 500_001)];
        let age = then.age(at(2, hour, 500_002), &later);
        assert_eq!(ms(age), Some(u128::from(2 * hour)));
    }

    #[test]
    fn the_nodes_clocks_go_on() {
        let clock = Clock::system();
        let (first, second) = (clock.now(), Clock::system().now());
        assert_eq!(first.boot, second.boot);
        assert!(first.boottime_ms > 0 && first.boottime_ms <= second.boottime_ms);
        assert!(first.wall_ms > 1_700_000_000_000, "after 2023");
    }
}
