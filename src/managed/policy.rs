//! What resources may ask of the controller's rights, which are wider than those of
//! whoever writes a resource: nothing beyond their own namespace and its ordinary
//! Secrets, unless the administrator allows it.

use super::plan::{Plan, PlanMistake};
use crate::mistakes::Mistakes;
use crate::secret_types::PRIVILEGED;

/// What the administrator allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// Secrets of other namespaces, for the token or to write.
    pub cross_namespace_refs: bool,
    /// Secrets of types that are credentials of the cluster itself.
    pub privileged_secret_types: bool,
    /// `onConflict: Take` and `onTypeChange: Recreate` of `mirror`: whoever may write a
    /// class needs no right to Secrets.
    pub mirror_overwrite: bool,
}

/// What a plan comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A `PhaseSecret`.
    Resource,
    /// `mirror` of a class.
    Mirror,
}

impl Policy {
    /// Whether a plan of a resource in namespace `own` is allowed.
    ///
    /// # Errors
    /// All that is not, each with the flag that allows it.
    pub fn admits(
        self,
        own: &str,
        plan: &Plan,
        origin: Origin,
    ) -> Result<(), Mistakes<PlanMistake>> {
        let mut mistakes = Vec::new();
        if !self.cross_namespace_refs {
            mistakes.extend(plan.elsewhere(own));
        }
        for output in &plan.outputs {
            let kind = output.form.kind.as_str();
            if !self.privileged_secret_types && PRIVILEGED.contains(&kind) {
                mistakes.push(PlanMistake::Privileged {
                    secret: output.secret.to_string(),
                    kind: kind.to_owned(),
                });
            }
            let fields = [
                (output.takes, "onConflict: Take"),
                (output.recreates, "onTypeChange: Recreate"),
            ];
            let is_refused = origin == Origin::Mirror && !self.mirror_overwrite;
            let set = fields
                .into_iter()
                .filter(|(is_set, _)| *is_set && is_refused);
            mistakes.extend(set.map(|(_, field)| PlanMistake::Overwrite {
                secret: output.secret.to_string(),
                field,
            }));
        }
        Mistakes::none_or(mistakes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::class::Class;
    use crate::managed::plan::{Form, Output, SecretName};
    use crate::phase::allowed::AllowedHosts;
    use crate::phase::host::Host;
    use crate::render::NameRules;

    fn plan(kind: &str, namespace: &str, overwrites: bool) -> Plan {
        let hosts = AllowedHosts::new(Host::default(), &["*"]);
        let hosts = hosts.unwrap_or_else(|_| unreachable!("is fine"));
        let class = Class::read([("phaseApp", "shop")], &hosts);
        let name = |namespace: &str, name: &str| SecretName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        Plan {
            query: class.unwrap_or_else(|_| unreachable!("is fine")).query,
            token: name("team", "token"),
            interval: None,
            redeploy: None,
            layout: None,
            outputs: vec![Output {
                secret: name(namespace, "out"),
                form: Form {
                    kind: kind.to_owned(),
                    rules: NameRules::default(),
                },
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                takes: overwrites,
                recreates: overwrites,
                is_owned: false,
                may_be_empty: None,
            }],
        }
    }

    fn said(policy: Policy, plan: &Plan, origin: Origin) -> String {
        let admitted = policy.admits("team", plan, origin);
        admitted.map_or_else(|mistakes| mistakes.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn types_that_are_credentials_of_the_cluster_are_refused_unless_allowed() {
        for kind in [
            "kubernetes.io/service-account-token",
            "bootstrap.kubernetes.io/token",
        ] {
            for origin in [Origin::Resource, Origin::Mirror] {
                let plan = plan(kind, "team", false);
                assert_eq!(
                    said(Policy::default(), &plan, origin),
                    format!(
                        "Secret team/out would be of type {kind}, a credential of the cluster itself: write another type, or start the controller with --allow-privileged-secret-types"
                    )
                );
                let allowed = Policy {
                    privileged_secret_types: true,
                    ..Policy::default()
                };
                assert_eq!(said(allowed, &plan, origin), "ok");
            }
        }
        let plain = plan("kubernetes.io/tls", "team", false);
        assert_eq!(said(Policy::default(), &plain, Origin::Mirror), "ok");
    }

    #[test]
    fn a_mirror_overwrites_nothing_of_others_unless_that_is_allowed() {
        let plan = plan("Opaque", "team", true);
        assert_eq!(said(Policy::default(), &plan, Origin::Resource), "ok");
        assert_eq!(
            said(Policy::default(), &plan, Origin::Mirror),
            "2 mistakes: Secret team/out has onConflict: Take in mirror, by which whoever may write a class overwrites Secrets of others: leave it out, or start the controller with --allow-mirror-overwrite; \
             Secret team/out has onTypeChange: Recreate in mirror, by which whoever may write a class overwrites Secrets of others: leave it out, or start the controller with --allow-mirror-overwrite"
        );
        let allowed = Policy {
            mirror_overwrite: true,
            ..Policy::default()
        };
        assert_eq!(said(allowed, &plan, Origin::Mirror), "ok");
    }

    #[test]
    fn secrets_of_other_namespaces_are_refused_unless_allowed() {
        let plan = plan("Opaque", "kube-system", false);
        assert_eq!(
            said(Policy::default(), &plan, Origin::Resource),
            "spec.managedSecretReferences[0].secretNamespace names \"kube-system\", which is not its own: leave it out, or start the controller with --allow-cross-namespace-refs"
        );
        let allowed = Policy {
            cross_namespace_refs: true,
            ..Policy::default()
        };
        assert_eq!(said(allowed, &plan, Origin::Resource), "ok");
    }
}
