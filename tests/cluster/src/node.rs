//! A node: a driver, our provider, and Phase behind it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use phase_emulator::seed::Secret;
use serde_json::{Value, json};

use crate::api::Namespace;
use crate::csi::Driver;
use crate::installation::{Installation, ProviderOptions};
use crate::kubelet::{Pod, PodTemplate, PodVolume};
use crate::phase::Phase;
use crate::process::{Process, http_get};
use crate::programs::{Line, Programs};
use crate::{eventually, sync_controller};

/// The class and the Secret with the token that most tests use.
const CLASS: &str = "app-secrets";
const TOKEN: &str = "phase-token";

/// A node of its own for one test: driver, provider and Phase, and one
/// namespace of the node's name with a token in it.
pub struct Node {
    /// Its name, and its namespace's.
    pub name: String,
    /// The driver that runs here.
    pub driver: Process,
    /// The provider that runs here.
    pub provider: Process,
    /// Phase, as the provider reaches it.
    pub phase: Phase,
    /// The namespace that was made with the node.
    pub namespace: Namespace,
    client: Client,
    installation: Installation,
}

/// What is special about a node.
pub struct NodeBuilder {
    name: &'static str,
    secrets: Vec<Secret>,
    staging: Vec<Secret>,
    phase: Option<Phase>,
    provider: ProviderOptions,
    driver_arguments: Vec<String>,
}

impl Node {
    /// A node whose Phase holds `secrets` in `Production` of the app `shop`.
    pub fn with(name: &'static str, secrets: Vec<Secret>) -> NodeBuilder {
        NodeBuilder {
            name,
            secrets,
            staging: Vec::new(),
            phase: None,
            provider: ProviderOptions::default(),
            driver_arguments: Vec::new(),
        }
    }

    /// Which line the driver belongs to.
    pub fn line(&self) -> Line {
        self.installation.programs.line
    }

    /// A further namespace, with a token in it.
    pub async fn second_namespace(&self, suffix: &str) -> Namespace {
        namespace(
            &self.client,
            &format!("{}-{suffix}", self.name),
            &self.phase,
        )
        .await
    }

    /// A pod in the node's namespace whose class has these parameters beside app and environment.
    pub async fn pod(&self, name: &str, extra: Value) -> Pod {
        self.edit_class(extra).await;
        self.pod_of(&self.namespace, name, CLASS).await
    }

    /// A pod of a class that is there, with the namespace's token.
    pub async fn pod_of(&self, namespace: &Namespace, name: &str, class: &str) -> Pod {
        self.pod_with(namespace, name, volume(class), None).await
    }

    /// The same, owned by a `ReplicaSet`.
    pub async fn pod_of_replica_set(&self, replica_set: &str, name: &str, class: &str) -> Pod {
        self.pod_with(&self.namespace, name, volume(class), Some(replica_set))
            .await
    }

    /// A pod in the node's namespace with a volume for each class.
    pub async fn pod_of_many(&self, name: &str, classes: &[&str]) -> Vec<Pod> {
        let volumes = classes.iter().map(|class| volume(class)).collect();
        let template = PodTemplate {
            name,
            volumes,
            replica_set: None,
        };
        Pod::create(&self.installation, &self.namespace, template).await
    }

    /// A pod in the node's namespace whose volume names no Secret with a token.
    pub async fn pod_without_token(&self, name: &str) -> Pod {
        self.edit_class(json!({})).await;
        let volume = PodVolume {
            token_secret: None,
            ..volume(CLASS)
        };
        self.pod_with(&self.namespace, name, volume, None).await
    }

    /// A pod in the node's namespace that sets attributes of its own on its volume.
    pub async fn pod_with_attributes(&self, name: &str, attributes: Value) -> Pod {
        self.edit_class(json!({})).await;
        let extra = serde_json::from_value(attributes).expect("an object of strings");
        self.pod_with(
            &self.namespace,
            name,
            PodVolume {
                extra,
                ..volume(CLASS)
            },
            None,
        )
        .await
    }

    /// Creates or replaces the class that [`Node::pod`] uses.
    pub async fn edit_class(&self, extra: Value) {
        self.class(CLASS, extra, json!([])).await;
    }

    /// Creates or replaces a class with app and environment, further
    /// parameters, and Kubernetes Secrets to make.
    pub async fn class(&self, name: &str, extra: Value, secret_objects: Value) {
        self.namespace
            .class(name, parameters(extra), secret_objects)
            .await;
    }

    /// Puts another token into the Secret that pods of the node's namespace name.
    pub async fn replace_token(&self, token: &str) {
        self.namespace.token(TOKEN, token).await;
    }

    /// Starts the provider (again) and waits until it serves.
    pub async fn start_provider(&mut self) {
        self.provider = self.installation.start_provider();
        provider_serves(&self.installation, &mut self.provider).await;
    }

    /// Starts a second provider on the same socket and waits until it gives
    /// up; what it says.
    pub async fn second_provider(&self) -> String {
        let mut second = self.installation.start_second_provider();
        eventually("the second provider to end", async || {
            second.has_ended().then_some(())
        })
        .await;
        second.output()
    }

    /// Ends the driver and starts it again.
    pub async fn restart_driver(&mut self) {
        self.driver.stop().await;
        self.driver = self.installation.start_driver();
        driver_serves(&self.installation, &mut self.driver).await;
    }

    /// The driver's metrics as text.
    pub async fn driver_metrics(&self) -> String {
        let address = &self.installation.metrics;
        eventually("the driver's metrics", async || {
            http_get(address, "/metrics").await
        })
        .await
    }

    /// The name and the version that the driver gives itself.
    pub async fn driver_name(&self) -> (String, String) {
        let driver = Driver::connect(&self.installation.driver_socket())
            .await
            .expect("the driver serves");
        driver.name().await.expect("every driver tells its name")
    }

    /// Asks the provider as the sync controller does, for a class of these
    /// parameters beside app and environment; the files by path.
    ///
    /// # Errors
    /// What the provider answers.
    pub async fn ask_as_sync_controller(
        &self,
        extra: Value,
        secrets: Value,
    ) -> Result<BTreeMap<String, Vec<u8>>, tonic::Status> {
        let socket = self.provider_socket();
        sync_controller::ask(&socket, parameters(extra), &self.name, secrets).await
    }

    /// The provider's socket.
    pub fn provider_socket(&self) -> PathBuf {
        self.installation.provider_socket()
    }

    /// Every file of the provider's state folder by its path.
    pub fn state_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect(&self.installation.state_folder(), &mut found);
        found
    }

    async fn pod_with(
        &self,
        namespace: &Namespace,
        name: &str,
        volume: PodVolume,
        replica_set: Option<&str>,
    ) -> Pod {
        let template = PodTemplate {
            name,
            volumes: vec![volume],
            replica_set,
        };
        let mut volumes = Pod::create(&self.installation, namespace, template).await;
        volumes.remove(0)
    }
}

impl NodeBuilder {
    /// Lets the environment `Staging` of the same app hold secrets, too.
    pub fn staging(mut self, secrets: Vec<Secret>) -> Self {
        self.staging = secrets;
        self
    }

    /// Shares another node's Phase.
    pub fn phase_of(mut self, other: &Node) -> Self {
        self.phase = Some(other.phase.clone());
        self
    }

    /// Lets the provider's filter of `:authority` be off.
    pub fn raw_authority(mut self) -> Self {
        self.provider.raw_authority = true;
        self
    }

    /// Lets the provider ask Phase for changes this often.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.provider.poll_interval = interval;
        self
    }

    /// Lets the provider ask Phase for no changes: every request is a mount's.
    pub fn without_polls(self) -> Self {
        self.poll_interval(Duration::from_secs(24 * 3600))
    }

    /// Gives the provider a state folder, which stays when it starts again.
    pub fn keeps_state(mut self) -> Self {
        self.provider.keeps_state = true;
        self
    }

    /// Lets the provider give new volumes no older answers while Phase is away.
    pub fn max_stale(mut self, time: &'static str) -> Self {
        self.provider.max_stale = Some(time);
        self
    }

    /// A further argument for the driver; it wins over the usual one.
    pub fn driver_argument(mut self, argument: &str) -> Self {
        self.driver_arguments.push(argument.to_owned());
        self
    }

    /// Starts everything and waits until it serves.
    pub async fn start(self) -> Node {
        let programs = Programs::from_environment();
        let client = programs.client().await;
        let phase = match self.phase {
            Some(phase) => phase,
            None => Phase::start(self.secrets, self.staging).await,
        };
        let namespace = namespace(&client, self.name, &phase).await;
        let mut installation = Installation::prepare(programs, self.name, phase.url());
        installation.provider = self.provider;
        installation.driver_arguments = self.driver_arguments;
        let (mut driver, mut provider) =
            (installation.start_driver(), installation.start_provider());
        provider_serves(&installation, &mut provider).await;
        driver_serves(&installation, &mut driver).await;
        Node {
            name: self.name.to_owned(),
            driver,
            provider,
            phase,
            namespace,
            client,
            installation,
        }
    }
}

/// A class's parameters for the suite's app and environment.
pub fn parameters(extra: Value) -> Value {
    let mut parameters = json!({"phaseApp": "shop", "phaseAppEnv": "Production"});
    let Value::Object(extra) = extra else {
        panic!("parameters are an object of strings")
    };
    parameters.as_object_mut().expect("it is one").extend(extra);
    parameters
}

/// A provider at work may take a file away between two looks.
fn collect(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
}

fn volume(class: &str) -> PodVolume {
    PodVolume {
        class: class.to_owned(),
        token_secret: Some(TOKEN.to_owned()),
        extra: HashMap::new(),
    }
}

async fn namespace(client: &Client, name: &str, phase: &Phase) -> Namespace {
    let namespace = Namespace::create(client, name).await;
    namespace.default_account().await;
    namespace.token(TOKEN, &phase.token()).await;
    namespace
}

async fn provider_serves(installation: &Installation, provider: &mut Process) {
    let socket = installation.provider_socket();
    eventually("the provider to serve", async || {
        assert!(
            !provider.has_ended(),
            "the provider ended: {}",
            provider.output()
        );
        tokio::net::UnixStream::connect(&socket).await.ok()
    })
    .await;
}

async fn driver_serves(installation: &Installation, driver: &mut Process) {
    let socket = installation.driver_socket();
    eventually("the driver to serve", async || {
        assert!(!driver.has_ended(), "the driver ended: {}", driver.output());
        let client = Driver::connect(&socket).await.ok()?;
        client.is_ready().await.then_some(())
    })
    .await;
}
