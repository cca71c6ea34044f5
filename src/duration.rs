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

#[cfg(test)]
mod tests {
    use super::*;

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
