//! Whom a managed Secret belongs to: a `PhaseSecret`, or a class that is mirrored.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::adopt;
use super::followed::Followed;
use super::mirror::SecretProviderClass;
use super::plan::{Plan, SecretName};
use super::policy::Origin;
use super::reconcile::{Context, Outcome};
use super::resource::{ManagedSecretReference, PhaseSecret, PhaseSecretSpec};
use super::status::{Reason, Trouble};
use super::tell;
use crate::digest;
use crate::phase::allowed::AllowedHosts;
use crate::snapshot::Upstream;

/// A kind of resource that Secrets belong to.
pub(super) trait Owner:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Default
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The kind, for people.
    const KIND: &'static str;
    /// The annotation of a Secret with the resource that it belongs to: `namespace/name`.
    const ANNOTATION: &'static str;
    /// The annotation of a Secret with the content for which its users have been
    /// restarted, where the resource itself does not keep that.
    const FOLLOWED: Option<&'static str>;
    /// Whether a Secret that it no longer names goes.
    const TAKES_BACK: bool;
    /// By which rules its plans are admitted.
    const ORIGIN: Origin;

    /// Drops what nobody here looks at.
    fn thin(&mut self) {
        self.managed_fields_mut().clear();
    }

    /// What it wants; may be nothing.
    ///
    /// # Errors
    /// What is wrong with the resource: everything stays as it is.
    fn plans(&self, hosts: &AllowedHosts) -> Result<Vec<Plan>, Trouble>;

    /// How many bytes reading it may take at most, beside its own.
    fn reading_bytes(&self) -> usize {
        0
    }

    /// Everything that decides the contents of the plan of this token, but the token itself,
    /// and nothing that does not: equal contents are made once.
    fn inputs(&self, token: &SecretName) -> [u8; 32];

    /// Whether it names this Secret.
    fn names(&self, secret: &SecretName) -> bool;

    /// The content for which the users of a Secret have been restarted, where the
    /// resource itself keeps that.
    fn followed(&self, secret: &SecretName) -> Option<Followed>;

    /// What there is to tell, if it is other than what was told.
    ///
    /// # Errors
    /// The API server does not take it.
    fn tell<U: Upstream>(
        &self,
        context: &Context<U, Self>,
        outcome: Outcome,
    ) -> impl Future<Output = Result<(), kube::Error>> + Send;
}

impl Owner for PhaseSecret {
    const KIND: &'static str = "PhaseSecret";
    const ANNOTATION: &'static str = "secrets.phase.dev/phasesecret";
    const FOLLOWED: Option<&'static str> = None;
    const TAKES_BACK: bool = false;
    const ORIGIN: Origin = Origin::Resource;

    fn plans(&self, hosts: &AllowedHosts) -> Result<Vec<Plan>, Trouble> {
        let namespace = self.namespace().unwrap_or_default();
        let plan = Plan::of(&namespace, &self.spec, hosts);
        let plan = plan.map_err(|mistakes| Trouble::new(Reason::InvalidSpec, mistakes))?;
        Ok(vec![plan])
    }

    fn inputs(&self, _: &SecretName) -> [u8; 32] {
        // One by one, so that whoever adds a field thinks of it here.
        let PhaseSecretSpec {
            phase_app,
            phase_app_id,
            phase_app_env,
            phase_app_env_path,
            phase_app_env_tag,
            phase_host,
            polling_interval,
            authentication: _,
            redeploy_label_selector: _,
            on_secret_reference_error,
            managed_secret_references,
        } = &self.spec;
        let forms: Vec<_> = managed_secret_references.iter().map(form).collect();
        let query = (
            (phase_host, phase_app, phase_app_id, phase_app_env),
            (phase_app_env_path, phase_app_env_tag),
            (on_secret_reference_error, polling_interval),
        );
        let inputs = serde_json::to_vec(&(query, forms)).unwrap_or_default();
        digest::of_parts([Self::KIND.as_bytes(), &inputs])
    }

    fn names(&self, secret: &SecretName) -> bool {
        let own = self.namespace();
        self.spec.managed_secret_references.iter().any(|of| {
            let namespace = of
                .secret_namespace
                .as_ref()
                .filter(|named| !named.is_empty());
            of.secret_name == secret.name && namespace.or(own.as_ref()) == Some(&secret.namespace)
        })
    }

    fn followed(&self, secret: &SecretName) -> Option<Followed> {
        let entry = tell::entry(self.status.as_ref()?, secret)?;
        Some(Followed {
            content: entry.content_hash.clone(),
            is_complete: !entry.restarts_pending,
        })
    }

    async fn tell<U: Upstream>(
        &self,
        context: &Context<U, Self>,
        outcome: Outcome,
    ) -> Result<(), kube::Error> {
        adopt::adopt(self, context, &outcome).await;
        tell::status(self, context, outcome).await
    }
}

/// What decides what one Secret holds.
fn form(reference: &ManagedSecretReference) -> impl Serialize {
    let ManagedSecretReference {
        secret_name: _,
        secret_namespace: _,
        secret_type,
        name_transformer,
        processors,
        template: _,
        on_conflict: _,
        on_type_change: _,
        owner_reference: _,
    } = reference;
    (secret_type, name_transformer, processors)
}

/// All resources that Secrets may belong to, in each namespace that is looked after.
pub(super) struct Owners {
    /// Resources.
    pub(super) resources: Vec<Store<PhaseSecret>>,
    /// Classes.
    pub(super) classes: Vec<Store<SecretProviderClass>>,
}

impl Owners {
    /// Who else wants a Secret that says it belongs to him: kind and name.
    pub(super) fn rival(
        &self,
        live: &PartialObjectMeta<Secret>,
        (annotation, own): (&str, &str),
    ) -> Option<String> {
        let is_own = |other: &str, of: &str| (other, of) == (annotation, own);
        wanting(&self.resources, live, is_own).or_else(|| wanting(&self.classes, live, is_own))
    }
}

fn wanting<K: Owner>(
    stores: &[Store<K>],
    live: &PartialObjectMeta<Secret>,
    is_own: impl Fn(&str, &str) -> bool,
) -> Option<String> {
    let owner = live.annotations().get(K::ANNOTATION)?;
    if is_own(K::ANNOTATION, owner) {
        return None;
    }
    let key = reference::<K>(owner)?;
    let secret = SecretName {
        namespace: live.namespace().unwrap_or_default(),
        name: live.name_any(),
    };
    let found = stores.iter().find_map(|store| store.get(&key))?;
    found.names(&secret).then(|| format!("{} {owner}", K::KIND))
}

/// The resource that a Secret says it belongs to.
pub(super) fn owner<K: Owner>(secret: &PartialObjectMeta<Secret>) -> Option<ObjectRef<K>> {
    reference(secret.annotations().get(K::ANNOTATION)?)
}

fn reference<K: Owner>(owner: &str) -> Option<ObjectRef<K>> {
    let (namespace, name) = owner.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at any surprise")]

    use serde_json::{Value, json};

    use super::*;

    fn inputs(name: &str, spec: &Value) -> [u8; 32] {
        let all = json!({
            "phaseApp": "shop",
            "authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": "phase"}}},
            "managedSecretReferences": [{"secretName": "out"}],
        });
        let mut object = json!({
            "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
            "metadata": {"name": name}, "spec": all,
        });
        let spec = spec.as_object().unwrap().clone();
        object["spec"].as_object_mut().unwrap().extend(spec);
        let object: PhaseSecret = serde_json::from_value(object).unwrap();
        object.inputs(&SecretName {
            namespace: "team".to_owned(),
            name: "phase".to_owned(),
        })
    }

    fn output(more: &Value) -> Value {
        let mut output = json!({"secretName": "out"});
        output
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"managedSecretReferences": [output]})
    }

    #[test]
    fn resources_whose_secrets_hold_the_same_have_the_same_inputs() {
        let plain = inputs("one", &json!({}));
        for same in [
            json!({}),
            json!({"redeployLabelSelector": "tier=web"}),
            json!({"authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": "other"}}}}),
            output(&json!({"secretName": "other"})),
            output(&json!({"secretNamespace": "elsewhere"})),
            output(&json!({"template": {"metadata": {"labels": {"a": "b"}}}})),
            output(
                &json!({"onConflict": "Take", "onTypeChange": "Recreate", "ownerReference": true}),
            ),
        ] {
            assert_eq!(inputs("another", &same), plain, "{same}");
        }
    }

    #[test]
    fn whatever_decides_what_secrets_hold_is_in_the_inputs() {
        let different = [
            json!({}),
            json!({"phaseApp": "other"}),
            json!({"phaseAppId": "shop"}),
            json!({"phaseAppEnv": "staging"}),
            json!({"phaseAppEnvPath": "/db"}),
            json!({"phaseAppEnvTag": "web"}),
            json!({"phaseHost": "https://phase.example"}),
            json!({"pollingInterval": 30}),
            json!({"onSecretReferenceError": "Warn"}),
            output(&json!({"secretType": "kubernetes.io/tls"})),
            output(&json!({"nameTransformer": "camel"})),
            output(&json!({"processors": {"A": {"asName": "b"}}})),
            output(&json!({"processors": {"A": {"type": "base64"}}})),
            output(&json!({"processors": {"B": {"type": "base64"}}})),
            json!({"managedSecretReferences": [{"secretName": "out"}, {"secretName": "two"}]}),
        ];
        for (number, one) in different.iter().enumerate() {
            for other in &different[number + 1..] {
                assert_ne!(inputs("one", one), inputs("one", other), "{one} {other}");
            }
        }
    }
}
