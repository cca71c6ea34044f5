//! Names, order and versions of files.

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::Answer;
use phase_csi_provider::phase::environment::Secret;
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::render::{self, Layout, MARKER, RenderError};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

fn answer(secrets: &[(&str, &str, &str)]) -> Answer {
    let secrets = secrets.iter().map(|(folder, key, value)| Secret {
        key: (*key).to_owned(),
        folder: Folder::parse(folder),
        value: SecretString::from(*value),
    });
    Answer {
        app: "shop".to_owned(),
        environment: "Production".to_owned(),
        secrets: secrets.collect(),
        warnings: Vec::new(),
        version_key: Zeroizing::new([1; 32]),
    }
}

fn files(secrets: &[(&str, &str, &str)], root: &str) -> Result<Vec<render::File>, RenderError> {
    let folder = Folder::parse(root);
    let layout = Layout {
        folder: &folder,
        mode: 0o644,
        allow_empty: false,
    };
    render::files(answer(secrets), &layout)
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
        "secret \"a/b\" in folder \"/\" cannot be a file: its name holds a slash: rename it in Phase"
    );
    assert_eq!(
        mistake(&[("/x", "..", "x")]),
        "secret \"..\" in folder \"/x\" cannot be a file: its path holds a name that is empty, \".\" or \"..\": rename it in Phase"
    );
    assert_eq!(
        mistake(&[("/", "..data", "x")]),
        "secret \"..data\" in folder \"/\" cannot be a file: its path begins with \"..\": rename it in Phase"
    );
    assert_eq!(
        mistake(&[("/", "a\nb", "x")]),
        "secret \"a\\nb\" in folder \"/\" cannot be a file: its path holds a control character: rename it in Phase"
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
        "secret \"a\" in folder \"/\" cannot be a file: a folder of that name is mounted beside it: rename one in Phase"
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
    let folder = Folder::parse("/x");
    let mut layout = Layout {
        folder: &folder,
        mode: 0o400,
        allow_empty: false,
    };
    let error = render::files(answer(&[]), &layout).map(|_| ()).unwrap_err();
    assert_eq!(error.cause(), Cause::NotFound);
    assert_eq!(
        error.to_string(),
        "no secrets selected: folder \"/x\" of environment \"Production\" in app \"shop\" has none that match: check phaseAppEnvPath and phaseAppEnvTag, or set allowEmpty: \"true\""
    );
    layout.allow_empty = true;
    let marker = render::files(answer(&[]), &layout).unwrap();
    assert_eq!(marker.len(), 1);
    assert_eq!((marker[0].path.as_str(), marker[0].mode), (MARKER, 0o400));
    assert!(!marker[0].version.is_empty());
}
