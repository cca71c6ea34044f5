//! kubelet's part, played by the test.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::api::{DRIVER, Namespace, PodStatus};
use crate::csi::Driver;
use crate::eventually;
use crate::installation::Installation;
use crate::volume::Volume;

/// A pod with one volume, and the kubelet that serves it.
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Namespace,
    volume: PodVolume,
    uid: String,
    target: PathBuf,
    socket: PathBuf,
}

impl Pod {
    /// Creates the pod's object; nothing is mounted yet. Of a pod with several
    /// volumes there is one [`Pod`] for each.
    pub(crate) async fn create(
        node: &Installation,
        namespace: &Namespace,
        template: PodTemplate<'_>,
    ) -> Vec<Self> {
        let volumes: Vec<_> = template
            .volumes
            .iter()
            .enumerate()
            .map(|(n, volume)| volume.manifest(n))
            .collect();
        let uid = namespace
            .pod(template.name, &node.node, &volumes, template.replica_set)
            .await;
        let target = |n: usize| {
            let volume = PodVolume::name(n);
            node.folder.join(format!(
                "pods/{uid}/volumes/kubernetes.io~csi/{volume}/mount"
            ))
        };
        let view = |(n, volume)| Self {
            name: template.name.to_owned(),
            namespace: namespace.clone(),
            volume,
            uid: uid.clone(),
            target: target(n),
            socket: node.driver_socket(),
        };
        template.volumes.into_iter().enumerate().map(view).collect()
    }

    /// One call as kubelet makes it. After a final error the target folder is
    /// deleted; after one of the five others it stays.
    ///
    /// # Errors
    /// What the driver answers.
    pub async fn publish(&self) -> Result<(), Status> {
        std::fs::create_dir_all(self.target.parent().unwrap()).unwrap();
        let secrets = self.publish_secrets().await;
        let result = self
            .driver()
            .await
            .publish(&self.target, self.context(), secrets)
            .await;
        if let Err(status) = &result
            && is_final(status.code())
            && !self.volume().is_mounted()
        {
            drop(std::fs::remove_dir(&self.target)); // it may not be there
        }
        result
    }

    /// The first mount's outcome: the driver learns of a new class with a short
    /// delay, and what it says until then is not counted.
    ///
    /// # Errors
    /// What the driver answers.
    pub async fn mount(&self) -> Result<(), Status> {
        let unknown = format!(
            "failed to get secretproviderclass {}/{}",
            self.namespace.name, self.volume.class
        );
        eventually("the driver to know the class", async || {
            match self.publish().await {
                Err(status) if status.message().contains(&unknown) => None,
                outcome => Some(outcome),
            }
        })
        .await
    }

    /// Mounts as kubelet does: it tries again, from half a second apart to ever longer, until it works.
    pub async fn mount_at_last(&self) {
        let mut pause = Duration::from_millis(500);
        eventually("a mount to succeed", async || {
            if self.publish().await.is_ok() {
                return Some(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
            None
        })
        .await;
    }

    /// Publishes again and again, as kubelet does for a running pod, until
    /// `look` finds something in the volume.
    ///
    /// # Panics
    /// When a republish fails, or nothing was found in time.
    pub async fn republish_until<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Volume<'_>) -> Option<T>,
    ) -> T {
        eventually(what, async || {
            self.publish()
                .await
                .expect("a republish shows no error to kubelet");
            look(&self.volume())
        })
        .await
    }

    /// Ends the volume and the pod.
    ///
    /// # Errors
    /// What the driver answers.
    pub async fn unmount(&self) -> Result<(), Status> {
        self.driver().await.unpublish(&self.target).await?;
        self.namespace
            .delete_pod(&self.name, &self.volume.class)
            .await;
        Ok(())
    }

    /// What the pod's container sees.
    pub fn volume(&self) -> Volume<'_> {
        Volume(&self.target)
    }

    /// The path of the volume.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// What the driver recorded of the mount; none before the first.
    pub async fn status(&self) -> Option<PodStatus> {
        self.namespace.status(&self.name, &self.volume.class).await
    }

    /// Moves at every real change of what the driver recorded.
    pub async fn status_revision(&self) -> Option<String> {
        self.namespace
            .status_revision(&self.name, &self.volume.class)
            .await
    }

    /// The recorded version of one object.
    pub async fn version(&self, object: &str) -> Option<String> {
        self.status().await?.versions().remove(object)
    }

    async fn driver(&self) -> Driver {
        Driver::connect(&self.socket)
            .await
            .expect("the driver serves")
    }

    /// kubelet reads the Secret anew at every call.
    async fn publish_secrets(&self) -> HashMap<String, String> {
        let Some(name) = &self.volume.token_secret else {
            return HashMap::new();
        };
        let data = self
            .namespace
            .secret_data(name)
            .await
            .expect("the test made it");
        data.into_iter()
            .map(|(key, value)| (key, String::from_utf8(value).unwrap()))
            .collect()
    }

    /// The volume's attributes with what kubelet adds.
    fn context(&self) -> HashMap<String, String> {
        let mut context = self.volume.attributes();
        for (key, value) in [
            ("pod.name", self.name.as_str()),
            ("pod.namespace", &self.namespace.name),
            ("pod.uid", &self.uid),
            ("serviceAccount.name", "default"),
            ("ephemeral", "true"),
        ] {
            context.insert(format!("csi.storage.k8s.io/{key}"), value.to_owned());
        }
        context
    }
}

/// A pod as its author writes it.
pub(crate) struct PodTemplate<'a> {
    pub(crate) name: &'a str,
    pub(crate) volumes: Vec<PodVolume>,
    /// The name of a `ReplicaSet` that owns it.
    pub(crate) replica_set: Option<&'a str>,
}

/// A pod's volume as its author writes it.
pub(crate) struct PodVolume {
    pub(crate) class: String,
    /// The Secret with the token.
    pub(crate) token_secret: Option<String>,
    /// Attributes beside the class.
    pub(crate) extra: HashMap<String, String>,
}

impl PodVolume {
    fn name(n: usize) -> String {
        format!("secrets-{n}")
    }

    fn attributes(&self) -> HashMap<String, String> {
        let mut attributes = self.extra.clone();
        attributes.insert("secretProviderClass".to_owned(), self.class.clone());
        attributes
    }

    fn manifest(&self, n: usize) -> Value {
        let mut csi =
            json!({"driver": DRIVER, "readOnly": true, "volumeAttributes": self.attributes()});
        if let Some(secret) = &self.token_secret {
            csi["nodePublishSecretRef"] = json!({"name": secret});
        }
        json!({"name": Self::name(n), "csi": csi})
    }
}

/// kubelet takes five codes for "perhaps still under way" and all others for an end.
fn is_final(code: Code) -> bool {
    !matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Unavailable
            | Code::ResourceExhausted
            | Code::Aborted
    )
}
