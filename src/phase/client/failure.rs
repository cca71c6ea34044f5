//! What a failed request means, told from the chain of its sources.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::dns::DnsError;
use super::error::{CertificateFault, ClientError, Target};

/// The error for a request that got no answer, `proxied` or directly.
pub(super) fn of_request(error: &reqwest::Error, target: &Target, proxied: bool) -> ClientError {
    let error = directly(error, target.clone());
    match error {
        // With a proxy, only the proxy is looked up and connected to from here.
        ClientError::DnsFailed(target) | ClientError::ConnectionRefused(target) if proxied => {
            ClientError::ProxyUnreachable(target)
        }
        error => error,
    }
}

fn directly(error: &reqwest::Error, target: Target) -> ClientError {
    if let Some(error) = find::<rustls::Error>(error) {
        return of_tls(error, target);
    }
    match find::<DnsError>(error) {
        Some(DnsError::Local) => return ClientError::HostIsLocal(target),
        Some(DnsError::Lookup(_)) => return ClientError::DnsFailed(target),
        None => {}
    }
    if chain(error).any(|cause| is_refused_tunnel(&cause.to_string())) {
        return ClientError::ProxyRefused(target);
    }
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return ClientError::NotHttp(target);
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => ClientError::ConnectTimeout(target),
        (true, false) if !is_cut(error) => ClientError::ConnectionRefused(target),
        _ => ClientError::ConnectionLost(target),
    }
}

fn of_tls(error: &rustls::Error, target: Target) -> ClientError {
    let rustls::Error::InvalidCertificate(error) = error else {
        return ClientError::TlsFailed(target);
    };
    let fault = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::Name
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        // The signature fails when an authority was made anew under its old name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateFault::UnknownIssuer
        }
        _ => CertificateFault::Unusable,
    };
    ClientError::Certificate { target, fault }
}

/// The type of these errors is private to the connector; their texts are not.
fn is_refused_tunnel(text: &str) -> bool {
    text.strip_prefix("tunnel error: ")
        .is_some_and(|reason| reason != "failed to create underlying connection")
}

/// Whether a connection came about and then ended, for example inside the TLS handshake.
fn is_cut(error: &reqwest::Error) -> bool {
    let mut causes = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| {
        matches!(
            cause.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        )
    })
}

fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error))
}

/// The next cause; what an I/O error wraps is not among its sources, but its own.
fn inner<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
