//! What can go wrong between this node and Phase, one clear line each.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::cause::Cause;
use crate::phase::host::Host;
use crate::phase::retry::Advice;
use crate::quota::Exceeded;

/// An endpoint of a console: what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The console.
    pub host: Host,
    /// Which of its two endpoints.
    pub endpoint: Endpoint,
}

/// The two endpoints that a mount needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// What the credential may see.
    Tokens,
    /// The secrets of one environment.
    Secrets,
}

/// Why Phase gave no usable answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ClientError {
    /// The connection ended inside the answer.
    #[error(
        "{0} broke off its answer: the mount is retried automatically; if this stays, look at the proxies between this node and Phase"
    )]
    AnswerCut(Target),
    /// The answer has another form than Phase's.
    #[error(
        "{target} sent JSON that is not Phase's ({fault} at line {line}, column {column}): check that the host is a Phase console of a supported version"
    )]
    AnswerMalformed {
        /// What was asked.
        target: Target,
        /// What is wrong, without any of the content.
        fault: JsonFault,
        /// The line of the answer, from 1.
        line: usize,
        /// The column in it, from 0.
        column: usize,
    },
    /// Status 200 with HTML or another type.
    #[error(
        "{0} answered with something other than JSON: check that the host is a Phase console, and that no login page or proxy answers in its place"
    )]
    AnswerNotJson(Target),
    /// The answer began in time but did not end.
    #[error(
        "{target} did not finish its answer within {} s: the mount is retried automatically; if this stays, look at the load of Phase and the network between", limit.as_secs_f64()
    )]
    AnswerSlow {
        /// What was asked.
        target: Target,
        /// How long one request may take.
        limit: Duration,
    },
    /// More bytes than any environment that can be mounted.
    #[error(
        "{target} sent more than {limit} bytes: split the environment into smaller ones, or check that the host is a Phase console"
    )]
    AnswerTooLarge {
        /// What was asked.
        target: Target,
        /// The most that is read.
        limit: usize,
    },
    /// The server's certificate does not prove that it is the host.
    #[error("TLS certificate of {target} {fault}")]
    Certificate {
        /// What was asked.
        target: Target,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The connection did not come about in time.
    #[error(
        "{0} did not accept a connection in time: check routes and firewalls between this node and Phase; the mount is retried automatically"
    )]
    ConnectTimeout(Target),
    /// The connection ended before any answer.
    #[error(
        "{0} closed the connection without an answer: the mount is retried automatically; if this stays, look at the proxies between this node and Phase"
    )]
    ConnectionLost(Target),
    /// Nobody listens at the host's port, or the way there is closed.
    #[error(
        "{0} cannot be connected to: check host and port, that Phase runs, and that this node may reach it; the mount is retried automatically"
    )]
    ConnectionRefused(Target),
    /// The mount's own time ran out.
    #[error(
        "time of this mount ran out while waiting for {0}: the mount is retried automatically; if this stays, look at the load of Phase and the network between"
    )]
    Deadline(Target),
    /// The name has no address.
    #[error(
        "name of {0} cannot be resolved: check the spelling of the host and the DNS of this node; the mount is retried automatically"
    )]
    DnsFailed(Target),
    /// The environment does not exist any more, or never did.
    #[error(
        "environment is unknown to {0}: check that it was not deleted meanwhile; the mount is retried automatically"
    )]
    EnvironmentUnknown(Target),
    /// There is no room for the answer.
    #[error("answer of {target} has no room: {exceeded}")]
    Exceeded {
        /// What was asked.
        target: Target,
        /// Which bound was met.
        exceeded: Box<Exceeded>,
    },
    /// A host that only `*` allows leads to the node or its cloud.
    #[error(
        "name of {0} leads to an address of the node or of its cloud: ask the cluster admin to add the host with --allowed-host"
    )]
    HostIsLocal(Target),
    /// A network access policy keeps this node out.
    #[error(
        "network access policy of Phase keeps this node out of {0}: add the address under which this node reaches Phase to the policy"
    )]
    NetworkPolicy(Target),
    /// The environment is not shared with the account.
    #[error(
        "account has no access to this environment at {0}: give it access in the Phase console; the mount is retried automatically"
    )]
    NoAccess(Target),
    /// The system has no CA certificates and no file names any.
    #[error(
        "no CA certificates to check {0} with: install a CA bundle in the provider's image or set --ca-file"
    )]
    NoTrust(Target),
    /// Something else than HTTP listens at the port.
    #[error("{0} does not answer in HTTP: check the scheme, name and port of the host")]
    NotHttp(Target),
    /// A refusal that is not Phase's own.
    #[error(
        "{target} refused with status {status}, but not in Phase's words, so Phase counts as away: check that the host is a Phase console, and the firewalls and proxies in front of it"
    )]
    NotPhase {
        /// What was asked.
        target: Target,
        /// The status.
        status: u16,
    },
    /// The role of the account may not read secrets.
    #[error(
        "role of this account may not read secrets at {0}: give the account a role with that permission in the Phase console"
    )]
    PermissionMissing(Target),
    /// The proxy of the environment variables refused the connection.
    #[error(
        "proxy refused to connect to {0}: check HTTPS_PROXY, NO_PROXY and the rules of that proxy; the mount is retried automatically"
    )]
    ProxyRefused(Target),
    /// The proxy of the environment variables cannot be reached itself.
    #[error(
        "proxy on the way to {0} cannot be connected to: check HTTPS_PROXY and NO_PROXY; the mount is retried automatically"
    )]
    ProxyUnreachable(Target),
    /// Phase asked to stay away for longer than the mount can wait.
    #[error("{target} limits the rate of requests{}: the mount is retried automatically; if this stays, raise the limit in Phase or use fewer tokens per node", wait_text(*wait))]
    RateLimited {
        /// What was asked.
        target: Target,
        /// How long to stay away, if Phase said.
        wait: Option<Duration>,
    },
    /// A redirect, which a credential does not follow.
    #[error("{target} redirects{} and a credential follows no redirect: set the host to the console's final address", to_text(to.as_deref()))]
    Redirected {
        /// What was asked.
        target: Target,
        /// The scheme and name that it points to, if they can be told.
        to: Option<String>,
    },
    /// Connected, but no answer began in time.
    #[error(
        "{target} gave no answer within {} s: the mount is retried automatically; if this stays, look at the load of Phase and the network between", limit.as_secs_f64()
    )]
    ResponseTimeout {
        /// What was asked.
        target: Target,
        /// How long one request may take.
        limit: Duration,
    },
    /// A refusal in Phase's form, in words that it was never seen to use.
    #[error(
        "{target} refused with status {status} in words that are not known of Phase, so Phase counts as away until it does so again: check the firewalls and proxies in front of it, then the token and its rights"
    )]
    RefusedUnclearly {
        /// What was asked.
        target: Target,
        /// The status.
        status: u16,
    },
    /// The same a while later, and no answer between.
    #[error(
        "{target} refused with status {status} in words that are not known of Phase, and did so {} s before, too: the credential counts as refused: check the token and its rights in Phase, then the firewalls and proxies in front of it", after.as_secs()
    )]
    RefusedRepeatedly {
        /// What was asked.
        target: Target,
        /// The status.
        status: u16,
        /// How long after the first time.
        after: Duration,
    },
    /// Status 5xx.
    #[error(
        "{target} failed with status {status}: the mount is retried automatically; if this stays, look at the logs of Phase"
    )]
    ServerFailed {
        /// What was asked.
        target: Target,
        /// The status.
        status: u16,
        /// How long to stay away, if the server said.
        wait: Option<Duration>,
    },
    /// TLS failed before any certificate could be judged.
    #[error(
        "{0} does not speak TLS with us: check that the port is the console's https port and that it offers TLS 1.2 or 1.3"
    )]
    TlsFailed(Target),
    /// The token is not valid, or not any more.
    #[error(
        "token is expired, deleted or unknown to {}: create a new service token in Phase and update the Secret", .0.host
    )]
    TokenRefused(Target),
    /// Another status than Phase's protocol has.
    #[error(
        "{target} answered with status {status}: check that the host is a Phase console of a supported version"
    )]
    UnexpectedStatus {
        /// What was asked.
        target: Target,
        /// The status.
        status: u16,
    },
    /// The environment's id, which came from the tokens answer, is no id.
    #[error(
        "environment id is not one that {0} can be asked for: check that the host is a Phase console of a supported version"
    )]
    UnusableEnvironmentId(Target),
}

/// What is wrong with a JSON text, without any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// It ends too early.
    Incomplete,
    /// It is not JSON.
    Syntax,
    /// A needed field is missing or has another type.
    Structure,
}

/// Why a certificate does not prove that the server is the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Its time is over.
    Expired,
    /// It names other hosts.
    Name,
    /// Its time has not come, or the node's clock is wrong.
    NotYetValid,
    /// It cannot serve as a server's certificate.
    Unusable,
    /// Nobody whom the node trusts has signed it.
    UnknownIssuer,
}

impl ClientError {
    /// Why the mount is refused.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Deadline(_) => Cause::Deadline,
            Self::EnvironmentUnknown(_) => Cause::NotFound,
            Self::Exceeded { exceeded, .. } => exceeded.cause(),
            Self::RefusedRepeatedly {
                target:
                    Target {
                        endpoint: Endpoint::Tokens,
                        ..
                    },
                ..
            } => Cause::RefusedCredential,
            Self::HostIsLocal(_)
            | Self::NetworkPolicy(_)
            | Self::NoAccess(_)
            | Self::PermissionMissing(_)
            | Self::RefusedRepeatedly { .. } => Cause::Forbidden,
            Self::RateLimited { .. } => Cause::RateLimited,
            Self::TokenRefused(_) => Cause::RefusedCredential,
            Self::AnswerTooLarge { .. } => Cause::TooLarge,
            Self::AnswerMalformed { .. }
            | Self::AnswerNotJson(_)
            | Self::NotHttp(_)
            | Self::Redirected { .. }
            | Self::UnexpectedStatus { .. }
            | Self::UnusableEnvironmentId(_) => Cause::MalformedAnswer,
            Self::AnswerCut(_)
            | Self::AnswerSlow { .. }
            | Self::Certificate { .. }
            | Self::ConnectTimeout(_)
            | Self::ConnectionLost(_)
            | Self::ConnectionRefused(_)
            | Self::DnsFailed(_)
            | Self::NoTrust(_)
            | Self::NotPhase { .. }
            | Self::ProxyRefused(_)
            | Self::ProxyUnreachable(_)
            | Self::RefusedUnclearly { .. }
            | Self::ResponseTimeout { .. }
            | Self::ServerFailed { .. }
            | Self::TlsFailed(_) => Cause::Unreachable,
        }
    }

    /// Whether asking again within this mount can help.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::RateLimited {
                wait: Some(wait), ..
            }
            | Self::ServerFailed {
                wait: Some(wait), ..
            } => Advice::After(*wait),
            Self::AnswerCut(_)
            | Self::ConnectTimeout(_)
            | Self::ConnectionLost(_)
            | Self::ConnectionRefused(_)
            | Self::DnsFailed(_)
            | Self::ProxyRefused(_)
            | Self::ProxyUnreachable(_)
            | Self::ResponseTimeout { .. }
            | Self::ServerFailed { wait: None, .. } => Advice::BackOff,
            _ => Advice::Never,
        }
    }
}

impl Endpoint {
    /// The path below the host; the slash at the end is part of it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Tokens => "/service/secrets/tokens/",
            Self::Secrets => "/service/secrets/",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.endpoint.path())
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "it ends too early",
            Self::Syntax => "a syntax error",
            Self::Structure => "a missing field or a wrong type",
        })
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "has expired: renew it, or check the clock of this node",
            Self::Name => "is for other names: use a name of the certificate as host, or issue one with this name as subject alternative name",
            Self::NotYetValid => "is not valid yet: check the clock of this node",
            Self::UnknownIssuer => "is signed by nobody whom this node trusts: give the CA's certificate with --ca-file",
            Self::Unusable => "cannot be a server's certificate: issue one that is no CA and has the host as subject alternative name",
        })
    }
}

fn wait_text(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(" and asks to wait {} s", wait.as_secs()))
        .unwrap_or_default()
}

fn to_text(to: Option<&str>) -> String {
    to.map(|to| format!(" to {to}")).unwrap_or_default()
}
