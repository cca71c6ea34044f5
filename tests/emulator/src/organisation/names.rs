//! Ids that follow from names, so that the same seed has the same ids at every start.

use crate::seal;

/// Ids are no secrets; they hang on this word and the names alone.
const IDS: &[u8] = b"phase-emulator ids";

/// Maker of the ids of one organisation.
pub(super) struct Names {
    organisation: String,
}

impl Names {
    pub(super) fn new(organisation: &str) -> Self {
        Self {
            organisation: organisation.to_owned(),
        }
    }

    pub(super) fn organisation(&self) -> String {
        self.id(&["organisation"])
    }

    /// Several apps may have one name; `turn` counts them.
    pub(super) fn app(&self, name: &str, turn: usize) -> String {
        self.id(&["app", name, &turn.to_string()])
    }

    pub(super) fn environment(&self, app: &str, name: &str) -> String {
        self.id(&["environment", app, name])
    }

    pub(super) fn account(&self, name: &str) -> String {
        self.id(&["account", name])
    }

    pub(super) fn grant(&self, account: &str, environment: &str) -> String {
        self.id(&["grant", account, environment])
    }

    fn id(&self, labels: &[&str]) -> String {
        let labels: Vec<&str> = [self.organisation.as_str()]
            .iter()
            .chain(labels)
            .copied()
            .collect();
        uuid(&labels)
    }
}

/// A version 4 UUID that follows from `labels`.
pub(super) fn uuid(labels: &[&str]) -> String {
    let mut bytes = seal::derive(IDS, labels);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = seal::hex(&bytes[..16]);
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

/// Slashes collapsed, one in front, none behind.
pub(super) fn normal_path(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let joined: Vec<&str> = segments.collect();
    format!("/{}", joined.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_random_uuids() {
        let id = Names::new("Keyspace").app("keyspace.cloud", 0);
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }

    #[test]
    fn same_names_give_same_ids_and_other_names_other_ids() {
        let names = Names::new("Keyspace");
        assert_eq!(names.app("a", 0), Names::new("Keyspace").app("a", 0));
        let ids = [
            names.app("a", 0),
            names.app("a", 1),
            names.app("b", 0),
            names.account("a"),
            Names::new("x").app("a", 0),
        ];
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn folders_are_read_as_the_server_reads_them() {
        for (given, read) in [
            ("", "/"),
            ("/", "/"),
            ("backend", "/backend"),
            ("//backend//db//", "/backend/db"),
            ("/../x", "/../x"),
        ] {
            assert_eq!(normal_path(given), read);
        }
    }
}
