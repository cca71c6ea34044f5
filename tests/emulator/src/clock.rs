//! Time as the server writes it: ISO 8601 in UTC with microseconds.

use std::time::{SystemTime, UNIX_EPOCH};

const MICROS: u64 = 1_000_000;
const DAY: u64 = 86_400;

/// The time now.
pub(crate) fn now() -> String {
    stamp(micros())
}

/// The time now, and never the text of `previous`, so that a change always shows.
pub(crate) fn other_than(previous: &str) -> String {
    let first = micros();
    (first..)
        .map(stamp)
        .find(|text| text != previous)
        .expect("two instants have two texts")
}

fn micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// `2026-11-23T19:39:36.026873Z`; the fraction is left out when it is zero, as the real server does.
fn stamp(micros: u64) -> String {
    let (seconds, fraction) = (micros / MICROS, micros % MICROS);
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    let fraction = if fraction == 0 {
        String::new()
    } else {
        format!(".{fraction:06}")
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day of a count of days since 1970, counted in years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_are_written_as_the_server_does() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
        assert_eq!(stamp(1_795_462_776_026_873), "2026-11-23T19:39:36.026873Z");
    }

    #[test]
    fn a_change_within_one_microsecond_still_shows() {
        let mut previous = now();
        for _ in 0..1000 {
            let next = other_than(&previous);
            assert_ne!(next, previous);
            previous = next;
        }
    }
}
