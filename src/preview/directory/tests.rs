//! What is left when the process ends between two steps.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

fn contents(text: &str) -> Vec<Content<'_>> {
    let content = |path: &str| Content {
        path: path.to_owned(),
        bytes: text.as_bytes(),
    };
    vec![content("A"), content("b/c/D"), content("b/E")]
}

fn texts(out: &Path) -> Vec<String> {
    ["A", "b/c/D", "b/E"]
        .map(|path| fs::read_to_string(out.join(path)).unwrap())
        .into()
}

fn entries(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn written() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("out");
    Directory::at(&out)
        .unwrap()
        .replace(&contents("old"))
        .unwrap();
    (parent, out)
}

fn refused(path: &Path) -> String {
    let Err(error) = Directory::at(path) else {
        panic!("{path:?} is taken");
    };
    let begin = format!("--out {}:", path.display());
    error.to_string().replace(&begin, "--out DIR:")
}

#[test]
fn files_are_written_for_nobody_else_and_replaced_as_a_whole() {
    let (parent, out) = written();
    let mode = |path: &str| fs::metadata(out.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode(""), mode("b/c"), mode("A"), mode("b/c/D")),
        (0o700, 0o700, 0o600, 0o600)
    );
    let new = [Content {
        path: "F".to_owned(),
        bytes: b"new",
    }];
    Directory::at(&out).unwrap().replace(&new).unwrap();
    assert_eq!(entries(&out), [MARKER, "F"]);
    assert_eq!(entries(parent.path()), ["out"]);
}

#[test]
fn a_process_killed_at_any_step_leaves_old_or_new_and_the_next_one_tidies_up() {
    for steps in 0..4 {
        let (parent, out) = written();
        let directory = Directory::at(&out).unwrap();
        let mut fresh = Fresh::create(&directory.parent).unwrap();
        if steps > 0 {
            fresh.fill(&contents("new")[..steps.min(3)]).unwrap();
        }
        if steps == 3 {
            fresh
                .place(&directory.name, directory.look().unwrap())
                .unwrap();
        }
        fresh.killed();
        assert_eq!(entries(parent.path()).len(), 2, "{steps}");
        let expected = if steps == 3 { "new" } else { "old" };
        assert_eq!(texts(&out), [expected; 3], "{steps}");
        Directory::at(&out)
            .unwrap()
            .replace(&contents("next"))
            .unwrap();
        assert_eq!(texts(&out), ["next"; 3], "{steps}");
        assert_eq!(entries(parent.path()), ["out"], "{steps}");
    }
}

#[test]
fn a_list_cut_off_half_way_is_tidied_up_too() {
    let (parent, out) = written();
    let directory = Directory::at(&out).unwrap();
    let fresh = Fresh::create(&directory.parent).unwrap();
    fresh.killed();
    let hidden = entries(parent.path()).remove(0);
    fs::write(parent.path().join(hidden).join(MARKER), "{\"writtenBy\":").unwrap();
    directory.replace(&contents("next")).unwrap();
    assert_eq!(entries(parent.path()), ["out"]);
}

#[test]
fn a_failure_leaves_what_was_there_and_nothing_beside_it() {
    let (parent, out) = written();
    let mut wrong = contents("new");
    wrong.push(Content {
        path: "z".repeat(256),
        bytes: b"",
    });
    let error = Directory::at(&out).unwrap().replace(&wrong).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "--out {}: cannot write the files beside it: File name too long (os error 36): check the file system's space and permissions",
            out.display()
        )
    );
    assert_eq!(texts(&out), ["old"; 3]);
    assert_eq!(entries(parent.path()), ["out"]);
}

#[test]
fn what_another_process_is_writing_is_left_alone() {
    let (parent, out) = written();
    let directory = Directory::at(&out).unwrap();
    let mut other = Fresh::create(&directory.parent).unwrap();
    other.fill(&contents("other")).unwrap();
    directory.replace(&contents("new")).unwrap();
    assert_eq!(entries(parent.path()).len(), 2);
    other.place("other".as_ref(), State::Free).unwrap();
    assert_eq!(texts(&parent.path().join("other")), ["other"; 3]);
}

#[test]
fn hidden_directories_with_anything_else_in_them_are_left_alone() {
    let (parent, out) = written();
    let hidden = parent.path().join(".phase-csi-provider.tmp-0");
    fs::create_dir(&hidden).unwrap();
    fs::write(hidden.join("mine"), "x").unwrap();
    Directory::at(&out)
        .unwrap()
        .replace(&contents("new"))
        .unwrap();
    assert_eq!(entries(&hidden), ["mine"]);
}

#[test]
fn what_render_did_not_write_is_refused() {
    let (parent, out) = written();
    let foreign = "holds \"b/mine\", which render did not write: give a new or an empty directory";
    fs::write(out.join("b/mine"), "x").unwrap();
    assert_eq!(refused(&out), format!("--out DIR: {foreign}"));
    fs::remove_file(out.join("b/mine")).unwrap();
    symlink("/etc", out.join("link")).unwrap();
    assert!(refused(&out).contains("\"link\""));
    fs::remove_file(out.join("link")).unwrap();
    fs::write(
        out.join(MARKER),
        r#"{"writtenBy":"phase-csi-provider render","files":["../x"]}"#,
    )
    .unwrap();
    assert!(refused(&out).contains("render did not write"));
    let only_marker = parent.path().join("only-marker");
    fs::create_dir(&only_marker).unwrap();
    fs::write(only_marker.join(MARKER), "x").unwrap();
    assert!(refused(&only_marker).contains(MARKER));
    let escaping = r#"{"writtenBy":"phase-csi-provider render","files":["../file"]}"#;
    fs::write(only_marker.join(MARKER), escaping).unwrap();
    assert!(refused(&only_marker).contains(MARKER));
    let link = parent.path().join("link");
    symlink(&out, &link).unwrap();
    assert_eq!(
        refused(&link),
        "--out DIR: is a symbolic link: give the directory that it leads to"
    );
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(
        refused(&file),
        "--out DIR: is not a directory: give another name"
    );
    assert_eq!(
        refused(Path::new("/")),
        "--out DIR: has no name of its own: write for example ./secrets"
    );
    assert_eq!(
        refused(&parent.path().join("no/out")),
        "--out DIR: the directory that it would stand in cannot be opened: No such file or directory (os error 2): create it first"
    );
}

#[test]
fn an_empty_directory_is_replaced_and_the_name_of_the_list_is_kept() {
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("out");
    fs::create_dir(&out).unwrap();
    Directory::at(&out)
        .unwrap()
        .replace(&contents("new"))
        .unwrap();
    assert_eq!(texts(&out), ["new"; 3]);
    let reserved = [Content {
        path: MARKER.to_owned(),
        bytes: b"",
    }];
    let error = Directory::at(&out).unwrap().replace(&reserved).unwrap_err();
    assert!(error.to_string().ends_with(
        "the class makes a file \".phase-csi-provider\", whose name render needs there: give it another objectName"
    ));
}

#[test]
fn a_directory_that_got_other_files_meanwhile_is_not_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("out");
    let directory = Directory::at(&out).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine"), "x").unwrap();
    let error = directory.replace(&contents("new")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("holds \"mine\", which render did not write"),
        "{error}"
    );
    let mut fresh = Fresh::create(&directory.parent).unwrap();
    let error = fresh.place(&directory.name, State::Free).unwrap_err();
    assert_eq!(
        error,
        Errno::NOTEMPTY,
        "the kernel sees what came at the last moment"
    );
    drop(fresh);
    assert_eq!(
        (entries(&out), entries(parent.path())),
        (vec!["mine".into()], vec!["out".into()])
    );
}
