//! How long a call may take: our own limit or the caller's, whichever ends first.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::Failure;
use crate::cause::Cause;
use crate::deadline::Deadline;

/// How long one call may take, counted from its arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    end: Deadline,
    inner: Deadline,
    length: Duration,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Caller,
    Ours,
}

impl Limit {
    /// `own`, or less if the caller's `grpc-timeout` leaves less once our answer
    /// has had time to travel.
    pub(super) fn new(headers: &HeaderMap, own: Duration) -> Self {
        let callers = timeout(headers).map(|given| given - MARGIN.min(given / 10));
        let (length, whose) = match callers {
            Some(callers) if callers < own => (callers, Whose::Caller),
            _ => (own, Whose::Ours),
        };
        Self {
            end: Deadline::after(length),
            inner: Deadline::after(length - LAST_WORDS.min(length / 10)),
            length,
            whose,
        }
    }

    /// The moment at which the call is answered, come what may.
    pub(super) const fn instant(self) -> Instant {
        self.end.instant()
    }

    /// What the handler gets: a little less, so that its own words about what
    /// took so long arrive before ours.
    pub(super) const fn inner(self) -> Deadline {
        self.inner
    }

    /// The answer when the time is over.
    pub(super) fn passed(self) -> Failure {
        let whose = match self.whose {
            Whose::Caller => "what the caller allowed",
            Whose::Ours => "--mount-deadline",
        };
        let text = format!(
            "mount did not finish within {:?} ({whose}): Phase or the network is slow: retry is automatic",
            self.length
        );
        Failure::new(Cause::Deadline, text)
    }
}

/// The caller's `grpc-timeout`; `None` if there is none or it is not
/// understood, because our own limit holds anyway.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let decimal = digits.bytes().all(|b| b.is_ascii_digit());
    if !decimal || !(1..=MAX_DIGITS).contains(&digits.len()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// The gRPC protocol allows eight digits.
const MAX_DIGITS: usize = 8;
/// Our answer must reach kubelet, through the driver that cleans up after a
/// failure, before kubelet's own limit: at most this, else a tenth.
const MARGIN: Duration = Duration::from_secs(5);
/// How much sooner the handler's time ends than ours: at most this, else a tenth.
const LAST_WORDS: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const OURS: Duration = Duration::from_secs(90);

    fn limit(timeout: &str) -> Limit {
        let headers =
            HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), timeout.parse().unwrap())]);
        Limit::new(&headers, OURS)
    }

    #[test]
    fn every_unit_of_a_timeout_is_understood() {
        for (text, length) in [
            ("1S", Duration::from_millis(900)),
            ("100m", Duration::from_millis(90)),
            ("1000u", Duration::from_micros(900)),
            ("1000n", Duration::from_nanos(900)),
            ("1M", Duration::from_secs(55)),
        ] {
            let limit = limit(text);
            assert_eq!(
                (limit.length, limit.whose),
                (length, Whose::Caller),
                "{text}"
            );
        }
        assert_eq!(limit("99999999H").whose, Whose::Ours);
    }

    #[test]
    fn without_a_usable_timeout_our_own_limit_holds() {
        for text in [
            "",
            "S",
            "1",
            "1x",
            "-1S",
            "+1S",
            "1.5S",
            "123456789n",
            " 1S",
            "1 S",
            "1é",
        ] {
            let mut headers = HeaderMap::new();
            let value = http::HeaderValue::from_bytes(text.as_bytes()).unwrap();
            headers.insert("grpc-timeout", value);
            let limit = Limit::new(&headers, OURS);
            assert_eq!((limit.length, limit.whose), (OURS, Whose::Ours), "{text:?}");
        }
        assert_eq!(Limit::new(&HeaderMap::new(), OURS).length, OURS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_margin_is_at_most_five_seconds_and_the_handler_has_half_a_second_less() {
        let limit = limit("60S");
        assert_eq!(limit.instant() - Instant::now(), Duration::from_secs(55));
        assert_eq!(limit.inner().left(), Duration::from_millis(54_500));
    }

    #[test]
    fn the_text_names_the_limit_and_whose_it_is() {
        assert_eq!(
            Limit::new(&HeaderMap::new(), OURS).passed().message,
            "mount did not finish within 90s (--mount-deadline): Phase or the network is slow: retry is automatic"
        );
        assert_eq!(
            limit("1S").passed().message,
            "mount did not finish within 900ms (what the caller allowed): Phase or the network is slow: retry is automatic"
        );
    }

    proptest! {
        #[test]
        fn no_timeout_is_longer_than_ours(text in "[ -~]{0,12}") {
            prop_assert!(limit(&text).length <= OURS);
        }
    }
}
