//! A `PhaseSecret` as the operator reads it.

use std::collections::BTreeMap;

use crate::check::workloads::list;
use crate::manifest::{Manifest, value};
use crate::render::transformer::Transformer;
use crate::yaml::Node;

/// A `PhaseSecret`.
pub(super) struct PhaseSecret<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) spec: &'a Node,
}

/// One entry of `managedSecretReferences`.
pub(super) struct Output<'a> {
    /// The Secret's name, or nothing when the resource names no Secret.
    pub(super) secret: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) kind: &'a str,
    pub(super) names: Names,
    /// Keys with a processor, in order.
    pub(super) keys: Vec<&'a str>,
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) annotations: Vec<(&'a str, &'a str)>,
}

/// How keys become names, and what becomes of their values.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) transformer: Option<Transformer>,
    pub(super) processors: BTreeMap<String, Processor>,
}

/// What is said of one key alone.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Processor {
    pub(super) as_name: Option<String>,
    pub(super) transformer: Option<Transformer>,
    pub(super) base64: bool,
}

impl<'a> PhaseSecret<'a> {
    pub(super) fn of(manifest: &'a Manifest) -> Option<Self> {
        let ours = manifest.kind == "PhaseSecret"
            && manifest.api_version.starts_with("secrets.phase.dev/");
        let spec = manifest.get(&["spec"]).filter(|_| ours);
        spec.map(|spec| Self { manifest, spec })
    }

    /// A field of `spec` with text; the operator takes an empty one as none.
    pub(super) fn text(&self, field: &str) -> Option<&'a str> {
        text(self.spec, field)
    }

    /// The Secret that holds the token.
    pub(super) fn token(&self) -> (&'a str, Option<&'a str>) {
        let path = [
            "authentication",
            "serviceToken",
            "serviceTokenSecretReference",
        ];
        let reference = value(self.spec, &path);
        let field = |name| reference.and_then(|reference| text(reference, name));
        let name = field("secretName").unwrap_or("phase-service-token");
        (name, field("secretNamespace").or_else(|| self.namespace()))
    }

    pub(super) fn namespace(&self) -> Option<&'a str> {
        self.manifest.namespace.as_deref()
    }

    /// What it writes; one output without a Secret when it names none.
    pub(super) fn outputs(&self) -> Vec<Output<'a>> {
        let references = list(self.spec, "managedSecretReferences");
        if references.is_empty() {
            return vec![self.output(self.spec, "")];
        }
        let outputs = references.iter().map(|reference| {
            let name = text(reference, "secretName").unwrap_or_default();
            self.output(reference, name)
        });
        outputs.collect()
    }

    fn output(&self, node: &'a Node, secret: &'a str) -> Output<'a> {
        let metadata = |field| value(node, &["template", "metadata", field]);
        let processors = node.get("processors").and_then(Node::map);
        let processors = processors.unwrap_or_default();
        Output {
            secret,
            namespace: text(node, "secretNamespace").or_else(|| self.namespace()),
            kind: text(node, "secretType").unwrap_or("Opaque"),
            names: Names {
                transformer: text(node, "nameTransformer").and_then(Transformer::parse),
                processors: processors
                    .iter()
                    .map(|field| (field.key.clone(), Processor::of(&field.key, &field.value)))
                    .collect(),
            },
            keys: processors.iter().map(|field| field.key.as_str()).collect(),
            labels: texts(metadata("labels")),
            annotations: texts(metadata("annotations")),
        }
    }
}

impl Names {
    /// The name that the operator gives to a key.
    pub(super) fn name(&self, key: &str) -> String {
        let own = self.processors.get(key);
        if let Some(name) = own.and_then(|own| own.as_name.as_ref()) {
            return name.clone();
        }
        let transformer = own.and_then(|own| own.transformer).or(self.transformer);
        transformer.map_or_else(|| key.to_owned(), |transformer| transformer.apply(key))
    }
}

impl Processor {
    /// A transformer that the operator does not know leaves the key as it is,
    /// whatever the one for all keys says.
    fn of(key: &str, node: &Node) -> Self {
        let named = text(node, "nameTransformer");
        let transformer = named.and_then(Transformer::parse);
        let unknown = named.filter(|_| transformer.is_none());
        let as_name = text(node, "asName").map(str::to_owned);
        Self {
            as_name: as_name.or_else(|| unknown.map(|_| key.to_owned())),
            transformer,
            base64: text(node, "type") == Some("base64"),
        }
    }
}

/// A field with text; an empty one is none.
pub(super) fn text<'a>(node: &'a Node, field: &str) -> Option<&'a str> {
    let field = node.get(field).filter(|field| !field.is_null())?;
    field.text().filter(|text| !text.is_empty())
}

fn texts(node: Option<&Node>) -> Vec<(&str, &str)> {
    let fields = node.and_then(Node::map).unwrap_or_default().iter();
    let pairs = fields.filter_map(|field| Some((field.key.as_str(), field.value.text()?)));
    pairs.collect()
}
