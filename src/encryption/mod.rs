//! `encryption-config`: encryption at rest, for the Secrets that are in etcd all the
//! same.
//!
//! A file comes in as a [`manifest`](crate::manifest), `read` makes a
//! `configuration` of it or says what is wrong, something fresh is put first, and
//! `write` prints it with the next commands at the top.

mod args;
mod configuration;
mod error;
mod read;
mod write;

pub use args::{EncryptionConfigArgs, FlagError, Name, ProviderKind, Resource, Socket};
pub use error::{Error, Mistake, Problem, exit_code};

use std::io;

use secrecy::{ExposeSecret, SecretSlice};

use crate::console;
use crate::manifest::File;
use crate::render::wiped::WipedBuffer;
use configuration::{Cipher, Configuration, Fresh, Key, Kind, Kms};
use write::Done;

/// Larger than any file that is read, with a further key and comments.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Prints a configuration on standard output.
///
/// # Errors
/// Why there is none: a flag, or each mistake of the file.
pub fn run(args: &EncryptionConfigArgs) -> Result<(), Vec<Error>> {
    let text = text(args)?;
    console::print(text.expose_secret()).map_err(|error| vec![Error::Write(error)])
}

fn text(args: &EncryptionConfigArgs) -> Result<SecretSlice<u8>, Vec<Error>> {
    let resources = resources(args);
    let (configuration, entry, rotated) = match &args.rotate {
        None => {
            let cipher = args
                .provider
                .map_or(Some(Cipher::Secretbox), ProviderKind::cipher);
            let fresh = fresh(args, cipher, || "key-1".to_owned()).map_err(|error| vec![error])?;
            (Configuration::new(&resources, fresh), 0, None)
        }
        Some(path) => {
            let (configuration, entry, new) = rotated(args, path, &resources)?;
            (configuration, entry, Some(new))
        }
    };
    let done = Done {
        entry: &configuration.entries[entry],
        resources: &resources,
        rotated,
    };
    let mut buffer = WipedBuffer::new(MOST_BYTES);
    // What does not fit is said by `finish`.
    let _ = write::write(&configuration, &done, &mut buffer);
    let text = buffer.finish().map_err(io::Error::other);
    text.map_err(|error| vec![Error::Write(error)])
}

/// Each resource of the flags once.
fn resources(args: &EncryptionConfigArgs) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for resource in &args.resources {
        if !resources.contains(resource) {
            resources.push(resource.clone());
        }
    }
    if resources.is_empty() {
        resources = Resource::default_list();
    }
    resources
}

/// A fresh key for this cipher, or the plugin of the flags.
fn fresh(
    args: &EncryptionConfigArgs,
    cipher: Option<Cipher>,
    next_name: impl FnOnce() -> String,
) -> Result<Fresh, Error> {
    match (cipher, &args.kms_name, &args.kms_endpoint) {
        (None, Some(name), Some(endpoint)) if args.key_name.is_none() => {
            Ok(Fresh::Kms(Kms::new(name, endpoint)))
        }
        (None, ..) => Err(Error::KeyName),
        (Some(cipher), None, None) => {
            let name = args.key_name.as_ref().map(|name| name.as_str().to_owned());
            Ok(Fresh::Key(
                cipher,
                Key::fresh(name.unwrap_or_else(next_name)),
            ))
        }
        (Some(_), ..) => Err(Error::KmsFlags),
    }
}

/// The configuration of a file with something fresh in it: in which entry, and what.
fn rotated(
    args: &EncryptionConfigArgs,
    path: &str,
    resources: &[Resource],
) -> Result<(Configuration, usize, String), Vec<Error>> {
    let file = File::read(path).map_err(|error| vec![error.into()])?;
    let name = || file.name().to_owned();
    let wrong = |mistake| Error::Mistake {
        file: name(),
        mistake,
    };
    let [document] = file.manifests() else {
        let (file, documents) = (name(), file.manifests().len());
        return Err(vec![Error::Documents { file, documents }]);
    };
    let mut configuration = read::read(&document.node)
        .map_err(|mistakes| mistakes.into_iter().map(wrong).collect::<Vec<_>>())?;
    let entry = entry(&configuration, resources).map_err(|mistake| vec![wrong(mistake)])?;
    let cipher = cipher(args, &configuration, entry, &resources[0])
        .map_err(|mistake| vec![wrong(mistake)])?;
    let fresh = fresh(args, cipher, || configuration.next_name()).map_err(|error| vec![error])?;
    let new = match &fresh {
        Fresh::Key(cipher, key) => {
            if configuration.keys().any(|known| known.name == key.name) {
                return Err(vec![Error::KeyNameTaken { file: name() }]);
            }
            format!("{} with {}", cipher.field(), key.name)
        }
        Fresh::Kms(kms) => {
            if configuration.plugins().any(|known| known.name == kms.name) {
                return Err(vec![Error::KmsNameTaken { file: name() }]);
            }
            format!("kms {}", kms.name)
        }
    };
    configuration.entries[entry].put_first(fresh);
    Ok((configuration, entry, new))
}

/// The entry that says how all of these resources are written.
fn entry(configuration: &Configuration, resources: &[Resource]) -> Result<usize, Mistake> {
    let wrong = |problem| Mistake {
        at: configuration.at,
        path: "resources".to_owned(),
        problem,
    };
    let text = |resource: &Resource| resource.as_str().to_owned();
    let mut found = None;
    for resource in resources {
        let entry = configuration.entry_for(resource).ok_or_else(|| {
            wrong(Problem::Uncovered {
                resource: text(resource),
            })
        })?;
        if *found.get_or_insert(entry) != entry {
            let (one, other) = (text(&resources[0]), text(resource));
            return Err(wrong(Problem::Places { one, other }));
        }
    }
    Ok(found.unwrap_or_default())
}

/// What the fresh key is for: none for a plugin.
fn cipher(
    args: &EncryptionConfigArgs,
    configuration: &Configuration,
    entry: usize,
    resource: &Resource,
) -> Result<Option<Cipher>, Mistake> {
    let first = &configuration.entries[entry].providers[0];
    let wrong = |problem| Mistake {
        at: first.at,
        path: format!("resources[{entry}].providers[0]"),
        problem,
    };
    let resource = resource.as_str().to_owned();
    match (&first.kind, args.provider) {
        (Kind::Identity, _) => Err(wrong(Problem::Identity { resource })),
        (_, Some(provider)) => Ok(provider.cipher()),
        (Kind::Local { cipher, .. }, None) => Ok(Some(*cipher)),
        (Kind::Kms(_), None) => Err(wrong(Problem::Kms)),
    }
}
