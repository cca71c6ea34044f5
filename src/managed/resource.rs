//! The resource `PhaseSecret` of `secrets.phase.dev/v1alpha1`: every field of Phase's
//! own operator, versions 1 and 2, with its name, default and meaning, and what only
//! this controller has.
//!
//! Fields are texts here, also where the schema lists what they may be: an object that
//! was stored under another schema must not stop the watch of all others.
#![allow(
    clippy::duplicated_attributes,
    unreachable_pub,
    reason = "what the derives of kube write"
)]

use std::collections::BTreeMap;
use std::io::{self, Write};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::class::TOKEN_SECRET;
use crate::render::transformer::Transformer;
use crate::secret_types::TYPES;

/// Fewer seconds between two questions for change are not meant by anyone.
pub const LEAST_POLLING_INTERVAL: i64 = 5;
/// Who asks less often than once a day does not ask.
pub const MOST_POLLING_INTERVAL: i64 = 86_400;

/// Which secrets of Phase, and into which Kubernetes Secrets.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "secrets.phase.dev",
    version = "v1alpha1",
    kind = "PhaseSecret",
    plural = "phasesecrets",
    singular = "phasesecret",
    shortname = "phs",
    namespaced,
    doc = "Secrets of Phase, kept in Kubernetes Secrets",
    status = "PhaseSecretStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "App", type_ = "string", json_path = ".status.app"),
    printcolumn(
        name = "Environment",
        type_ = "string",
        json_path = ".status.environment"
    ),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Synced\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Synced\")].reason"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(
    validation = Rule::new("has(self.phaseApp) || has(self.phaseAppId)")
        .message("an app is needed: set phaseApp to its name, or phaseAppId to its id")
)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSecretSpec {
    /// The app's name, whole, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_app: Option<String>,
    /// The app's id; wins over the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_app_id: Option<String>,
    /// The environment's name, whole, in any case.
    #[serde(default = "production")]
    pub phase_app_env: String,
    /// The folder.
    #[serde(default = "root")]
    pub phase_app_env_path: String,
    /// Tags, comma-separated, any of them; any case, `_` equals a space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_app_env_tag: Option<String>,
    /// Console URL. It must be admitted by the controller; its default is the controller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_host: Option<String>,
    /// Seconds between two questions for change.
    #[serde(default = "minute")]
    #[schemars(range(min = LEAST_POLLING_INTERVAL, max = MOST_POLLING_INTERVAL))]
    pub polling_interval: i64,
    /// How the controller proves to Phase who asks; by the Secret `phase-service-token`
    /// where nothing is given.
    #[serde(default)]
    pub authentication: Authentication,
    /// Narrows which workloads are restarted when a Secret changes: a label selector
    /// such as `tier=web`. Without it, all that are annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeploy_label_selector: Option<String>,
    /// What becomes of a reference that cannot be resolved: `Fail` keeps all Secrets as
    /// they are, `Warn` writes the rest with the reference's text.
    #[serde(default = "fail")]
    #[schemars(schema_with = "reference_errors")]
    pub on_secret_reference_error: String,
    /// The Secrets to write.
    pub managed_secret_references: Vec<ManagedSecretReference>,
}

/// How the controller proves to Phase who asks.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// By a service token in a Secret.
    #[serde(default)]
    pub service_token: ServiceToken,
}

/// A service token in a Secret.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceToken {
    /// Which Secret: its key `token` holds the token.
    #[serde(default)]
    pub service_token_secret_reference: TokenSecretReference,
}

/// The Secret that holds a service token under the key `token`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenSecretReference {
    /// Its name.
    #[serde(default = "token_secret")]
    pub secret_name: String,
    /// Its namespace; the resource's own where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_namespace: Option<String>,
}

impl Default for TokenSecretReference {
    fn default() -> Self {
        Self {
            secret_name: token_secret(),
            secret_namespace: None,
        }
    }
}

/// One Secret to write.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedSecretReference {
    /// Its name.
    pub secret_name: String,
    /// Its namespace; the resource's own where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_namespace: Option<String>,
    /// Its type.
    #[serde(default = "opaque")]
    #[schemars(schema_with = "secret_types")]
    pub secret_type: String,
    /// How every key becomes a name; without it, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "transformers")]
    pub name_transformer: Option<String>,
    /// What is done with single keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub processors: BTreeMap<String, ProcessorSpec>,
    /// Labels and annotations for the Secret; those of others stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// What happens where another field manager has set a key, label or annotation to
    /// something else: `Report` leaves the Secret as it is, `Take` takes it over.
    #[serde(default = "report")]
    #[schemars(schema_with = "conflicts")]
    pub on_conflict: String,
    /// What happens where the Secret has another type, which cannot be changed:
    /// `Report` leaves it as it is, `Recreate` deletes it and makes it anew.
    #[serde(default = "report")]
    #[schemars(schema_with = "type_changes")]
    pub on_type_change: String,
    /// Whether the Secret becomes empty where nothing is selected any more; without it that
    /// is a mistake and the Secret stays as it is, unless Phase's own operator has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    /// Whether the Secret goes with the resource; only in the resource's own namespace.
    #[serde(default)]
    pub owner_reference: bool,
}

/// What is done with one key.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessorSpec {
    /// Its name in the Secret; wins over transformers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_name: Option<String>,
    /// How the key becomes a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "transformers")]
    pub name_transformer: Option<String>,
    /// `plain` text, or `base64` text of which the Secret gets the decoded bytes.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "value_types")]
    pub value_type: Option<String>,
}

/// What a Secret gets beside its data.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Its metadata.
    #[serde(default)]
    pub metadata: TemplateMetadata,
}

/// Labels and annotations.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How things are.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSecretStatus {
    /// `Ready`, `Synced`, `Stale`.
    #[serde(default)]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// The generation that all this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The app, as Phase spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The environment, as Phase spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// How many secrets are selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<u32>,
    /// When a Secret was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// The Secrets that were written, and how far their workloads have followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretStatus>,
}

/// One Secret that was written.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Changes exactly when its bytes change, whoever reads them, and reveals nothing of
    /// them: a digest under keys of the environments.
    pub content_hash: String,
    /// Whether workloads that use it are still to be restarted for this content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarts_pending: bool,
    /// Whether Phase's own operator has written it before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
}

/// Prints the definition of the resource, as YAML for `kubectl apply`.
///
/// # Errors
/// What the writer says.
pub fn print(out: &mut impl Write) -> io::Result<()> {
    let mut definition = PhaseSecret::crd();
    // With the definition all resources would go. Helm goes by what the live one says, and
    // whoever replaces that by this text must not take it away.
    let keep = ("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    definition.metadata.annotations = Some([keep].into());
    let text = serde_saphyr::to_string(&definition).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}

fn production() -> String {
    "production".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

const fn minute() -> i64 {
    60
}

fn fail() -> String {
    "Fail".to_owned()
}

fn token_secret() -> String {
    TOKEN_SECRET.to_owned()
}

fn opaque() -> String {
    TYPES[0].name.to_owned()
}

fn report() -> String {
    "Report".to_owned()
}

fn one_of(names: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": names})
}

fn reference_errors(_: &mut SchemaGenerator) -> Schema {
    one_of(&["Fail", "Warn"])
}

fn secret_types(_: &mut SchemaGenerator) -> Schema {
    one_of(&TYPES.map(|known| known.name))
}

fn transformers(_: &mut SchemaGenerator) -> Schema {
    one_of(&Transformer::NAMES)
}

fn conflicts(_: &mut SchemaGenerator) -> Schema {
    one_of(&["Report", "Take"])
}

fn type_changes(_: &mut SchemaGenerator) -> Schema {
    one_of(&["Report", "Recreate"])
}

fn value_types(_: &mut SchemaGenerator) -> Schema {
    one_of(&["plain", "base64"])
}

/// Conditions are a map by their type, so that each is written on its own.
fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert(
        "x-kubernetes-list-map-keys".to_owned(),
        ["type"].as_slice().into(),
    );
    schema
}
