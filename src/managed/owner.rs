//! Whom a managed Secret belongs to: a `PhaseSecret`, or a class that is mirrored.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Mutex;

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
use crate::snapshot::{Upstream, lock};

/// From so many claims on, those go from time to time that nobody has any more.
const MOST_CLAIMS: usize = 16_384;

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

    /// Whether a Secret was Phase's own operator's, as far as the resource keeps that.
    fn has_taken_over(&self, secret: &SecretName) -> bool;

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

    fn has_taken_over(&self, secret: &SecretName) -> bool {
        let status = self.status.as_ref();
        let entry = status.and_then(|status| tell::entry(status, secret));
        entry.is_some_and(|entry| entry.taken_over)
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
        allow_empty: _,
    } = reference;
    (secret_type, name_transformer, processors)
}

/// All resources that Secrets may belong to, in each namespace that is looked after.
pub(super) struct Owners {
    resources: Vec<Store<PhaseSecret>>,
    classes: Vec<Store<SecretProviderClass>>,
    /// Who is about to write a Secret, or has: what is watched of it comes later.
    claims: Mutex<HashMap<SecretName, Claim>>,
}

/// A resource, as a Secret names it: the annotation of its kind, and `namespace/name`.
type Claim = (&'static str, String);

impl Owners {
    pub(super) fn new(
        resources: Vec<Store<PhaseSecret>>,
        classes: Vec<Store<SecretProviderClass>>,
    ) -> Self {
        Self {
            resources,
            classes,
            claims: Mutex::default(),
        }
    }

    /// Has a resource keep a Secret, of which `live` is there. The first that names it
    /// keeps it, for as long as it does: of two that come at once, too.
    ///
    /// # Errors
    /// Who else keeps it: kind and name.
    pub(super) fn claim(
        &self,
        secret: &SecretName,
        live: Option<&PartialObjectMeta<Secret>>,
        own: Claim,
    ) -> Result<(), String> {
        let said = |annotation| {
            let owner = live?.annotations().get(annotation)?;
            Some((annotation, owner.clone()))
        };
        let said = [PhaseSecret::ANNOTATION, SecretProviderClass::ANNOTATION].map(said);
        let said: Vec<_> = said.into_iter().flatten().collect();
        let rival = said
            .iter()
            .find_map(|other| self.wanting(other, secret, &own));
        if let Some(rival) = rival {
            return Err(rival);
        }
        let mut claims = lock(&self.claims);
        // What the Secret itself says counts more than what was meant to be written.
        let before = claims.get(secret).filter(|_| !said.contains(&own));
        let rival = before.and_then(|other| self.wanting(other, secret, &own));
        if let Some(rival) = rival {
            return Err(rival);
        }
        if claims.len() >= MOST_CLAIMS && claims.len().is_power_of_two() {
            claims.retain(|secret, claim| self.named(claim, secret).is_some());
        }
        claims.insert(secret.clone(), own);
        Ok(())
    }

    /// The kind and name of another resource, if it is there and names the Secret.
    fn wanting(&self, other: &Claim, secret: &SecretName, own: &Claim) -> Option<String> {
        if other == own {
            return None;
        }
        self.named(other, secret)
    }

    /// The same, whoever it is.
    fn named(&self, (annotation, owner): &Claim, secret: &SecretName) -> Option<String> {
        match *annotation {
            PhaseSecret::ANNOTATION => named(&self.resources, owner, secret),
            _ => named(&self.classes, owner, secret),
        }
    }
}

fn named<K: Owner>(stores: &[Store<K>], owner: &str, secret: &SecretName) -> Option<String> {
    let key = reference::<K>(owner)?;
    let found = stores.iter().find_map(|store| store.get(&key))?;
    found.names(secret).then(|| format!("{} {owner}", K::KIND))
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
mod tests;
