//! A pod, as its team sees it.

use k8s_openapi::api::core::v1::{Event, Pod as PodObject};
use kube::api::ListParams;
use phase_csi_cluster::eventually;

use crate::cluster::{kubectl, try_kubectl};
use crate::team::Team;

pub(crate) struct Pod<'a> {
    pub(crate) name: String,
    team: &'a Team,
}

impl<'a> Pod<'a> {
    /// A pod that exists.
    pub(crate) fn named(team: &'a Team, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            team,
        }
    }

    /// Waits until it is Ready; fails with its events if it never is.
    pub(crate) async fn ready(&self) -> &Self {
        let end = std::time::Instant::now() + phase_csi_cluster::PATIENCE;
        while !self.is("Ready").await {
            let events = self.events().await;
            assert!(
                std::time::Instant::now() < end,
                "{}: not Ready: {events:#?}",
                self.name
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        self
    }

    /// Whether a condition of it is true.
    pub(crate) async fn is(&self, condition: &str) -> bool {
        let object = self.object().await;
        let conditions = object
            .and_then(|pod| pod.status?.conditions)
            .unwrap_or_default();
        conditions
            .iter()
            .any(|found| found.type_ == condition && found.status == "True")
    }

    pub(crate) async fn object(&self) -> Option<PodObject> {
        let pods = self.team.namespace.api::<PodObject>();
        pods.get_opt(&self.name).await.unwrap()
    }

    pub(crate) async fn uid(&self) -> String {
        self.object().await.unwrap().metadata.uid.unwrap()
    }

    /// A file as the container sees it.
    pub(crate) async fn read(&self, path: &str) -> Vec<u8> {
        self.try_run(&["cat", path]).await.unwrap()
    }

    /// The same as text.
    pub(crate) async fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path).await).unwrap()
    }

    /// What a shell script in the container prints.
    pub(crate) async fn sh(&self, script: &str) -> String {
        let output = self.try_run(&["sh", "-c", script]).await.unwrap();
        String::from_utf8(output).unwrap()
    }

    pub(crate) async fn try_run(&self, command: &[&str]) -> Result<Vec<u8>, String> {
        let exec = ["--namespace", &self.team.name, "exec", &self.name, "--"];
        try_kubectl(exec.iter().chain(command)).await
    }

    /// Waits until the file has this text.
    pub(crate) async fn shows(&self, path: &str, text: &str) {
        eventually("new bytes in the container", async || {
            let found = self.try_run(&["cat", path]).await.ok()?;
            (found == text.as_bytes()).then_some(())
        })
        .await;
    }

    /// Deletes it and waits until it is gone.
    pub(crate) async fn delete(&self) {
        kubectl([
            "--namespace",
            &self.team.name,
            "delete",
            "pod",
            &self.name,
            "--timeout=60s",
        ])
        .await;
    }

    /// Reason and text of each of its events.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let events = self.team.namespace.api::<Event>();
        let of_pod = ListParams::default().fields(&format!("involvedObject.name={}", self.name));
        let list = events.list(&of_pod).await.unwrap();
        let pair = |event: Event| {
            (
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default(),
            )
        };
        list.into_iter().map(pair).collect()
    }

    /// Waits for an event with this reason; its message.
    pub(crate) async fn event_of(&self, reason: &str) -> String {
        eventually(reason, async || {
            let events = self.events().await;
            let found = events.into_iter().find(|(found, _)| found == reason);
            found.map(|(_, message)| message)
        })
        .await
    }

    /// Waits for an event that has this text in it; the whole message.
    pub(crate) async fn event(&self, text: &str) -> String {
        let end = std::time::Instant::now() + phase_csi_cluster::PATIENCE;
        loop {
            let events = self.events().await;
            if let Some((_, message)) = events.iter().find(|(_, message)| message.contains(text)) {
                return message.clone();
            }
            assert!(
                std::time::Instant::now() < end,
                "{}: no event with {text:?}: {events:#?}",
                self.name
            );
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Versions of what the driver recorded, once it has.
    pub(crate) async fn versions(&self, class: &str) -> std::collections::BTreeMap<String, String> {
        eventually("the pod's status", async || {
            self.team.namespace.status(&self.name, class).await
        })
        .await
        .versions()
    }
}
