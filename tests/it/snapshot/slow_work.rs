//! A node that is slow itself, beside a Phase that answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use phase_csi_provider::cause::Cause;
use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::phase::environment::Filter;
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::phase::keys::Keys;
use phase_csi_provider::phase::selection::AppSelector;
use phase_csi_provider::phase::token::Token;
use phase_csi_provider::phase::{Answer, OnReferenceError, Query, Selection};
use phase_csi_provider::quota::{Allowance, Tenant};
use phase_csi_provider::snapshot::{
    About, Ask, Made, Recipe, Refusal, Reply, Settings, Snapshot, Source,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{LATENCY, POLL, World, seed};
use crate::support::model::{Model, Weather};

/// A node whose own work takes so long, each time that it makes an answer.
pub(super) struct Node {
    pub(super) model: Model,
    pub(super) snapshot: Snapshot<Model>,
    work: Duration,
    made: Arc<AtomicUsize>,
}

impl Node {
    pub(super) fn new(work: Duration) -> Self {
        let model = Model::new(seed(), LATENCY);
        Self {
            snapshot: Snapshot::new(model.clone(), Settings::default(), None),
            model,
            work,
            made: Arc::default(),
        }
    }

    async fn mount(&self, class: u8, pod: u8, limit: Duration) -> Result<Reply, Refusal> {
        let ask = self.ask(class, pod, limit);
        self.snapshot.answer(ask, || Ok(self.recipe())).await
    }

    pub(super) fn ask(&self, class: u8, pod: u8, limit: Duration) -> Ask {
        let text = self.model.phase.control().token("all").unwrap();
        Ask {
            tenant: Tenant::new("shop"),
            token: Token::parse(&SecretString::from(text)).unwrap(),
            inputs: [class; 32],
            volume: Some([pod; 16]),
            class: "keys".to_owned(),
            deadline: Deadline::after(limit),
        }
    }

    async fn value(&self, class: u8, pod: u8) -> (String, Source) {
        let reply = self.mount(class, pod, Duration::from_secs(90)).await;
        let reply = reply.unwrap();
        let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
        (text, reply.source)
    }

    pub(super) fn recipe(&self) -> Recipe {
        let (work, made) = (self.work, Arc::clone(&self.made));
        let make = move |answer: Answer, _: Allowance| {
            let made = Arc::clone(&made);
            async move {
                made.fetch_add(1, Ordering::Relaxed);
                sleep(work).await;
                let secrets = &answer.selected[0].secrets;
                let key = secrets.iter().find(|secret| secret.key == "KEY").unwrap();
                let value = key.value.expose_secret().to_owned();
                let about = About {
                    version: value.clone(),
                    ..About::default()
                };
                let bytes = value.into_bytes().into();
                Ok(Made { bytes, about })
            }
            .boxed()
        };
        Recipe {
            query: Query {
                host: "https://phase.test".parse().unwrap(),
                app: AppSelector::Name("a".to_owned()),
                selections: [Selection {
                    environment: "production".to_owned(),
                    filter: Filter {
                        folder: Folder::root(),
                        recursive: false,
                        tags: Vec::new(),
                        keys: Keys::All,
                    },
                }]
                .into(),
                on_reference_error: OnReferenceError::Warn,
            },
            max_stale: None,
            poll_interval: None,
            bytes: 0,
            make: Box::new(make),
        }
    }

    fn times_made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn slow_work_of_this_node_is_waited_for_and_not_taken_for_a_slow_phase() {
    let node = Node::new(Duration::from_secs(20));
    assert_eq!(
        node.value(1, 1).await,
        ("value".to_owned(), Source::Backend)
    );
    let control = node.model.phase.control();
    control
        .put_secret("a", "production", "/", "KEY", "changed")
        .unwrap();
    sleep(POLL * 2).await;
    // Phase has answered: neither the new pod nor the old one gets what is not true any more.
    for pod in [2, 1] {
        assert_eq!(node.value(1, pod).await.0, "changed");
    }
    assert_eq!(node.times_made(), 2);
}

#[tokio::test(start_paused = true)]
async fn work_of_this_node_is_never_begun_twice_for_one_answer() {
    let node = Node::new(Duration::from_secs(20));
    node.value(1, 1).await;
    // Another class of what is remembered, in time and too late.
    assert_eq!(node.value(2, 1).await.0, "value");
    assert_eq!(node.times_made(), 2);
    let error = node.mount(3, 1, Duration::from_secs(10)).await;
    assert_eq!(error.err().unwrap().cause, Cause::Deadline);
    assert_eq!(node.times_made(), 3);
    // kubelet's next try finds what goes on meanwhile.
    let begun = Instant::now();
    assert_eq!(node.value(3, 1).await.0, "value");
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert_eq!(node.times_made(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_late_by_this_nodes_work_blames_that() {
    let node = Node::new(Duration::from_secs(200));
    let error = node
        .mount(1, 1, Duration::from_secs(90))
        .await
        .err()
        .unwrap();
    assert_eq!(error.cause, Cause::Deadline);
    assert_eq!(
        error.text,
        "time of this mount ran out while this node opened and rendered its secrets, which Phase had sent: the mount is retried automatically; if this stays, give the provider more processor time, or mount fewer secrets in one class"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_late_by_phase_blames_phase() {
    let node = Node::new(Duration::ZERO);
    for (endpoint, path) in [
        ("tokens", "/service/secrets/tokens/"),
        ("secrets", "/service/secrets/"),
    ] {
        match endpoint {
            "tokens" => node.model.weather_of_tokens(Weather::Hangs),
            _ => {
                node.model.weather(Weather::Fine);
                node.model.weather_of_secrets(Weather::Hangs);
                sleep(Duration::from_secs(120)).await;
            }
        }
        let error = node
            .mount(1, 1, Duration::from_secs(5))
            .await
            .err()
            .unwrap();
        assert_eq!(error.cause, Cause::Deadline);
        let start =
            format!("time of this mount ran out while waiting for https://phase.test{path}: ");
        assert!(error.text.starts_with(&start), "{endpoint}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_late_in_line_for_the_budget_blames_that() {
    let world = World::with(Settings {
        request_budget: 4,
        ..Settings::default()
    });
    let environments = ["production", "staging", "development"];
    let tokens = ["all", "second", "same"];
    let wishes = tokens
        .iter()
        .flat_map(|token| environments.map(|of| (token, of)));
    let mut errors = Vec::new();
    for (token, environment) in wishes {
        let class = json!({"phaseAppEnv": environment, "onSecretReferenceError": "Warn"});
        let limit = Duration::from_secs(5);
        errors.extend(world.mount_within(token, &class, "a", limit).await.err());
    }
    for error in &errors {
        assert_eq!(error.cause, Cause::RateLimited);
        let start = "time of this mount ran out in line for the request budget of this node, to ask https://phase.test/service/secrets/";
        let end = ": the mount is retried automatically; if this stays, raise --request-budget or use fewer tokens per node";
        assert!(error.message.starts_with(start), "{error}");
        assert!(error.message.ends_with(end), "{error}");
    }
    assert!(!errors.is_empty());
}
