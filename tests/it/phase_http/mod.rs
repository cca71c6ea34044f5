//! The HTTP client against servers that lie, stall and break off.

mod answers;
mod connections;
mod environment;
mod log;
mod refusals;
mod requests;
mod retries;
pub(crate) mod server;
mod texts;
pub(crate) mod tls;

use std::time::Duration;

use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::phase::client::{
    Authorization, Client, ClientConfig, ClientError, Proxies,
};
use phase_csi_provider::phase::host::Host;
use phase_csi_provider::phase::retry::Retry;
use phase_csi_provider::phase::wire::{SecretRow, TokensAnswer};

/// Recognisable in whatever is printed, and nowhere else.
const BEARER: &str = "5ec4e7be4ee45ec4e7be4ee45ec4e7be4ee45ec4e7be4ee45ec4e7be4ee4feed";

const NO_APPS: &str = r#"{"wrapped_key_share": "00", "apps": []}"#;

/// Long enough for any machine, short enough to end a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Direct connections, and retries that come at once.
fn config() -> ClientConfig {
    let millisecond = Duration::from_millis(1);
    ClientConfig {
        proxies: Proxies::None,
        retry: Retry {
            attempts: 4,
            base: millisecond,
            cap: millisecond,
        },
        ..ClientConfig::default()
    }
}

fn client() -> Client {
    Client::new(config()).unwrap()
}

fn authorization() -> Authorization {
    Authorization::new("ServiceAccount", &BEARER.into()).unwrap()
}

fn deadline() -> Deadline {
    Deadline::after(PATIENCE)
}

async fn tokens(client: &Client, host: &Host) -> Result<TokensAnswer, ClientError> {
    client.tokens(host, &authorization(), deadline()).await
}

async fn secrets(client: &Client, host: &Host) -> Result<Vec<SecretRow>, ClientError> {
    client
        .secrets(host, &authorization(), "env-1", deadline())
        .await
}

/// The error's text, proven to be one short line without the credential.
fn line(error: &ClientError) -> String {
    let text = error.to_string();
    assert!(
        text.len() < 500 && !text.contains('\n') && !text.contains(BEARER),
        "{text}"
    );
    text
}
