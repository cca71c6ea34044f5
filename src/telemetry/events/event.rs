//! One event on a pod, as core/v1 has it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::json;

use crate::class::Pod;

/// One event on a pod.
pub(super) struct Event {
    pod: Pod,
    reason: Reason,
    message: String,
    at: SystemTime,
}

#[derive(Clone, Copy, Serialize)]
enum Reason {
    PhaseRotationFailed,
    PhaseRotationRecovered,
}

impl Event {
    pub(super) fn failed(pod: &Pod, why: &str, at: SystemTime) -> Self {
        Self::new(pod, Reason::PhaseRotationFailed, why, at)
    }

    pub(super) fn recovered(pod: &Pod, at: SystemTime) -> Self {
        let message = "the volume is up to date with Phase again";
        Self::new(pod, Reason::PhaseRotationRecovered, message, at)
    }

    fn new(pod: &Pod, reason: Reason, message: &str, at: SystemTime) -> Self {
        Self {
            pod: pod.clone(),
            reason,
            message: message.to_owned(),
            at,
        }
    }

    /// Where it is to lie.
    pub(super) fn namespace(&self) -> &str {
        &self.pod.namespace
    }

    /// The JSON text that the Kubernetes API takes.
    pub(super) fn body(&self) -> String {
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let Pod {
            namespace,
            name,
            uid,
            ..
        } = &self.pod;
        let time = rfc3339(since.as_secs());
        let kind = match self.reason {
            Reason::PhaseRotationFailed => "Warning",
            Reason::PhaseRotationRecovered => "Normal",
        };
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                // As client-go names its events.
                "name": format!("{}.{:x}", shortened(name), since.as_nanos()),
                "namespace": namespace,
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
            "type": kind,
            "reason": self.reason,
            "message": self.message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        })
        .to_string()
    }
}

/// A name that leaves room for what follows it in 253 bytes.
fn shortened(name: &str) -> &str {
    let end = name.floor_char_boundary(220);
    name[..end].trim_end_matches(['.', '-'])
}

/// Seconds since 1970 as `2026-01-31T23:59:59Z`.
fn rfc3339(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let day = days + 1;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

const COMPONENT: &str = "phase-csi-provider";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_kubernetes_reads_it() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn a_long_name_leaves_room_and_ends_in_a_letter() {
        assert_eq!(shortened("web-0"), "web-0");
        let long = format!("{}.{}", "x".repeat(219), "y".repeat(33));
        assert_eq!(shortened(&long), "x".repeat(219));
    }
}
