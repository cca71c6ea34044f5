//! A file that no `mod` line names is never compiled, and its tests never run.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Where the packages of the repository lie; each has a `Cargo.toml`.
const PACKAGES: [&str; 4] = ["", "tests/emulator", "tests/cluster", "fuzz"];

#[test]
fn every_rust_file_is_a_module_of_some_target() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lost = lost(top, &PACKAGES);
    assert!(lost.is_empty(), "no `mod` line leads to {lost:?}");
}

#[test]
fn a_file_without_a_mod_line_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"a\"\nautotests = false\n[[test]]\nname = \"it\"\npath = \"tests/it/main.rs\"\n",
    );
    write(
        "tests/it/main.rs",
        "pub mod named;\n#[path = \"far/away.rs\"]\nmod other;\n",
    );
    write("tests/it/named.rs", "//mod commented;\nmod below;\n");
    write("tests/it/named/below.rs", "");
    write("tests/it/far/away.rs", "");
    write("examples/first.rs", "");
    assert_eq!(lost(folder.path(), &[""]), Vec::<PathBuf>::new());
    let forgotten = [
        "tests/it/lost.rs",
        "tests/it/named/commented.rs",
        "tests/lost.rs",
    ];
    for path in forgotten {
        write(path, "");
    }
    assert_eq!(lost(folder.path(), &[""]), forgotten.map(PathBuf::from));
}

/// The `.rs` files below a folder that no target of these packages reaches, relative
/// to the folder, in order.
fn lost(top: &Path, packages: &[&str]) -> Vec<PathBuf> {
    let mut reached = BTreeSet::new();
    for package in packages {
        for root in roots(&top.join(package)) {
            follow(&root, root.parent().unwrap(), &mut reached);
        }
    }
    let mut all = BTreeSet::new();
    files(top, &mut all);
    let lost = all.difference(&reached);
    lost.map(|path| path.strip_prefix(top).unwrap().to_owned())
        .collect()
}

/// The files from which the targets of a package begin, by its manifest and by
/// Cargo's conventions.
fn roots(package: &Path) -> Vec<PathBuf> {
    let manifest: Table = read_to_string(package.join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let mut roots: Vec<_> = ["src/lib.rs", "src/main.rs", "build.rs"]
        .map(|path| package.join(path))
        .into();
    let conventional = [
        ("bin", "autobins", "src/bin"),
        ("example", "autoexamples", "examples"),
        ("test", "autotests", "tests"),
        ("bench", "autobenches", "benches"),
    ];
    for (kind, automatic, folder) in conventional {
        let named = manifest.get(kind).and_then(Value::as_array);
        for target in named.into_iter().flatten() {
            let conventional = || format!("{folder}/{}.rs", target["name"].as_str().unwrap());
            let path = target.get("path").and_then(Value::as_str);
            roots.push(package.join(path.map_or_else(conventional, str::to_owned)));
        }
        let is_automatic = manifest["package"].get(automatic).and_then(Value::as_bool);
        if is_automatic != Some(false) {
            for entry in read_dir(package.join(folder)).into_iter().flatten() {
                let path = entry.unwrap().path();
                let main = path.join("main.rs");
                roots.push(if path.is_dir() { main } else { path });
            }
        }
    }
    let is_rust = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|it| it == "rs");
    roots.into_iter().filter(is_rust).collect()
}

/// A file and all that its `mod` lines lead to; `folder` is where its modules lie.
fn follow(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let text = read_to_string(file).unwrap();
    let mut path = None;
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("#[path = \"") {
            let named = named.split('"').next().unwrap();
            path = Some(file.parent().unwrap().join(named));
        } else if let Some(name) = module(line) {
            let below = folder.join(name);
            let beside = folder.join(format!("{name}.rs"));
            let (file, folder) = match path.take() {
                Some(path) => (path.clone(), path.parent().unwrap().to_owned()),
                None if beside.is_file() => (beside, below),
                None => (below.join("mod.rs"), below),
            };
            if file.is_file() {
                follow(&file, &folder, reached);
            }
        }
    }
}

/// What a line `mod name;` names, whoever may see it.
fn module(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    line.strip_prefix("mod ")?.strip_suffix(';')
}

fn files(folder: &Path, all: &mut BTreeSet<PathBuf>) {
    for entry in read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_hidden = path.file_name().unwrap().as_encoded_bytes()[0] == b'.';
        if path.is_dir() && !path.ends_with("target") && !is_hidden {
            files(&path, all);
        } else if path.extension().is_some_and(|it| it == "rs") {
            all.insert(path);
        }
    }
}
