//! Sends events, one after the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use reqwest::{Client, redirect};
use secrecy::ExposeSecret;
use tokio::sync::mpsc::Receiver;
use tracing::{debug, info, warn};

use super::account::{Account, certificates};
use super::event::Event;
use crate::telemetry::metrics::{Fate, PodEventFigures};

/// Sends events, and says once when that begins to fail and once when it works again.
struct Post {
    account: Account,
    /// The connections, and the CA that they trust.
    client: Option<(Vec<u8>, Client)>,
    /// Why the last event was not taken.
    trouble: Option<String>,
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("the mounted service account cannot be read: {0}")]
    Account(#[from] io::Error),
    #[error(
        "the service account may not create events (status 403), or the pod's namespace is being deleted: grant it create on events, as the chart's podEvents.enabled does"
    )]
    Forbidden,
    #[error("the Kubernetes API does not know the service account (status 401): look at its token")]
    Unknown,
    #[error("the Kubernetes API gave no answer within {limit} s", limit = WITHIN.as_secs())]
    Slow,
    #[error(
        "the Kubernetes API cannot be reached: check the way to KUBERNETES_SERVICE_HOST and its certificate"
    )]
    Unreachable,
    #[error("the Kubernetes API answered with status {0}")]
    Status(u16),
}

/// Sends what comes until nobody can send any more.
pub(super) async fn all(
    account: Account,
    mut waiting: Receiver<Event>,
    figures: Arc<PodEventFigures>,
) {
    info!(account = %account.directory().display(), "events are created on pods");
    let mut post = Post {
        account,
        client: None,
        trouble: None,
    };
    while let Some(event) = waiting.recv().await {
        let sent = post.send(&event).await;
        figures.count(match sent {
            Ok(()) => Fate::Sent,
            Err(_) => Fate::Failed,
        });
        post.say(sent);
    }
}

impl Post {
    async fn send(&mut self, event: &Event) -> Result<(), PostError> {
        // Two small files of a memory volume.
        let (token, ca) = (self.account.token()?, self.account.ca()?);
        let client = self.client(ca)?;
        let url = self.account.events_of(event.namespace());
        let request = client
            .post(url.ok_or(PostError::Unreachable)?)
            .bearer_auth(token.expose_secret())
            .header(header::CONTENT_TYPE, "application/json")
            .body(event.body())
            .timeout(WITHIN);
        let answer = request.send().await.map_err(|error| {
            let is_slow = error.is_timeout();
            debug!(error = %error.without_url(), "an event was not sent");
            match is_slow {
                true => PostError::Slow,
                false => PostError::Unreachable,
            }
        });
        match answer?.status() {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED => Err(PostError::Unknown),
            StatusCode::FORBIDDEN => Err(PostError::Forbidden),
            status => Err(PostError::Status(status.as_u16())),
        }
    }

    /// The connections that trust this CA.
    fn client(&mut self, ca: Vec<u8>) -> Result<Client, PostError> {
        if let Some((known, client)) = &self.client
            && *known == ca
        {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .user_agent(concat!("phase-csi-provider/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(1)
            .tls_certs_only(certificates(&ca)?)
            .build()
            .map_err(|_| PostError::Unreachable)?;
        self.client = Some((ca, client.clone()));
        Ok(client)
    }

    fn say(&mut self, sent: Result<(), PostError>) {
        let trouble = sent.err().map(|error| error.to_string());
        match &trouble {
            Some(error) if self.trouble != trouble => {
                warn!(
                    error,
                    "events on pods are not created: mounts are not affected"
                );
            }
            None if self.trouble.is_some() => info!("events on pods are created again"),
            _ => {}
        }
        self.trouble = trouble;
    }
}

/// For one event, connection and all.
const WITHIN: Duration = Duration::from_secs(5);
