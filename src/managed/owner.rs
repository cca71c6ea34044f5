//! Whom a managed Secret belongs to: a `PhaseSecret`, or a class that is mirrored.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::adopt;
use super::mirror::SecretProviderClass;
use super::plan::{Plan, SecretName};
use super::reconcile::{Context, Outcome};
use super::resource::PhaseSecret;
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

    /// Drops what nobody here looks at.
    fn thin(&mut self) {
        self.managed_fields_mut().clear();
    }

    /// What it wants; may be nothing.
    ///
    /// # Errors
    /// What is wrong with the resource: everything stays as it is.
    fn plans(&self, hosts: &AllowedHosts) -> Result<Vec<Plan>, Trouble>;

    /// Everything that decides the contents but the token.
    fn inputs(&self) -> [u8; 32];

    /// Whether it names this Secret.
    fn names(&self, secret: &SecretName) -> bool;

    /// The content for which the users of a Secret have been restarted, where the
    /// resource itself keeps that.
    fn followed(&self, secret: &SecretName) -> Option<&str>;

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

    fn plans(&self, hosts: &AllowedHosts) -> Result<Vec<Plan>, Trouble> {
        let namespace = self.namespace().unwrap_or_default();
        let plan = Plan::of(&namespace, &self.spec, hosts);
        let plan = plan.map_err(|mistakes| Trouble::new(Reason::InvalidSpec, mistakes))?;
        Ok(vec![plan])
    }

    fn inputs(&self) -> [u8; 32] {
        let spec = serde_json::to_vec(&self.spec).unwrap_or_default();
        digest::of_parts([Self::KIND.as_bytes(), &spec])
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

    fn followed(&self, secret: &SecretName) -> Option<&str> {
        let entry = tell::entry(self.status.as_ref()?, secret)?;
        Some(&entry.content_hash)
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
