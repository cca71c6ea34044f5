//! Room for resources and classes: all that are watched are kept in memory, so what one
//! namespace may have there is bounded.

use std::collections::HashMap;
use std::io::{self, Write};

use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::quota::{Budget, Exceeded, Limits, Meter, Tenant, Unit};

/// As text. In memory it is a few times as much, of 256 MiB that a pod may have.
const ROOM: Limits = Limits {
    what: "resources and classes that the controller keeps",
    unit: Unit::Bytes,
    each: 512 << 10,
    tenant: 12 << 20,
    total: 24 << 20,
};

/// Room for all kinds and namespaces.
pub(super) fn room() -> Budget {
    Budget::new(ROOM)
}

/// What those of one watch take of it.
pub(super) struct Kept {
    room: Budget,
    /// By namespace and name, and whether it was in the list that runs.
    objects: HashMap<(String, String), (Meter, bool)>,
}

impl Kept {
    /// Nothing yet.
    pub(super) fn new(room: Budget) -> Self {
        Self {
            room,
            objects: HashMap::new(),
        }
    }

    /// A list begins.
    pub(super) fn begins(&mut self) {
        for (_, is_listed) in self.objects.values_mut() {
            *is_listed = false;
        }
    }

    /// A list has ended: whatever was not in it is gone.
    pub(super) fn ends(&mut self) {
        self.objects.retain(|_, (_, is_listed)| *is_listed);
    }

    /// Whether there is room for an object as it is now. Without it, it has none.
    pub(super) fn take(&mut self, object: &DynamicObject) -> Result<(), Exceeded> {
        let key = key(object);
        // First what it had before is given back.
        self.objects.remove(&key);
        let meter = self.room.meter(&Tenant::new(&key.0));
        meter.try_take(size(object))?;
        self.objects.insert(key, (meter, true));
        Ok(())
    }

    /// An object is gone.
    pub(super) fn gone(&mut self, object: &DynamicObject) {
        self.objects.remove(&key(object));
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// How long its text is. Of other providers' classes nothing is kept.
fn size(object: &DynamicObject) -> u64 {
    let provider = &object.data["spec"]["provider"];
    if provider
        .as_str()
        .is_some_and(|provider| provider != "phase")
    {
        return 0;
    }
    let mut counted = Counted(0);
    let written = serde_json::to_writer(&mut counted, &object.metadata.annotations);
    let written = written.and_then(|()| serde_json::to_writer(&mut counted, &object.data));
    match written {
        Ok(()) => counted.0,
        // It never fails; and if, there is no room for what cannot be counted.
        Err(_) => u64::MAX,
    }
}

struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;
    use serde_json::{Value, json};

    use super::*;

    fn object(namespace: &str, name: &str, kilobytes: usize) -> DynamicObject {
        DynamicObject {
            types: None,
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: json!({"spec": {"phaseApp": "a".repeat(kilobytes << 10)}}),
        }
    }

    #[test]
    fn one_namespace_takes_no_more_than_it_leaves_to_others() {
        let room = room();
        let (mut kept, mut other_kind) = (Kept::new(room.clone()), Kept::new(room));
        let large = |number: usize| object("hostile", &format!("n-{number}"), 500);
        let taken = (0..300).filter(|number| kept.take(&large(*number)).is_ok());
        assert_eq!(taken.count(), 24, "12 MiB of them");
        let refused = kept.take(&large(300)).expect_err("no room").to_string();
        assert!(refused.contains("hostile"), "{refused}");
        assert!(other_kind.take(&large(300)).is_err(), "kinds share it");
        assert!(kept.take(&object("victim", "shop", 500)).is_ok());
        // What changes takes its own place; what goes gives it back.
        assert!(kept.take(&large(0)).is_ok());
        kept.gone(&large(0));
        assert!(kept.take(&large(300)).is_ok());
    }

    #[test]
    fn an_object_above_its_limit_is_refused_in_any_case() {
        let mut kept = Kept::new(room());
        let refused = kept.take(&object("shop", "big", 513));
        assert!(refused.is_err());
        assert!(kept.take(&object("shop", "big", 500)).is_ok());
        assert!(kept.take(&object("shop", "big", 513)).is_err());
        assert_eq!(kept.room.used(), 0, "it is not kept any more");
    }

    #[test]
    fn classes_of_other_providers_take_nothing_and_lists_forget_what_is_gone() {
        let mut kept = Kept::new(room());
        let mut vault = object("shop", "vault", 900);
        vault.data["spec"]["provider"] = Value::from("vault");
        assert!(kept.take(&vault).is_ok());
        assert_eq!(kept.room.used(), 0);
        assert!(kept.take(&object("shop", "one", 100)).is_ok());
        assert!(kept.take(&object("shop", "two", 100)).is_ok());
        let both = kept.room.used();
        kept.begins();
        assert!(kept.take(&object("shop", "one", 100)).is_ok());
        kept.ends();
        assert!(kept.room.used() < both * 2 / 3);
    }
}
