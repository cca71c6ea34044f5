//! A `PhaseSecret` as what is to be done: which secrets of Phase, by whose token, into
//! which Secrets. Everything is checked here; all mistakes are found together.

mod mistake;

use std::collections::BTreeMap;
use std::time::Duration;

use super::resource::{
    LEAST_POLLING_INTERVAL, MOST_POLLING_INTERVAL, ManagedSecretReference, PhaseSecretSpec,
    ProcessorSpec,
};
use super::selector::is_selector;
pub use mistake::PlanMistake;

use crate::class::{Class, shortened};
use crate::manifest::is_object_name;
use crate::mistakes::Mistakes;
use crate::phase::Query;
use crate::phase::allowed::AllowedHosts;
use crate::render::encoding::Encoding;
use crate::render::transformer::Transformer;
use crate::render::{Layout, NameRules, Processor};
use crate::secret_types::TYPES;

/// What a `PhaseSecret` wants.
#[derive(Debug)]
pub struct Plan {
    /// Which secrets of Phase.
    pub query: Query,
    /// Where the token is.
    pub token: SecretName,
    /// How often Phase is asked for change, where the resource says so.
    pub interval: Option<Duration>,
    /// Which annotated workloads are restarted: a label selector; without it, all.
    pub redeploy: Option<String>,
    /// The files of a class, of which each becomes a key; without it, secrets become
    /// keys by the rules of each output.
    pub layout: Option<Layout>,
    /// The Secrets to write.
    pub outputs: Vec<Output>,
}

/// A Secret by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One Secret to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Which.
    pub secret: SecretName,
    /// What it holds.
    pub form: Form,
    /// Labels that it gets.
    pub labels: BTreeMap<String, String>,
    /// Annotations that it gets.
    pub annotations: BTreeMap<String, String>,
    /// Whether what others have set is taken over.
    pub takes: bool,
    /// Whether a Secret of another type is deleted and made anew.
    pub recreates: bool,
    /// Whether it goes with the resource.
    pub is_owned: bool,
    /// Whether it may be empty, where that is said.
    pub may_be_empty: Option<bool>,
}

/// All that decides what a Secret holds of given secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The Secret's type.
    pub kind: String,
    /// How keys become names, and text becomes bytes.
    pub rules: NameRules,
}

impl Plan {
    /// How many bytes its recipe keeps.
    pub(super) fn bytes(&self) -> usize {
        let layout = self.layout.as_ref().map_or(0, Layout::bytes);
        let forms = self.outputs.iter().map(|output| output.form.rules.bytes());
        self.query.bytes() + layout + forms.sum::<usize>()
    }

    /// Reads the resource of a namespace, for a controller that admits `hosts`.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn of(
        namespace: &str,
        spec: &PhaseSecretSpec,
        hosts: &AllowedHosts,
    ) -> Result<Self, Mistakes<PlanMistake>> {
        let mut mistakes = Vec::new();
        let query = query(spec, hosts, &mut mistakes);
        let token = &spec
            .authentication
            .service_token
            .service_token_secret_reference;
        let token = secret(
            (namespace, TOKEN),
            (token.secret_namespace.as_deref(), &token.secret_name),
            &mut mistakes,
        );
        let interval = interval(spec.polling_interval, &mut mistakes);
        let redeploy = spec.redeploy_label_selector.as_deref().map(str::trim);
        let redeploy = redeploy.filter(|text| !text.is_empty());
        if let Some(text) = redeploy.filter(|text| !is_selector(text)) {
            mistakes.push(PlanMistake::Selector(shortened(text)));
        }
        let outputs = outputs(namespace, &token, spec, &mut mistakes);
        Mistakes::none_or(mistakes)?;
        Ok(Self {
            query: query.unwrap_or_else(|| unreachable!("without a mistake there is a query")),
            token,
            interval,
            redeploy: redeploy.map(str::to_owned),
            layout: None,
            outputs,
        })
    }

    /// The Secrets that are not in the resource's own namespace.
    pub(super) fn elsewhere(&self, own: &str) -> Vec<PlanMistake> {
        let outputs = self.outputs.iter().enumerate();
        let outputs =
            outputs.map(|(number, of)| (format!("managedSecretReferences[{number}]"), &of.secret));
        let named = std::iter::once((TOKEN.to_owned(), &self.token)).chain(outputs);
        let elsewhere = named.filter(|(_, secret)| secret.namespace != own);
        let mistakes = elsewhere.map(|(field, secret)| PlanMistake::Elsewhere {
            field,
            namespace: secret.namespace.clone(),
        });
        mistakes.collect()
    }
}

/// The field with the token's Secret.
const TOKEN: &str = "authentication.serviceToken.serviceTokenSecretReference";

/// Seconds between two questions for change.
fn interval(seconds: i64, mistakes: &mut Vec<PlanMistake>) -> Option<Duration> {
    if seconds < LEAST_POLLING_INTERVAL {
        mistakes.push(PlanMistake::Interval(seconds));
    } else if seconds > MOST_POLLING_INTERVAL {
        mistakes.push(PlanMistake::SeldomInterval(seconds));
    }
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// The selection by the rules of a class, whose parameters have the same names.
fn query(
    spec: &PhaseSecretSpec,
    hosts: &AllowedHosts,
    mistakes: &mut Vec<PlanMistake>,
) -> Option<Query> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let parameters = [
        ("phaseApp", given(&spec.phase_app)),
        ("phaseAppId", given(&spec.phase_app_id)),
        ("phaseAppEnv", given(&Some(spec.phase_app_env.clone()))),
        (
            "phaseAppEnvPath",
            given(&Some(spec.phase_app_env_path.clone())),
        ),
        ("phaseAppEnvTag", given(&spec.phase_app_env_tag)),
        ("phaseHost", given(&spec.phase_host)),
        (
            "onSecretReferenceError",
            given(&Some(spec.on_secret_reference_error.clone())),
        ),
    ];
    let parameters = parameters
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    match Class::read(parameters, hosts) {
        Ok(class) => Some(class.query),
        Err(found) => {
            mistakes.extend(found.into_iter().map(PlanMistake::Selection));
            None
        }
    }
}

/// A Secret that a field names.
fn secret(
    (own, field): (&str, &str),
    (namespace, name): (Option<&str>, &str),
    mistakes: &mut Vec<PlanMistake>,
) -> SecretName {
    let namespace = namespace.filter(|text| !text.is_empty()).unwrap_or(own);
    for (part, text, is_name) in [
        (
            "secretNamespace",
            namespace,
            is_object_name(namespace) && !namespace.contains('.'),
        ),
        ("secretName", name, is_object_name(name)),
    ] {
        if !is_name {
            mistakes.push(PlanMistake::Name {
                field: format!("{field}.{part}"),
                name: shortened(text),
            });
        }
    }
    SecretName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn outputs(
    namespace: &str,
    token: &SecretName,
    spec: &PhaseSecretSpec,
    mistakes: &mut Vec<PlanMistake>,
) -> Vec<Output> {
    let references = &spec.managed_secret_references;
    if references.is_empty() {
        mistakes.push(PlanMistake::Nothing);
    }
    let mut seen = BTreeMap::new();
    let mut outputs = Vec::new();
    for (number, reference) in references.iter().enumerate() {
        let output = output(namespace, number, reference, mistakes);
        if let Some(first) = seen.insert(output.secret.clone(), number) {
            mistakes.push(PlanMistake::Twice {
                first,
                second: number,
                secret: output.secret.to_string(),
            });
        }
        if output.secret == *token {
            mistakes.push(PlanMistake::Token(number));
        }
        if output.is_owned && output.secret.namespace != namespace {
            mistakes.push(PlanMistake::Owner(number));
        }
        outputs.push(output);
    }
    outputs
}

fn output(
    namespace: &str,
    number: usize,
    reference: &ManagedSecretReference,
    mistakes: &mut Vec<PlanMistake>,
) -> Output {
    let field = format!("managedSecretReferences[{number}]");
    let secret = secret(
        (namespace, &field),
        (
            reference.secret_namespace.as_deref(),
            &reference.secret_name,
        ),
        mistakes,
    );
    let mut entry = Entry { field, mistakes };
    let kind = &reference.secret_type;
    let types = TYPES.map(|known| known.name);
    entry.known("secretType", kind, types.contains(&kind.as_str()), &types);
    let metadata = reference.template.clone().unwrap_or_default().metadata;
    Output {
        secret,
        form: Form {
            kind: kind.clone(),
            rules: NameRules {
                transformer: entry
                    .transformer("nameTransformer", reference.name_transformer.as_deref()),
                processors: processors(&reference.processors, &mut entry),
            },
        },
        labels: metadata.labels,
        annotations: metadata.annotations,
        takes: entry.choice("onConflict", &reference.on_conflict, "Take"),
        recreates: entry.choice("onTypeChange", &reference.on_type_change, "Recreate"),
        is_owned: reference.owner_reference,
        may_be_empty: reference.allow_empty,
    }
}

fn processors(
    given: &BTreeMap<String, ProcessorSpec>,
    entry: &mut Entry<'_>,
) -> BTreeMap<String, Processor> {
    let processor = |(key, given): (&String, &ProcessorSpec)| {
        let of = |part: &str| format!("processors.{}.{part}", shortened(key));
        let kind = given.value_type.as_deref().filter(|text| !text.is_empty());
        let known = ["plain", "base64"];
        if let Some(kind) = kind {
            entry.known(&of("type"), kind, known.contains(&kind), &known);
        }
        let processor = Processor {
            as_name: given.as_name.clone().filter(|name| !name.is_empty()),
            transformer: entry
                .transformer(&of("nameTransformer"), given.name_transformer.as_deref()),
            encoding: match kind {
                Some("base64") => Encoding::Base64,
                _ => Encoding::Utf8,
            },
        };
        (key.clone(), processor)
    };
    given.iter().map(processor).collect()
}

/// The mistakes of one entry.
struct Entry<'a> {
    field: String,
    mistakes: &'a mut Vec<PlanMistake>,
}

impl Entry<'_> {
    fn known(&mut self, part: &str, value: &str, is_known: bool, known: &[&str]) {
        if !is_known {
            self.mistakes.push(PlanMistake::Unknown {
                field: format!("{}.{part}", self.field),
                value: shortened(value),
                known: known.join(", "),
            });
        }
    }

    fn transformer(&mut self, part: &str, name: Option<&str>) -> Option<Transformer> {
        let name = name.filter(|name| !name.is_empty())?;
        let found = Transformer::parse(name);
        self.known(part, name, found.is_some(), &Transformer::NAMES);
        found
    }

    /// Whether `value` is the one that does more than `Report`.
    fn choice(&mut self, part: &str, value: &str, more: &str) -> bool {
        let known = ["Report", more];
        self.known(
            part,
            value,
            value.is_empty() || known.contains(&value),
            &known,
        );
        value == more
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests;
