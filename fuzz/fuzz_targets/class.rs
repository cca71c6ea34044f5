//! A class is read or refused with places inside its text; what is read can be rendered.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use phase_csi_provider::class::{Class, Mirror, Mistake};
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::environment::Secret;
use phase_csi_provider::phase::host::Host;
use phase_csi_provider::phase::{Answer, BadReferences, Selected};
use phase_csi_provider::render;
use secrecy::SecretString;

fuzz_target!(|parts: (&str, &str, &str)| {
    let (objects, processors, value) = parts;
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).expect("no hosts are wrong");
    let parameters = [
        ("phaseApp", "a"),
        ("objects", objects),
        ("processors", processors),
    ];
    match Class::read(parameters, &hosts) {
        Err(mistakes) => stand_in(&mistakes, &parameters),
        Ok(class) => {
            assert_eq!(class.query.selections.len(), class.layout.objects.len());
            drop(render::files(&answer(&class, value), &class.layout));
        }
    }
    let parameters = [("phaseApp", "a"), ("mirror", value)];
    match Class::read(parameters, &hosts) {
        Err(mistakes) => stand_in(&mistakes, &parameters),
        Ok(class) => assert_eq!(class.mirrors, Mirror::list(value)),
    }
});

/// Each mistake says something, and stands in its parameter's text.
fn stand_in(mistakes: &[Mistake], parameters: &[(&str, &str)]) {
    assert!(!mistakes.is_empty());
    for mistake in mistakes {
        assert!(!mistake.to_string().is_empty());
        if let Some(at) = mistake.place.at {
            let is_of = |(name, _): &&(&str, &str)| *name == mistake.place.parameter;
            let (_, text) = parameters.iter().find(is_of).expect("a parameter");
            // A lone carriage return ends a line of YAML too.
            let lines = text.split(['\n', '\r']).count();
            assert!(at.line >= 1 && at.line <= lines);
        }
    }
}

/// Every selection takes two secrets of this value.
fn answer(class: &Class, value: &str) -> Answer {
    let selected = class.query.selections.iter().map(|selection| Selected {
        environment: "Production".to_owned(),
        secrets: ["A", "B_C"]
            .map(|key| {
                Arc::new(Secret {
                    key: key.to_owned(),
                    folder: selection.filter.folder.clone(),
                    value: SecretString::from(value),
                    references: 0,
                })
            })
            .into(),
        dynamic: Vec::new(),
    });
    Answer {
        app: "a".to_owned(),
        selected: selected.collect(),
        kept: BadReferences::default(),
        fetched: 1,
        version_key: [1; 32].into(),
    }
}
