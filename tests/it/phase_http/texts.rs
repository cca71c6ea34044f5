//! Every text fits into an event, even with the longest host.

use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::client::{CertificateFault, Endpoint, JsonFault, Target};

use super::*;

fn longest_host() -> Host {
    let host: Host = format!("https://a.test/{}", "x".repeat(185))
        .parse()
        .unwrap();
    assert_eq!(host.as_str().len(), 200);
    assert!(format!("{host}y").parse::<Host>().is_err());
    host
}

fn all(target: &Target) -> Vec<ClientError> {
    use ClientError as E;
    let t = || target.clone();
    let limit = Duration::from_millis(123_456);
    let wait = Some(Duration::from_secs(86_400));
    let to = Some("x".repeat(100));
    let (line, column) = (1_000_000, 1_000_000);
    let malformed = |fault| E::AnswerMalformed {
        target: t(),
        fault,
        line,
        column,
    };
    let certificate = |fault| E::Certificate { target: t(), fault };
    vec![
        E::AnswerCut(t()),
        malformed(JsonFault::Incomplete),
        malformed(JsonFault::Structure),
        malformed(JsonFault::Syntax),
        E::AnswerNotJson(t()),
        E::AnswerSlow { target: t(), limit },
        E::AnswerTooLarge {
            target: t(),
            limit: usize::MAX,
        },
        certificate(CertificateFault::Expired),
        certificate(CertificateFault::Name),
        certificate(CertificateFault::NotYetValid),
        certificate(CertificateFault::UnknownIssuer),
        certificate(CertificateFault::Unusable),
        E::ConnectTimeout(t()),
        E::ConnectionLost(t()),
        E::ConnectionRefused(t()),
        E::Deadline(t()),
        E::DnsFailed(t()),
        E::EnvironmentUnknown(t()),
        E::HostIsLocal(t()),
        E::NetworkPolicy(t()),
        E::NoAccess(t()),
        E::NoTrust(t()),
        E::NotHttp(t()),
        E::NotPhase {
            target: t(),
            status: 403,
        },
        E::PermissionMissing(t()),
        E::ProxyRefused(t()),
        E::ProxyUnreachable(t()),
        E::RateLimited { target: t(), wait },
        E::Redirected { target: t(), to },
        E::RefusedRepeatedly {
            target: t(),
            status: 403,
            after: Duration::from_secs(86_400),
        },
        E::RefusedUnclearly {
            target: t(),
            status: 403,
        },
        E::ResponseTimeout { target: t(), limit },
        E::ServerFailed {
            target: t(),
            status: 502,
            wait,
        },
        E::TlsFailed(t()),
        E::TokenRefused(t()),
        E::UnexpectedStatus {
            target: t(),
            status: 418,
        },
        E::UnusableEnvironmentId(t()),
    ]
}

#[test]
fn no_error_of_the_client_is_longer_than_an_event_can_hold() {
    for endpoint in [Endpoint::Tokens, Endpoint::Secrets] {
        for error in all(&Target {
            host: longest_host(),
            endpoint,
        }) {
            let text = line(&error);
            assert!(text.contains(longest_host().as_str()), "{text}");
            assert!(!text.ends_with('.') && text.contains(": "), "{text}");
        }
    }
}

#[test]
fn no_refused_host_is_longer_than_an_event_can_hold() {
    let local = format!("https://127.0.0.1/{}", "x".repeat(182));
    for (entry, asked) in [
        ("https://y.test", longest_host().as_str()),
        ("*", local.as_str()),
    ] {
        let allowed = AllowedHosts::new(Host::default(), &[entry]).unwrap();
        let text = allowed.admit(Some(asked)).unwrap_err().to_string();
        assert!(text.len() < 500, "{} bytes: {text}", text.len());
    }
}
