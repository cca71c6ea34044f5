//! Kubernetes manifests as people write them: files of several documents, whose
//! every value knows its place.
//!
//! Nothing is judged here: whoever reads a class from a file decides what of it is
//! a mistake. Lines that may hold a secret are never given out as excerpts, and a file
//! is wiped when it is dropped; what its reader copied meanwhile is not.

mod class;
mod scalar;
mod text;

pub use class::{API_GROUP, CLASS_KIND, Parameter, ProviderClass, place_in_file};
pub use scalar::{Scalar, scalar};
pub(crate) use text::{as_scalar, comment};

pub use crate::secret_types::is_object_name;

use std::fs;
use std::io::{self, Read};

use secrecy::ExposeSecret;
use zeroize::Zeroize;

use crate::console::STANDARD_INPUT;
use crate::render::wiped::WipedBuffer;
use crate::yaml::{self, Node, Place, YamlError};

/// A file of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    manifests: Vec<Manifest>,
}

/// One object of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its `apiVersion`, or nothing.
    pub api_version: String,
    /// Its `kind`, or nothing.
    pub kind: String,
    /// Its `metadata.name`, or nothing.
    pub name: String,
    /// Its `metadata.namespace`, when it is written.
    pub namespace: Option<String>,
    /// All of it.
    pub node: Node,
}

/// Why a file of manifests cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Too large to be manifests.
    #[error("{name} is larger than {MOST_BYTES} bytes: split it")]
    Large {
        /// The file.
        name: String,
    },
    /// Not UTF-8.
    #[error("{name} is not UTF-8 text: save it as UTF-8")]
    NotText {
        /// The file.
        name: String,
    },
    /// The system refuses it.
    #[error("{name} cannot be read: {error}: check the path")]
    Read {
        /// The file.
        name: String,
        /// The system's words.
        error: io::Error,
    },
    /// Not YAML.
    #[error("{name}, {error}")]
    Yaml {
        /// The file.
        name: String,
        /// Where and why.
        error: YamlError,
    },
}

/// More than any rendered chart.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

impl File {
    /// Reads a path, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read, or is no YAML.
    pub fn read(path: &str) -> Result<Self, ManifestError> {
        let name = shown(path);
        let failed = |error| ManifestError::Read {
            name: name.to_owned(),
            error,
        };
        let bytes = if path == STANDARD_INPUT {
            bounded(io::stdin().lock())
        } else {
            fs::File::open(path).and_then(bounded)
        };
        let bytes = bytes.map_err(failed)?;
        let name = name.to_owned();
        if bytes.len() as u64 > MOST_BYTES {
            return Err(ManifestError::Large { name });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&name, text),
            Err(_) => Err(ManifestError::NotText { name }),
        }
    }

    /// Reads a text; `name` is what findings call it.
    ///
    /// # Errors
    /// When it is no YAML.
    pub fn parse(name: &str, text: impl Into<String>) -> Result<Self, ManifestError> {
        let text = text.into();
        let name = name.to_owned();
        let documents = match yaml::documents(&text) {
            Ok(documents) => documents,
            Err(error) => return Err(ManifestError::Yaml { name, error }),
        };
        let mut manifests = Vec::new();
        for document in documents {
            flatten(document, &mut manifests);
        }
        Ok(Self {
            name,
            lines: line_starts(&text),
            text,
            manifests,
        })
    }

    /// What findings call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All objects, lists taken apart, in their order.
    #[must_use]
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// The classes among them, of whatever provider.
    #[must_use]
    pub fn classes(&self) -> Vec<ProviderClass> {
        let manifests = self.manifests.iter();
        manifests.filter_map(ProviderClass::of).collect()
    }

    /// The source's line, from 1: only when nothing secret can stand in it.
    #[must_use]
    pub fn line(&self, number: usize) -> Option<&str> {
        let index = number.checked_sub(1)?;
        let begin = *self.lines.get(index)?;
        let line = self.text[begin..].split(['\r', '\n']).next()?;
        let secret = line.contains("pss_") || self.is_within_secret(number);
        (!secret).then_some(line)
    }

    /// Whether a line may belong to a Secret; one line may hold many objects.
    fn is_within_secret(&self, line: usize) -> bool {
        let mut rest = &self.manifests[..];
        while let [manifest, after @ ..] = rest {
            let end = after.first().map_or(usize::MAX, |next| next.node.at.line);
            let within = (manifest.node.at.line..=end).contains(&line);
            if within && manifest.kind.eq_ignore_ascii_case("Secret") {
                return true;
            }
            rest = after;
        }
        false
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.text.zeroize();
        for manifest in &mut self.manifests {
            manifest.node.wipe();
        }
    }
}

impl Manifest {
    fn of(node: Node) -> Self {
        let text = |path: &[&str]| value(&node, path).and_then(Node::text).map(str::to_owned);
        Self {
            api_version: text(&["apiVersion"]).unwrap_or_default(),
            kind: text(&["kind"]).unwrap_or_default(),
            name: text(&["metadata", "name"]).unwrap_or_default(),
            namespace: text(&["metadata", "namespace"]),
            node,
        }
    }

    /// The value at a path of keys.
    #[must_use]
    pub fn get(&self, path: &[&str]) -> Option<&Node> {
        value(&self.node, path)
    }

    /// Where its name stands, or else where it begins.
    #[must_use]
    pub fn at(&self) -> Place {
        self.get(&["metadata", "name"])
            .map_or(self.node.at, |name| name.at)
    }

    /// The namespace it lands in when nothing else says which.
    #[must_use]
    pub fn namespace_or_default(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// The value at a path of keys.
#[must_use]
pub fn value<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// Lines as the reader of YAML counts them: a lone carriage return ends one, too.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = (0..bytes.len()).filter(|&at| match bytes[at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    [0].into_iter().chain(ends.map(|at| at + 1)).collect()
}

fn shown(path: &str) -> &str {
    match path {
        STANDARD_INPUT => "standard input",
        path => path,
    }
}

/// One byte more than allowed tells that there is more. It grows without leaving
/// copies behind.
fn bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = WipedBuffer::new(MOST_BYTES as usize + 1);
    io::copy(&mut source.take(MOST_BYTES + 1), &mut bytes)?;
    let bytes = bytes.finish().map_err(io::Error::other)?;
    Ok(bytes.expose_secret().to_vec())
}

/// Takes lists apart; the reader of YAML bounds how deep they go.
fn flatten(mut document: Node, manifests: &mut Vec<Manifest>) {
    let is_list = document
        .get("kind")
        .and_then(Node::text)
        .is_some_and(|kind| kind.ends_with("List"));
    if is_list {
        if let yaml::Data::Map(fields) = &mut document.data {
            let items = fields.iter_mut().filter(|field| field.key == "items");
            for field in items {
                if let yaml::Data::List(items) = &mut field.value.data {
                    for item in std::mem::take(items) {
                        flatten(item, manifests);
                    }
                }
            }
        }
    } else {
        manifests.push(Manifest::of(document));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File::parse("x.yaml", text).expect("is YAML")
    }

    #[test]
    fn lists_and_documents_are_taken_apart_in_order() {
        let file = file(
            "kind: List\nitems:\n- {kind: A, metadata: {name: a, namespace: n}}\n- {kind: B}\n---\nkind: C\n",
        );
        let kinds: Vec<_> = file.manifests().iter().map(|m| m.kind.as_str()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert_eq!(file.manifests()[0].name, "a");
        assert_eq!(file.manifests()[0].namespace.as_deref(), Some("n"));
        assert_eq!(file.manifests()[1].namespace_or_default(), "default");
    }

    #[test]
    fn lines_of_secrets_and_tokens_are_never_given_out() {
        let two =
            file("kind: A\nx: 1\n---\nkind: Secret\ndata: {a: aGk=}\n---\nkind: B\ny: pss_x\n");
        assert_eq!(two.line(2), Some("x: 1"));
        assert_eq!(two.line(5), None);
        assert_eq!(two.line(8), None, "a token's line");
        assert_eq!(two.line(99), None);
        assert_eq!(two.line(0), None);
        let one =
            file(r#"{"kind":"List","items":[{"kind":"Secret","data":{"a":"aGk="}},{"kind":"B"}]}"#);
        assert_eq!(one.line(1), None);
    }

    #[test]
    fn lines_are_those_that_yaml_counts() {
        let ends = ["\n", "\r\n", "\r"];
        for end in ends {
            let text = format!("a: 1{end}b: 2{end}{end}c: 3{end}");
            let file = file(&text);
            let c = &file.manifests()[0].get(&["c"]).expect("there");
            assert_eq!(c.at.line, 4, "{text:?}");
            assert_eq!(file.line(c.at.line), Some("c: 3"), "{text:?}");
            assert_eq!(file.line(3), Some(""), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let error = File::parse("x.yaml", "a: [1\n").expect_err("no YAML");
        assert!(
            error.to_string().starts_with("x.yaml, line 1, column"),
            "{error}"
        );
        let error = File::read("/nowhere/x.yaml").expect_err("no file");
        assert_eq!(
            error.to_string(),
            "/nowhere/x.yaml cannot be read: No such file or directory (os error 2): check the path"
        );
    }
}
