//! Durations as flags take them: `90s`, `2m`, `1h`, `500ms`.

use std::time::Duration;

/// Reads a whole number with one of the units `ms`, `s`, `m`, `h`.
///
/// # Errors
/// A reason for the flag's error.
pub fn parse(text: &str) -> Result<Duration, String> {
    let unit = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let number: Option<u64> = number.parse().ok().filter(|_| milliseconds > 0);
    number
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| "not a duration like 90s, 2m, 1h or 500ms".to_owned())
}

/// How often Phase may be asked for change: it limits requests by address, and a cluster
/// may share one.
///
/// # Errors
/// A reason for the flag's error.
pub fn poll_interval(text: &str) -> Result<Duration, String> {
    let interval = parse(text)?;
    if (Duration::from_secs(5)..=Duration::from_secs(24 * 3_600)).contains(&interval) {
        Ok(interval)
    } else {
        Err("must be between 5s and 24h".to_owned())
    }
}

/// How often an environment in use is read whole: each time writes a row of Phase's audit log
/// for each of its secrets.
///
/// # Errors
/// A reason for the flag's error.
pub fn full_read_interval(text: &str) -> Result<Duration, String> {
    let interval = parse(text)?;
    if (Duration::from_secs(600)..=Duration::from_secs(30 * 24 * 3_600)).contains(&interval) {
        Ok(interval)
    } else {
        Err("must be between 10m and 720h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_not_read_whole_all_the_time() {
        assert_eq!(full_read_interval("24h"), Ok(Duration::from_secs(86_400)));
        for text in ["9m", "0s", "721h", "1d"] {
            assert!(full_read_interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn units_are_required_and_known() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        for text in [
            "",
            "90",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1d",
            "99999999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
