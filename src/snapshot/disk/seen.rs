//! The file `clock`: what the clocks said last, so that one set back is noticed
//! after a restart. It is plain, since no token is at hand; its first line tells
//! that the directory is ours.

use std::fmt::Write;

use super::moment::Moment;

/// The file's name.
pub(super) const CLOCK: &str = "clock";
/// Twice what it takes.
pub(super) const MOST_BYTES: u64 = 512;
const FIRST_LINE: &str = "phase-csi-provider state directory, version 1";
/// How much later it must be to be written again.
const PAUSE_MS: u64 = 60_000;

/// Moments that have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The one of the latest wall clock.
    highest: Option<Moment>,
    /// The last one.
    last: Option<Moment>,
}

impl Seen {
    /// What the file says, if it is one.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(text).ok()?.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let highest = Some(moment(lines.next()?)?);
        let last = Some(moment(lines.next()?)?);
        Some(Self { highest, last })
    }

    /// What the file is to say.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for moment in self.moments() {
            let boot = base16ct::lower::encode_string(&moment.boot);
            let (boottime, wall) = (moment.boottime_ms, moment.wall_ms);
            let _ = writeln!(text, "{boot} {boottime} {wall}");
        }
        text
    }

    /// With this moment, which is now; nothing if it says nothing new.
    pub(super) fn with(&self, now: Moment) -> Option<Self> {
        let recent = |last: Moment| {
            last.boot == now.boot
                && now.boottime_ms.abs_diff(last.boottime_ms) < PAUSE_MS
                && now.wall_ms < last.wall_ms.saturating_add(PAUSE_MS)
        };
        if self.last.is_some_and(recent) {
            return None;
        }
        let highest = self.highest.filter(|past| past.wall_ms > now.wall_ms);
        Some(Self {
            highest: highest.or(Some(now)),
            last: Some(now),
        })
    }

    /// Whether the wall clock stands before one that was seen.
    pub(super) fn is_ahead_of(&self, now: Moment) -> bool {
        self.moments().any(|past| past.wall_ms > now.wall_ms)
    }

    pub(super) fn moments(&self) -> impl Iterator<Item = Moment> {
        self.highest.into_iter().chain(self.last)
    }
}

fn moment(line: &str) -> Option<Moment> {
    let mut words = line.split(' ');
    let mut boot = [0; 16];
    base16ct::lower::decode(words.next()?, &mut boot).ok()?;
    let boottime_ms = words.next()?.parse().ok()?;
    let wall_ms = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Moment {
        boot,
        boottime_ms,
        wall_ms,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const fn at(boot: u8, boottime_ms: u64, wall_ms: u64) -> Moment {
        Moment {
            boot: [boot; 16],
            boottime_ms,
            wall_ms,
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let seen = Seen::default().with(at(1, 5, 900_000)).unwrap();
        let seen = seen.with(at(2, 6, 100)).unwrap();
        assert_eq!(Seen::read(seen.text().as_bytes()), Some(seen));
        assert!(seen.text().len() < MOST_BYTES as usize / 2);
        for other in ["", "root:x:0", &seen.text().replace('2', "x"), FIRST_LINE] {
            assert_eq!(Seen::read(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_highest_wall_clock_stays_when_it_is_set_back() {
        let seen = Seen::default().with(at(1, 0, 900_000)).unwrap();
        let seen = seen.with(at(1, 60_000, 100)).unwrap();
        assert!(seen.is_ahead_of(at(2, 0, 899_999)));
        assert!(!seen.is_ahead_of(at(2, 0, 900_000)));
        assert_eq!(seen.last, Some(at(1, 60_000, 100)));
    }

    #[test]
    fn it_is_written_once_a_minute_and_when_the_clock_jumps_ahead() {
        let seen = Seen::default().with(at(1, 0, 0)).unwrap();
        assert_eq!(seen.with(at(1, 59_999, 59_999)), None);
        assert!(seen.with(at(1, 60_000, 0)).is_some());
        assert!(seen.with(at(1, 1, 60_000)).is_some());
        assert!(seen.with(at(2, 1, 1)).is_some());
    }
}
