//! The `mirror` list: Kubernetes Secrets that hold what the class would mount.

use std::collections::BTreeMap;

use super::form::{Fields, Text, document, wrong_document};
use super::mistake::{Found, Mistake, Problem, shortened};
use crate::secret_types::{TYPES, is_object_name};
use crate::yaml::{Data, Node};

/// Every field of an entry.
pub const KNOWN_MIRROR_FIELDS: [&str; 6] = [
    "metadata",
    "onConflict",
    "onTypeChange",
    "secretName",
    "secretType",
    "tokenSecretName",
];

/// The Secret with the token where an entry names none, as in a `PhaseSecret`.
pub const TOKEN_SECRET: &str = "phase-service-token";

/// How many Secrets a class may be mirrored into.
const MOST_ENTRIES: usize = 100;
const MIRROR: &str = "mirror";
const LIST: &str = "a list of Secrets";
const REMEDY: &str = "write a YAML list such as \"- secretName: shop\", or leave mirror out";

/// A Secret that holds what the class would mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Its name, in the class's namespace.
    pub secret_name: String,
    /// Its type.
    pub secret_type: String,
    /// The Secret with the service token, in the same namespace.
    pub token_secret_name: String,
    /// Labels that it gets.
    pub labels: BTreeMap<String, String>,
    /// Annotations that it gets.
    pub annotations: BTreeMap<String, String>,
    /// Whether what others have set is taken over.
    pub takes: bool,
    /// Whether a Secret of another type is deleted and made anew.
    pub recreates: bool,
}

/// Reads the list; every mistake goes into `mistakes`.
pub(super) fn parse(text: &str, mistakes: &mut Found) -> Vec<Mirror> {
    let items = match document(MIRROR, text, LIST, REMEDY) {
        Ok(Some(Node {
            data: Data::List(items),
            ..
        })) => items,
        Ok(document) => {
            let found = document.map_or("nothing", |document| document.kind());
            mistakes.push(wrong_document(MIRROR, found, LIST, REMEDY));
            return Vec::new();
        }
        Err(mistake) => {
            mistakes.push(*mistake);
            return Vec::new();
        }
    };
    if items.len() > MOST_ENTRIES {
        let problem = Problem::Many {
            count: items.len(),
            what: "Secrets",
            most: MOST_ENTRIES,
        };
        mistakes.push(Mistake::new(MIRROR, problem));
        return Vec::new();
    }
    let mut mirrors: Vec<Mirror> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let path = format!("{MIRROR}[{index}]");
        mirrors.extend(entry(path, node, &mirrors, mistakes));
    }
    mirrors
}

fn entry(path: String, node: &Node, before: &[Mirror], mistakes: &mut Found) -> Option<Mirror> {
    let remedy = "write fields such as \"secretName: shop\"";
    let mut fields = Fields::of(MIRROR, path, node, &KNOWN_MIRROR_FIELDS, remedy, mistakes)?;
    if !fields.has("secretName") {
        fields.wrong(Problem::NoSecretName);
    }
    let name = object_name(&mut fields, "secretName");
    let token = object_name(&mut fields, "tokenSecretName");
    let token = token.unwrap_or_else(|| TOKEN_SECRET.to_owned());
    let types = TYPES.map(|known| known.name);
    let secret_type = fields.choice("secretType", &types, |text| {
        types.into_iter().find(|known| *known == text)
    });
    let takes = report_or(&mut fields, "onConflict", ["Report", "Take"]);
    let recreates = report_or(&mut fields, "onTypeChange", ["Report", "Recreate"]);
    let metadata = fields.map(
        "metadata",
        &["annotations", "labels"],
        "write labels and annotations",
    );
    let (labels, annotations) = metadata.map_or_else(Default::default, |mut metadata| {
        (metadata.texts("labels"), metadata.texts("annotations"))
    });
    let name = name?;
    if before.iter().any(|other| other.secret_name == name) {
        fields.wrong(Problem::Twice { name });
        return None;
    }
    if name == token {
        fields.wrong(Problem::OverToken { name });
        return None;
    }
    Some(Mirror {
        secret_name: name,
        secret_type: secret_type.unwrap_or(types[0]).to_owned(),
        token_secret_name: token,
        labels,
        annotations,
        takes,
        recreates,
    })
}

fn object_name(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let Text { text, at, .. } = fields.text(name)?;
    if !is_object_name(text) {
        let value = shortened(text);
        fields.wrong_at(name, at, Problem::ObjectName { name, value });
        return None;
    }
    Some(text.to_owned())
}

/// Whether a field says more than its default.
fn report_or(fields: &mut Fields<'_>, name: &'static str, choices: [&'static str; 2]) -> bool {
    let chosen = fields.choice(name, &choices, |text| {
        choices.iter().position(|known| *known == text)
    });
    chosen == Some(1)
}

impl Mirror {
    /// The Secrets that a text names, as far as it can be read.
    #[must_use]
    pub fn list(text: &str) -> Vec<Self> {
        parse(text, &mut Found::default())
    }
}
