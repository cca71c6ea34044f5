//! Names, order and versions of files.

use std::sync::Arc;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::environment::Secret;
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::phase::{Answer, BadReferences, Selected};
use phase_csi_provider::render::{self, Layout, MARKER, NameRules, Object, RenderError, Shape};
use secrecy::{ExposeSecret, SecretString};

fn answer(secrets: &[(&str, &str, &str)]) -> Answer {
    let secrets = secrets.iter().map(|(folder, key, value)| {
        Arc::new(Secret {
            key: (*key).to_owned(),
            folder: Folder::parse(folder),
            value: SecretString::from(*value),
            references: 0,
        })
    });
    Answer {
        app: "shop".to_owned(),
        selected: vec![Selected {
            environment: "Production".to_owned(),
            secrets: secrets.collect(),
            dynamic: Vec::new(),
        }],
        kept: BadReferences::default(),
        fetched: 1,
        version_key: [1; 32].into(),
    }
}

/// Every secret a file, as in a class without objects.
fn layout(root: &str, mode: u32) -> Layout {
    Layout {
        objects: vec![Object {
            label: None,
            folder: Folder::parse(root),
            mode,
            optional: false,
            tagged: false,
            rules: Arc::new(NameRules::default()),
            encoding: None,
            shape: Shape::Each,
        }],
        allow_empty: false,
    }
}

fn files(secrets: &[(&str, &str, &str)], root: &str) -> Result<Vec<render::File>, RenderError> {
    render::files(&answer(secrets), &layout(root, 0o644))
}

fn mistake(secrets: &[(&str, &str, &str)]) -> String {
    let error = files(secrets, "/").map(|_| ()).unwrap_err();
    assert_eq!(error.cause(), Cause::InvalidClass);
    error.to_string()
}

#[test]
fn folders_below_the_root_become_directories_in_one_fixed_order() {
    let secrets = [
        ("/a/c", "Z", "1"),
        ("/a", "B", "2"),
        ("/a", "A", "3"),
        ("/a/c/d", "Y", "4"),
    ];
    let rendered = files(&secrets, "/a").unwrap();
    let paths: Vec<_> = rendered.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["A", "B", "c/Z", "c/d/Y"]);
    assert_eq!(rendered[2].contents.expose_secret(), b"1");
    let mut turned = secrets;
    turned.reverse();
    let versions = |files: Vec<render::File>| -> Vec<_> {
        files
            .into_iter()
            .map(|file| (file.path, file.version))
            .collect()
    };
    assert_eq!(versions(files(&turned, "/a").unwrap()), versions(rendered));
}

#[test]
fn names_that_cannot_be_files_are_named() {
    assert_eq!(
        mistake(&[("/", "a/b", "x")]),
        "secret \"a/b\" in folder \"/\" cannot be a file: its name holds a slash: rename it in Phase, or by asName in processors"
    );
    assert_eq!(
        mistake(&[("/x", "..", "x")]),
        "secret \"..\" in folder \"/x\" cannot be a file: its path holds a name that is empty, \".\" or \"..\": rename it in Phase, or by asName in processors"
    );
    assert_eq!(
        mistake(&[("/", "..data", "x")]),
        "secret \"..data\" in folder \"/\" cannot be a file: its path begins with \"..\": rename it in Phase, or by asName in processors"
    );
    assert_eq!(
        mistake(&[("/", "a\nb", "x")]),
        "secret \"a\\nb\" in folder \"/\" cannot be a file: its path holds a control character: rename it in Phase, or by asName in processors"
    );
    let long = "k".repeat(300);
    let text = mistake(&[("/", &long, "x")]);
    assert!(
        text.contains("…\"") && text.contains("longer than 255 bytes"),
        "{text}"
    );
}

#[test]
fn two_secrets_for_one_path_are_named() {
    assert_eq!(
        mistake(&[("/", "A", "1"), ("/", "A", "2")]),
        "two secrets named \"A\" in folder \"/\" would be one file: delete one in Phase"
    );
    assert_eq!(
        mistake(&[("/", "a", "1"), ("/a", "B", "2")]),
        "file \"a\" of secret \"a\" in folder \"/\" would also be a folder, for secret \"B\" in folder \"/a\": rename one of them"
    );
}

#[test]
fn keys_that_differ_in_case_are_two_files() {
    assert_eq!(
        files(&[("/", "a", "1"), ("/", "A", "2")], "/")
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn all_such_names_come_together() {
    let text = mistake(&[("/", "b/c", "x"), ("/", "a/b", "x"), ("/", "fine", "x")]);
    assert!(text.starts_with("2 mistakes: secret \"a/b\""), "{text}");
}

#[test]
fn nothing_selected_is_an_error_or_a_marker() {
    let mut layout = layout("/x", 0o400);
    let error = render::files(&answer(&[]), &layout)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.cause(), Cause::NotFound);
    assert_eq!(
        error.to_string(),
        "no secrets selected: folder \"/x\" of environment \"Production\" in app \"shop\" has none that match: check phaseAppEnvPath and phaseAppEnvTag, or set allowEmpty: \"true\""
    );
    layout.allow_empty = true;
    let marker = render::files(&answer(&[]), &layout).unwrap();
    assert_eq!(marker.len(), 1);
    assert_eq!((marker[0].path.as_str(), marker[0].mode), (MARKER, 0o400));
    assert!(!marker[0].version.is_empty());
}
