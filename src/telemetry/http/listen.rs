//! Where health and metrics are served: the flags `--http-listen` and `--health-socket`.

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use clap::Args;

use crate::provider::Endpoint;

/// Where health and metrics are served.
#[derive(Args, Clone, Debug)]
pub struct HttpArgs {
    /// Address of /live, /ready and /metrics, or off
    #[arg(
        long,
        env = "PHASE_CSI_HTTP_LISTEN",
        hide_env = true,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8086"
    )]
    pub http_listen: HttpListen,

    /// Socket on which probes of its own container ask for /live and /ready
    #[arg(
        long,
        env = "PHASE_CSI_HEALTH_SOCKET",
        hide_env = true,
        value_name = "SOCKET"
    )]
    pub health_socket: Option<Endpoint>,
}

/// An address with a port, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpListen(Option<SocketAddr>);

/// A text that is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address and a port, for example 127.0.0.1:8086 or [::]:8086, or off")]
pub struct HttpListenError;

/// Why an address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "--http-listen: cannot listen on {address}: {error}: choose another address, or off for no health and metrics"
)]
pub struct ListenError {
    /// Which.
    pub address: SocketAddr,
    /// What the operating system says.
    #[source]
    pub error: io::Error,
}

impl HttpListen {
    /// Where to listen, if anywhere.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        self.0
    }
}

impl FromStr for HttpListen {
    type Err = HttpListenError;

    fn from_str(text: &str) -> Result<Self, HttpListenError> {
        match text.trim() {
            // An environment variable that is set to nothing means the same.
            "" | "off" => Ok(Self(None)),
            address => address
                .parse()
                .map(|address| Self(Some(address)))
                .map_err(|_| HttpListenError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_either_kind_is_listened_on() {
        for text in ["127.0.0.1:8086", "[::]:8086", "0.0.0.0:0"] {
            let listen = text.parse::<HttpListen>().map(HttpListen::address);
            assert_eq!(listen, Ok(text.parse().ok()), "{text}");
        }
    }

    #[test]
    fn off_and_nothing_switch_it_off() {
        for text in ["off", "", " "] {
            assert_eq!(text.parse(), Ok(HttpListen(None)), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in ["8086", ":8086", "localhost:8086", "127.0.0.1", "none"] {
            let said = text
                .parse::<HttpListen>()
                .map_err(|error| error.to_string());
            let expected =
                "must be an IP address and a port, for example 127.0.0.1:8086 or [::]:8086, or off";
            assert_eq!(said, Err(expected.to_owned()), "{text}");
        }
    }
}
