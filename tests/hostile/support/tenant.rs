//! Whoever mounts: a namespace with its token and its classes.

use std::time::Duration;

use phase_csi_provider::provider::grpc::csi_driver_provider_client::CsiDriverProviderClient;
use phase_csi_provider::provider::{MountRequest, MountResponse};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Longer than the driver waits for a provider.
const PATIENCE: Duration = Duration::from_secs(120);

/// A tenant on its connection to the daemon.
#[derive(Clone)]
pub struct Tenant {
    client: CsiDriverProviderClient<Channel>,
    namespace: String,
}

/// A volume of one of its pods.
pub struct Volume {
    /// The token, unless its Secret has none.
    pub token: Option<String>,
    /// The pod.
    pub pod: String,
    /// The class's name.
    pub class: String,
    /// The class's parameters.
    pub parameters: Value,
}

impl Volume {
    /// Of the class `keys`.
    pub fn new(token: Option<&str>, pod: &str, parameters: &Value) -> Self {
        Self {
            token: token.map(str::to_owned),
            pod: pod.to_owned(),
            class: "keys".to_owned(),
            parameters: parameters.clone(),
        }
    }
}

impl Tenant {
    /// A namespace.
    pub fn new(client: CsiDriverProviderClient<Channel>, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    /// The driver's call for a volume.
    pub async fn mount(&self, volume: &Volume) -> Result<MountResponse, Status> {
        let request = self.request(volume);
        let answer = timeout(PATIENCE, self.client.clone().mount(request)).await;
        match answer {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::new(
                Code::DeadlineExceeded,
                "the driver waits no longer",
            )),
        }
    }

    fn request(&self, volume: &Volume) -> MountRequest {
        let uid = format!("uid-{}-{}", self.namespace, volume.pod);
        let pod = json!({
            "csi.storage.k8s.io/ephemeral": "true",
            "csi.storage.k8s.io/pod.name": volume.pod,
            "csi.storage.k8s.io/pod.namespace": self.namespace,
            "csi.storage.k8s.io/pod.uid": uid,
            "csi.storage.k8s.io/serviceAccount.name": "default",
            "secretProviderClass": volume.class,
        });
        let mut all: Map<String, Value> = pod.as_object().unwrap().clone();
        all.extend(volume.parameters.as_object().unwrap().clone());
        let secrets = match &volume.token {
            Some(token) => json!({ "token": token }),
            None => json!({}),
        };
        let mut request = MountRequest::new(Value::from(all).to_string(), secrets.to_string());
        request.target_path =
            format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~csi/keys/mount");
        request
    }
}
