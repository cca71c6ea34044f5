//! `SecretProviderClass` with `mirror`: what it would mount, as Secrets.

use std::collections::BTreeMap;

use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::followed::Followed;
use super::owner::Owner;
use super::plan::{Form, Output, Plan, SecretName};
use super::policy::Origin;
use super::reconcile::{Context, Outcome, name};
use super::status::{Reason, Trouble};
use crate::class::{Class, Mirror};
use crate::digest;
use crate::mistakes::Mistakes;
use crate::phase::allowed::AllowedHosts;
use crate::render::NameRules;
use crate::snapshot::{Upstream, lock};

/// What of a class is read here.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "secrets-store.csi.x-k8s.io",
    version = "v1",
    kind = "SecretProviderClass",
    namespaced,
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq"
)]
#[allow(unreachable_pub, reason = "what the derive of kube writes")]
pub struct ProviderClass {
    /// Whose class it is.
    #[serde(default)]
    pub provider: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// The parameter with the list of Secrets.
const MIRROR: &str = "mirror";

impl SecretProviderClass {
    /// Whether it is ours.
    pub(super) fn is_phase(&self) -> bool {
        self.spec.provider == "phase"
    }

    /// What is written of Secrets, if it is ours.
    fn mirror(&self) -> Option<&String> {
        let parameters = self.is_phase().then_some(&self.spec.parameters);
        parameters?.get(MIRROR)
    }

    /// How many bytes reading parameters may take at most, beside their own.
    pub(super) fn reading_bytes_of(parameters: &BTreeMap<String, String>) -> usize {
        let pairs = parameters.iter();
        Class::reading_bytes(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Parameters of a class, read.
    ///
    /// # Errors
    /// All mistakes at once.
    pub(super) fn read(
        parameters: &BTreeMap<String, String>,
        hosts: &AllowedHosts,
    ) -> Result<Class, Trouble> {
        let pairs = parameters.iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
        Class::read(pairs, hosts).map_err(|mistakes| match Mistakes::none_or(mistakes) {
            Err(mistakes) => Trouble::new(Reason::InvalidSpec, mistakes),
            Ok(()) => unreachable!("a class is refused with a mistake"),
        })
    }
}

impl Owner for SecretProviderClass {
    const KIND: &'static str = "SecretProviderClass";
    const ANNOTATION: &'static str = "secrets.phase.dev/class";
    const FOLLOWED: Option<&'static str> = Some("secrets.phase.dev/restarted-for");
    const TAKES_BACK: bool = true;
    const ORIGIN: Origin = Origin::Mirror;

    fn thin(&mut self) {
        self.managed_fields_mut().clear();
        if !self.is_phase() {
            self.spec = ProviderClass::default();
        }
    }

    fn reading_bytes(&self) -> usize {
        Self::reading_bytes_of(&self.spec.parameters)
    }

    /// One for each Secret with a token.
    fn plans(&self, hosts: &AllowedHosts) -> Result<Vec<Plan>, Trouble> {
        if self.mirror().is_none() {
            return Ok(Vec::new());
        }
        let class = Self::read(&self.spec.parameters, hosts)?;
        let namespace = self.namespace().unwrap_or_default();
        let named = |name: &str| SecretName {
            namespace: namespace.clone(),
            name: name.to_owned(),
        };
        let mut by_token = BTreeMap::<_, Vec<Output>>::new();
        for mirror in &class.mirrors {
            let outputs = by_token.entry(mirror.token_secret_name.as_str());
            outputs
                .or_default()
                .push(output(mirror, named(&mirror.secret_name)));
        }
        let plan = |(token, outputs): (&str, Vec<Output>)| Plan {
            query: class.query.clone(),
            token: named(token),
            interval: None,
            redeploy: None,
            layout: Some(class.layout.clone()),
            outputs,
        };
        Ok(by_token.into_iter().map(plan).collect())
    }

    /// Which of its Secrets are written with a token follows from the token's Secret.
    fn inputs(&self, token: &SecretName) -> [u8; 32] {
        let class = digest::of_texts(Self::KIND, &self.spec.parameters);
        digest::of_parts([&class[..], token.name.as_bytes()])
    }

    fn names(&self, secret: &SecretName) -> bool {
        let mirrors = self.mirror().map(|text| Mirror::list(text));
        let mut mirrors = mirrors.into_iter().flatten();
        self.namespace().as_deref() == Some(&secret.namespace)
            && mirrors.any(|mirror| mirror.secret_name == secret.name)
    }

    fn followed(&self, _: &SecretName) -> Option<Followed> {
        None
    }

    fn has_taken_over(&self, _: &SecretName) -> bool {
        false
    }

    /// A class has no status: events alone, one for each change of state.
    async fn tell<U: Upstream>(
        &self,
        context: &Context<U, Self>,
        outcome: Outcome,
    ) -> Result<(), kube::Error> {
        context.notes(self, &outcome.notes).await;
        if !outcome.adopted.is_empty() {
            let of = outcome.adopted.join(", ");
            let note = format!("taken over from Phase's operator: Secrets {of}");
            context
                .event(self, EventType::Normal, "Adopted", &note)
                .await;
        }
        let troubles = outcome.troubles.iter();
        for trouble in troubles {
            warn!(
                object = name(self),
                reason = trouble.reason.as_str(),
                "{}",
                trouble.message
            );
        }
        let (reason, message) = outcome.summary();
        let key = ObjectRef::from_obj(self);
        let before = {
            let mut told = lock(&context.told);
            told.retain(|key, _| context.resources.get(key).is_some());
            told.insert(key, reason)
        };
        // After a start nothing is known of what was told.
        let is_silent = self.mirror().is_none()
            || before == Some(reason)
            || (before.is_none() && reason == Reason::Synced && !outcome.has_written);
        if !is_silent {
            let kind = match reason {
                Reason::Synced => EventType::Normal,
                _ => EventType::Warning,
            };
            context.event(self, kind, reason.as_str(), &message).await;
        }
        Ok(())
    }
}

fn output(mirror: &Mirror, secret: SecretName) -> Output {
    Output {
        secret,
        form: Form {
            kind: mirror.secret_type.clone(),
            rules: NameRules::default(),
        },
        labels: mirror.labels.clone(),
        annotations: mirror.annotations.clone(),
        takes: mirror.takes,
        recreates: mirror.recreates,
        is_owned: false,
        // Whether a class may be empty, it says itself.
        may_be_empty: Some(true),
    }
}
