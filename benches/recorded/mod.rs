//! The environment that a real server sent, for benchmarks of any size.

use std::sync::Arc;

use phase_csi_provider::phase::environment::{Environment, Filter, Place};
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::phase::keyring::EnvironmentKeys;
use phase_csi_provider::phase::keys::Keys;
use phase_csi_provider::phase::opener::Sealed;
use phase_csi_provider::phase::wire::SecretRow;
use secrecy::SecretString;
use serde_json::Value;

/// Recorded rows, and the keys that open them.
pub(crate) struct Recorded {
    pub keys: Box<dyn Fn() -> EnvironmentKeys>,
    pub rows: Vec<Value>,
    #[allow(dead_code, reason = "one benchmark needs it")]
    pub private: Vec<u8>,
}

/// The recorded environment: 47 secrets of a real server.
pub(crate) fn recording() -> Recorded {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/wire/secrets-all-paths.json"
    );
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let environment = file["expected"]["environment"].clone();
    let text = move |key: &str| environment[key].as_str().unwrap().to_owned();
    let private = base16ct::mixed::decode_vec(text("private_key")).unwrap();
    let keys = move || {
        let private = SecretString::from(text("private_key"));
        EnvironmentKeys::from_hex(&private, &SecretString::from(text("salt"))).unwrap()
    };
    Recorded {
        keys: Box::new(keys),
        rows: file["exchanges"][0]["response"]["body_json"]
            .as_array()
            .unwrap()
            .clone(),
        private,
    }
}

impl Recorded {
    /// An environment of `count` rows, the recorded ones again and again.
    pub(crate) fn environment(&self, count: usize) -> Arc<Environment> {
        let rows = self.rows.iter().cycle().take(count);
        let rows = rows.map(|row| serde_json::from_value::<SecretRow>(row.clone()).unwrap());
        let place = Place {
            app_id: String::new(),
            app: String::new(),
            environment_id: String::new(),
            environment: String::new(),
        };
        let rows: Vec<_> = rows.collect();
        Arc::new(Environment::new(
            place,
            (self.keys)(),
            Arc::new(rows.into()),
        ))
    }
}

/// Every row of it.
pub(crate) fn all(environment: &Arc<Environment>) -> Vec<Sealed> {
    let filter = Filter {
        folder: Folder::root(),
        recursive: true,
        tags: Vec::new(),
        keys: Keys::All,
    };
    let rows = environment.select(&filter).unwrap().into_iter();
    rows.map(|row| Sealed::new(Arc::clone(environment), row))
        .collect()
}
