//! From a file to a [`Configuration`]: as strict as the API server, which refuses
//! fields that it does not know, but with every mistake at once and in its place.

use std::collections::HashSet;

use base64ct::{Base64, Encoding as _};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::configuration::{Cipher, Configuration, Entry, Key, Kind, Kms, Provider};
use super::error::{Mistake, Problem};
use crate::manifest::{Scalar, scalar};
use crate::yaml::{Field, Node, Place};

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";
const PROVIDERS: [&str; 5] = ["secretbox", "aesgcm", "aescbc", "kms", "identity"];

/// Reads a document.
///
/// # Errors
/// Every mistake, in the order of the file.
pub(super) fn read(document: &Node) -> Result<Configuration, Vec<Mistake>> {
    let mut reader = Reader::default();
    let configuration = reader.configuration(document);
    let mut mistakes = reader.mistakes;
    mistakes.sort_by_key(|mistake| mistake.at);
    match configuration {
        Some(configuration) if mistakes.is_empty() => Ok(configuration),
        _ => Err(mistakes),
    }
}

/// Collects mistakes; what has one is none.
#[derive(Default)]
struct Reader {
    mistakes: Vec<Mistake>,
    /// Names of plugins so far, in the whole file.
    plugins: HashSet<String>,
    /// Names of keys so far, in one entry.
    keys: HashSet<(&'static str, String)>,
}

impl Reader {
    fn configuration(&mut self, document: &Node) -> Option<Configuration> {
        self.map(document, "", &["apiVersion", "kind", "resources"])?;
        self.constant(document, "apiVersion", API_VERSION, Problem::ApiVersion);
        self.constant(document, "kind", KIND, Problem::Kind);
        let (list, path) = self.field(document, "", "resources")?;
        let items = self.list(list, &path)?;
        let entries = items.map(|(path, node)| self.entry(node, &path));
        let entries: Vec<_> = entries.collect();
        Some(Configuration {
            entries: entries.into_iter().collect::<Option<_>>()?,
            at: list.at,
        })
    }

    fn constant(&mut self, document: &Node, name: &str, value: &str, problem: Problem) {
        if let Some((node, path)) = self.field(document, "", name)
            && node.text() != Some(value)
        {
            self.add(node.at, &path, problem);
        }
    }

    fn entry(&mut self, node: &Node, path: &str) -> Option<Entry> {
        self.map(node, path, &["resources", "providers"])?;
        self.keys.clear();
        let resources = self.field(node, path, "resources");
        let resources = resources.and_then(|(list, path)| {
            let items = self.list(list, &path)?;
            let names: Vec<_> = items
                .map(|(path, node)| self.resource(node, &path))
                .collect();
            names.into_iter().collect::<Option<Vec<_>>>()
        });
        let (list, path) = self.field(node, path, "providers")?;
        let items = self.list(list, &path)?;
        let providers: Vec<_> = items
            .map(|(path, node)| self.provider(node, &path))
            .collect();
        Some(Entry {
            resources: resources?,
            providers: providers.into_iter().collect::<Option<_>>()?,
        })
    }

    /// Its name also stands in a command that somebody will copy.
    fn resource(&mut self, node: &Node, path: &str) -> Option<String> {
        let name = self.text(node, path)?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.*".contains(c);
        if !name.chars().all(fits) {
            return self.wrong(node.at, path, Problem::Resource);
        }
        Some(name)
    }

    fn provider(&mut self, node: &Node, path: &str) -> Option<Provider> {
        let known = self.map(node, path, &PROVIDERS)?;
        let field = match known[..] {
            // Else an unknown field stands there.
            [] if node.map().is_some_and(<[Field]>::is_empty) => {
                return self.wrong(node.at, path, Problem::Empty);
            }
            [] => return None,
            [field] => field,
            [..] => return self.wrong(node.at, path, Problem::Several),
        };
        let path = join(path, &field.key);
        let kind = match field.key.as_str() {
            "secretbox" => self.local(Cipher::Secretbox, &field.value, &path),
            "aesgcm" => self.local(Cipher::Aesgcm, &field.value, &path),
            "aescbc" => self.local(Cipher::Aescbc, &field.value, &path),
            "kms" => self.kms(&field.value, &path),
            _ => self.map(&field.value, &path, &[]).map(|_| Kind::Identity),
        };
        Some(Provider {
            kind: kind?,
            at: node.at,
        })
    }

    fn local(&mut self, cipher: Cipher, node: &Node, path: &str) -> Option<Kind> {
        self.map(node, path, &["keys"])?;
        let (list, path) = self.field(node, path, "keys")?;
        let items = self.list(list, &path)?;
        let keys: Vec<_> = items
            .map(|(path, node)| self.key(cipher, node, &path))
            .collect();
        let keys = keys.into_iter().collect::<Option<_>>()?;
        Some(Kind::Local { cipher, keys })
    }

    fn key(&mut self, cipher: Cipher, node: &Node, path: &str) -> Option<Key> {
        self.map(node, path, &["name", "secret"])?;
        let name = self.required_text(node, path, "name");
        if let Some((name, at)) = &name
            && !self.keys.insert((cipher.field(), name.clone()))
        {
            self.add(*at, &join(path, "name"), Problem::KeyTwice);
        }
        let (secret, at) = self.required_text(node, path, "secret")?;
        let (path, secret) = (join(path, "secret"), Zeroizing::new(secret));
        // A block of text ends in a line end, which the API server does not mind.
        let secret = secret.trim_end_matches(['\r', '\n']);
        let Ok(bytes) = Base64::decode_vec(secret).map(Zeroizing::new) else {
            return self.wrong(at, &path, Problem::NotBase64);
        };
        if !cipher.takes(bytes.len()) {
            let problem = Problem::KeyLength {
                bytes: bytes.len(),
                cipher: cipher.field(),
                expected: cipher.lengths(),
            };
            return self.wrong(at, &path, problem);
        }
        Some(Key {
            name: name?.0,
            secret: SecretString::from(secret),
        })
    }

    fn kms(&mut self, node: &Node, path: &str) -> Option<Kind> {
        let known = ["apiVersion", "name", "endpoint", "cachesize", "timeout"];
        self.map(node, path, &known)?;
        let api_version = self.optional(node, path, "apiVersion");
        let api_version = api_version.and_then(|(node, path)| {
            let version = self.text(node, &path)?;
            if !["v1", "v2"].contains(&version.as_str()) {
                return self.wrong(node.at, &path, Problem::KmsVersion);
            }
            Some(version)
        });
        let name = self.required_text(node, path, "name");
        if let Some((name, at)) = &name {
            // Without a version it is v1, whose names need not differ.
            let newer = api_version
                .as_deref()
                .is_some_and(|version| version != "v1");
            let known = !self.plugins.insert(name.clone());
            if newer && name.contains(':') {
                self.add(*at, &join(path, "name"), Problem::KmsColon);
            }
            if newer && known {
                self.add(*at, &join(path, "name"), Problem::KmsTwice);
            }
        }
        let endpoint = self.required_text(node, path, "endpoint");
        if let Some((endpoint, at)) = &endpoint
            && !endpoint.starts_with("unix:")
        {
            self.add(*at, &join(path, "endpoint"), Problem::NotUnix);
        }
        let cachesize = self.optional(node, path, "cachesize");
        let cachesize = cachesize.and_then(|(node, path)| self.number(node, &path));
        let timeout = self.optional(node, path, "timeout");
        let timeout = timeout.and_then(|(node, path)| self.text(node, &path));
        Some(Kind::Kms(Kms {
            api_version,
            name: name?.0,
            endpoint: endpoint?.0,
            cachesize,
            timeout,
        }))
    }

    /// The known fields of a map, each once.
    fn map<'a>(&mut self, node: &'a Node, path: &str, known: &[&str]) -> Option<Vec<&'a Field>> {
        let Some(fields) = node.map() else {
            return self.shape(node, path, "a map");
        };
        let mut found: Vec<&Field> = Vec::new();
        for field in fields {
            if !known.contains(&field.key.as_str()) {
                let known = match known {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                self.add(field.at, path, Problem::Unknown { known });
            } else if found.iter().any(|earlier| earlier.key == field.key) {
                self.add(field.at, &join(path, &field.key), Problem::Twice);
            } else {
                found.push(field);
            }
        }
        Some(found)
    }

    /// The value of a field that must be there, and its path.
    fn field<'a>(&mut self, map: &'a Node, path: &str, name: &str) -> Option<(&'a Node, String)> {
        let path = join(path, name);
        match map.get(name) {
            Some(node) => Some((node, path)),
            None => self.wrong(map.at, &path, Problem::Absent),
        }
    }

    /// The value of a field that may be there.
    fn optional<'a>(&self, map: &'a Node, path: &str, name: &str) -> Option<(&'a Node, String)> {
        let node = map.get(name).filter(|node| !node.is_null())?;
        Some((node, join(path, name)))
    }

    fn required_text(&mut self, map: &Node, path: &str, name: &str) -> Option<(String, Place)> {
        let (node, path) = self.field(map, path, name)?;
        Some((self.text(node, &path)?, node.at))
    }

    /// The items of a list with their paths; at least one.
    fn list<'a>(
        &mut self,
        node: &'a Node,
        path: &str,
    ) -> Option<impl Iterator<Item = (String, &'a Node)> + use<'a>> {
        let items = match node.list() {
            Some([]) => return self.wrong(node.at, path, Problem::Empty),
            Some(items) => items,
            None => return self.shape(node, path, "a list"),
        };
        let path = path.to_owned();
        let numbered = items.iter().enumerate();
        Some(numbered.map(move |(number, item)| (format!("{path}[{number}]"), item)))
    }

    fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match (scalar(node), node.text()) {
            (Scalar::Text, Some("")) => self.wrong(node.at, path, Problem::Empty),
            (Scalar::Text, Some(text)) => Some(text.to_owned()),
            (Scalar::Number, _) => {
                self.wrong(node.at, path, Problem::Unquoted { found: "a number" })
            }
            (Scalar::Switch, _) => {
                let found = "true or false";
                self.wrong(node.at, path, Problem::Unquoted { found })
            }
            _ => self.shape(node, path, "a text"),
        }
    }

    fn number(&mut self, node: &Node, path: &str) -> Option<String> {
        let text = node.text().filter(|text| text.parse::<i32>().is_ok());
        match text {
            Some(text) if scalar(node) == Scalar::Number => Some(text.to_owned()),
            _ => self.shape(node, path, "a number"),
        }
    }

    fn shape<T>(&mut self, node: &Node, path: &str, expected: &'static str) -> Option<T> {
        let found = node.kind();
        self.wrong(node.at, path, Problem::Shape { found, expected })
    }

    /// Notes a mistake, in place of what could not be read.
    fn wrong<T>(&mut self, at: Place, path: &str, problem: Problem) -> Option<T> {
        self.add(at, path, problem);
        None
    }

    fn add(&mut self, at: Place, path: &str, problem: Problem) {
        let path = match path {
            "" => "the file".to_owned(),
            path => path.to_owned(),
        };
        self.mistakes.push(Mistake { at, path, problem });
    }
}

fn join(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        path => format!("{path}.{field}"),
    }
}
