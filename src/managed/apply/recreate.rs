//! A Secret of another type, which cannot be changed: made anew, once it is certain that
//! it can be.

use std::collections::BTreeMap;

use http::{Method, Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::client::Body;
use serde_json::json;

use super::{Applier, ApplyError, Failed, Write, refused, why};
use crate::managed::plan::SecretName;
use crate::secret_types::SERVICE_ACCOUNT_NAME;

/// Nothing is stored.
const TRIAL: &str = "&dryRun=All";

impl Applier {
    /// Deletes a Secret and makes it anew.
    ///
    /// First all of it is tried under another name, and nothing is stored: whatever the API
    /// server, a quota or a webhook has against it, the old Secret is still there. What is
    /// deleted is the Secret that was looked at, and no other that came in its place.
    pub(super) async fn recreate(&self, write: &Write<'_>) -> Result<ObjectMeta, ApplyError> {
        let secret = &write.output.secret;
        let told = |failed| why(write.output, failed);
        if let Some(found) = self.metadata(secret).await.map_err(told)? {
            if is_credential(secret, &found) {
                let secret = secret.clone();
                return Err(ApplyError::Credential { secret });
            }
            self.trial(write).await?;
            self.delete(secret, &found).await.map_err(told)?;
        }
        self.patch(write, write.output.takes).await.map_err(told)
    }

    async fn trial(&self, write: &Write<'_>) -> Result<(), ApplyError> {
        let name = format!("phase-csi-provider-trial-{:016x}", fastrand::u64(..));
        match self.patch_as(write, &name, false, TRIAL).await {
            Ok(_) => Ok(()),
            Err(Failed::Status(mut status)) => {
                status.message = status.message.replace(&name, &write.output.secret.name);
                Err(refused(write.output, &status))
            }
            Err(failed) => Err(why(write.output, failed)),
        }
    }

    /// What is there now; none if nothing is.
    async fn metadata(&self, secret: &SecretName) -> Result<Option<ObjectMeta>, Failed> {
        let request = Request::builder().method(Method::GET).uri(uri(secret));
        none_if_gone(self.send(request, Body::empty()).await)
    }

    /// Deletes exactly this one.
    async fn delete(&self, secret: &SecretName, found: &ObjectMeta) -> Result<(), Failed> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": found.uid, "resourceVersion": found.resource_version},
        });
        let request = Request::builder()
            .method(Method::DELETE)
            .uri(uri(secret))
            .header(header::CONTENT_TYPE, "application/json");
        let options = Body::from(options.to_string().into_bytes());
        none_if_gone(self.send(request, options).await).map(drop)
    }
}

fn uri(SecretName { namespace, name }: &SecretName) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

fn none_if_gone(answer: Result<ObjectMeta, Failed>) -> Result<Option<ObjectMeta>, Failed> {
    match answer {
        Err(Failed::Status(status)) if status.code == 404 => Ok(None),
        answer => answer.map(Some),
    }
}

/// Whether it is a token of a service account, or one that nodes join with.
fn is_credential(secret: &SecretName, found: &ObjectMeta) -> bool {
    let has = |all: &BTreeMap<String, String>| all.contains_key(SERVICE_ACCOUNT_NAME);
    let is_bootstrap =
        secret.namespace == "kube-system" && secret.name.starts_with("bootstrap-token-");
    is_bootstrap || found.annotations.as_ref().is_some_and(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(annotation: &str) -> ObjectMeta {
        ObjectMeta {
            annotations: Some([(annotation.to_owned(), "x".to_owned())].into()),
            ..ObjectMeta::default()
        }
    }

    fn secret(namespace: &str, name: &str) -> SecretName {
        SecretName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn credentials_of_the_cluster_are_known_without_their_data() {
        let plain = found("secrets.phase.dev/class");
        assert!(is_credential(
            &secret("team", "a"),
            &found(SERVICE_ACCOUNT_NAME)
        ));
        assert!(is_credential(
            &secret("kube-system", "bootstrap-token-abc"),
            &plain
        ));
        assert!(!is_credential(
            &secret("team", "bootstrap-token-abc"),
            &plain
        ));
        assert!(!is_credential(&secret("kube-system", "a"), &plain));
    }
}
