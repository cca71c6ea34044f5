//! Files of many keys: what is written is read back, byte for byte, by readers
//! that are not ours. `tests/readers/run` does the same with other languages'.

mod values;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use phase_csi_provider::render::format::dotenv::{self, Reader};
use phase_csi_provider::render::format::{Format, Pair};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use secrecy::ExposeSecret;
use values::{any_identifier, any_name, any_value, awkward, awkward_names};

type Values = BTreeMap<String, String>;

fn format(name: &str) -> Format {
    Format::parse(name).unwrap()
}

fn write(format: Format, values: &Values) -> String {
    let pairs: Vec<_> = values
        .iter()
        .map(|(name, value)| Pair {
            name,
            key: name,
            value: value.as_bytes(),
        })
        .collect();
    let text = format
        .write(&pairs)
        .map_err(|mistakes| format!("{mistakes:?}"));
    String::from_utf8(text.unwrap().expose_secret().to_vec()).unwrap()
}

fn mistakes(format: Format, name: &str, value: &[u8]) -> Vec<String> {
    let pair = Pair {
        name,
        key: "the-key",
        value,
    };
    let mistakes = format.write(&[pair]).map(|_| ()).unwrap_err();
    mistakes.iter().map(ToString::to_string).collect()
}

/// What Rust's reader of a format, or `sh`, makes of a file.
fn read(format: Format, text: &str) -> Values {
    match format {
        Format::Dotenv => dotenvy::from_read_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap(),
        Format::Json => serde_json::from_str(text).unwrap(),
        Format::Properties => java_properties::read(text.as_bytes())
            .unwrap()
            .into_iter()
            .collect(),
        Format::Shell => sourced(text),
        Format::Toml => toml::from_str(text).unwrap(),
        // By way of JSON's types, for numbers and the like to stay what they are.
        Format::Yaml => serde_saphyr::from_str::<BTreeMap<String, serde_json::Value>>(text)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.as_str().unwrap().to_owned()))
            .collect(),
        _ => unreachable!("no other formats"),
    }
}

/// The variables of a shell that sourced a file.
fn sourced(text: &str) -> Values {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, text).unwrap();
    let output = Command::new("sh")
        .args(["-c", r#". "$0" && exec /usr/bin/env -0"#])
        .arg(&file)
        .current_dir(&folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text
        .split_terminator('\0')
        .map(|pair| pair.split_once('=').unwrap());
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    pairs
        .filter(|(name, _)| !own.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whether Rust's reader can take it; `tests/readers` proves the others.
fn is_read(format: Format, name: &str, value: &str) -> bool {
    match format {
        Format::Dotenv => !dotenv::inexact(value).contains(&Reader::Dotenvy),
        // Its crate refuses surrogates, which Java demands.
        Format::Properties => !name.chars().chain(value.chars()).any(|it| it > '\u{FFFF}'),
        _ => true,
    }
}

fn comes_back(format: Format, mut values: Values) {
    values.retain(|name, value| is_read(format, name, value));
    let text = write(format, &values);
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    let read = read(format, &text);
    assert_eq!(read, values, "as {}: {text}", format.name());
}

#[test]
fn formats_are_known_by_their_exact_names() {
    for name in Format::NAMES {
        assert_eq!(format(name).name(), name);
    }
    for name in ["", "JSON", "yml", "env", " json"] {
        assert_eq!(Format::parse(name), None);
    }
    assert!(Format::NAMES.is_sorted());
}

#[test]
fn each_awkward_value_comes_back_from_each_format() {
    for name in Format::NAMES {
        comes_back(format(name), numbered());
    }
}

#[test]
fn each_awkward_name_comes_back_where_names_are_free() {
    for name in ["json", "properties", "toml", "yaml"] {
        comes_back(format(name), named_by_themselves());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_values_come_back_where_names_are_variables(
        values in prop::collection::btree_map(any_identifier(), any_value(), 0..5),
        name in prop::sample::select(vec!["dotenv", "json", "properties", "toml", "yaml"]),
    ) {
        comes_back(format(name), values);
    }

    #[test]
    fn any_values_come_back_where_names_are_free(
        values in prop::collection::btree_map(any_name(), any_value(), 0..5),
        name in prop::sample::select(vec!["json", "properties", "toml", "yaml"]),
    ) {
        comes_back(format(name), values);
    }
}

proptest! {
    // A process each.
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_values_come_back_from_sh(
        values in prop::collection::btree_map("X_[A-Z0-9_]{1,5}", any_value(), 0..9),
    ) {
        comes_back(Format::Shell, values);
    }

    #[test]
    fn in_dotenv_a_value_that_one_reader_gets_wrong_changes_no_other(
        values in prop::collection::btree_map("[A-Z]{1,3}", any_value(), 1..9),
    ) {
        let text = write(Format::Dotenv, &values);
        // Its error is of one line; those who go on get the others.
        let read: Values = dotenvy::from_read_iter(text.as_bytes()).filter_map(Result::ok).collect();
        for (name, value) in values.iter().filter(|(name, value)| is_read(Format::Dotenv, name, value)) {
            prop_assert_eq!(read.get(name), Some(value), "{}", text);
        }
        prop_assert!(read.keys().all(|name| values.contains_key(name)), "{:?} of {}", read, text);
    }
}

#[test]
fn files_are_as_people_write_them() {
    let values = [
        ("DEBUG", "no"),
        ("EMPTY", ""),
        ("GREETING", "it's"),
        ("KEY", "a\nb\n"),
        ("NO", "say \"é\""),
        ("PASSWORD", "p$x #1"),
        ("URL", "postgres://u:p@db:5432/x?a=b"),
        ("WORD", "abc-1"),
    ];
    let values: Values = values
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    for name in Format::NAMES {
        let path = format!(
            "{}/tests/it/formats/expected.{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        let expected = std::fs::read_to_string(&path).unwrap();
        assert_eq!(write(format(name), &values), expected, "{path}");
    }
}

#[test]
fn a_file_of_no_keys_is_a_whole_file() {
    let written = Format::NAMES.map(|name| write(format(name), &Values::new()));
    assert_eq!(written, ["", "{}\n", "", "", "", "{}\n"]);
}

#[test]
fn what_a_format_cannot_carry_names_the_key_and_what_to_do() {
    let rename = "give it another by nameTransformer or by asName in processors";
    for name in ["dotenv", "shell"] {
        let nul = mistakes(format(name), "KEY", b"a\0b");
        assert_eq!(
            nul,
            [format!(
                "secret \"the-key\" cannot be written as {name}: its value holds a NUL byte: mount it as a file of its own"
            )]
        );
        for wrong in ["", "my-key", "1st", "a.b", "é", "a b", "A\n"] {
            let expected = format!(
                "secret \"the-key\" cannot be written as {name}: its name {wrong:?} is no variable name (letters, digits and _, no digit first): {rename}"
            );
            assert_eq!(mistakes(format(name), wrong, b"x"), [expected]);
        }
    }
    for name in Format::NAMES {
        let binary = mistakes(format(name), "KEY", b"\xff\xfe");
        assert_eq!(
            binary,
            [format!(
                "secret \"the-key\" cannot be written as {name}: its value is not UTF-8 text: mount it as a file of its own"
            )]
        );
    }
    for name in ["UID", "RANDOM", "_"] {
        let expected = format!(
            "secret \"the-key\" cannot be written as shell: the shell keeps a variable {name} for itself: give it another name by nameTransformer or by asName in processors"
        );
        assert_eq!(mistakes(Format::Shell, name, b"x"), [expected]);
    }
}

#[test]
fn nul_is_a_character_where_names_are_free() {
    for name in ["json", "properties", "toml", "yaml"] {
        comes_back(
            format(name),
            Values::from([("K".to_owned(), "a\0b\0".to_owned())]),
        );
    }
}

#[test]
fn all_mistakes_are_found_at_once_in_order() {
    let pair = |name, key, value| Pair { name, key, value };
    let pairs = [
        pair("A-B", "A-B", &b"\0\xff"[..]),
        pair("C", "C", b"fine"),
        pair("D", "D", b"\0"),
    ];
    let mistakes = Format::Dotenv.write(&pairs).map(|_| ()).unwrap_err();
    let keys: Vec<_> = mistakes
        .iter()
        .map(|mistake| mistake.key.as_str())
        .collect();
    assert_eq!(keys, ["A-B", "A-B", "A-B", "D"]);
    assert!(
        mistakes
            .iter()
            .all(|mistake| !mistake.to_string().contains("fine"))
    );
}

#[test]
fn errors_show_long_and_strange_keys_in_one_short_line() {
    let key = "k\n".repeat(500);
    let pair = Pair {
        name: &key,
        key: &key,
        value: b"x",
    };
    let error = Format::Shell.write(&[pair]).map(|_| ()).unwrap_err()[0].to_string();
    assert!(error.len() < 500 && !error.contains('\n'), "{error}");
}

fn hex(text: &str) -> String {
    base16ct::lower::encode_string(text.as_bytes())
}

/// A file for other languages' readers, and the line that says what it holds.
fn put(folder: &Path, at: usize, format: Format, values: &Values) -> serde_json::Value {
    let file = format!("{at:04}.{}", format.name());
    std::fs::write(folder.join(&file), write(format, values)).unwrap();
    let pairs = values.iter().map(|(name, value)| (hex(name), hex(value)));
    let inexact = values.iter().map(|(name, value)| {
        let readers = dotenv::inexact(value).into_iter().map(Reader::name);
        (hex(name), readers.collect::<Vec<_>>())
    });
    serde_json::json!({
        "file": file,
        "values": pairs.collect::<BTreeMap<_, _>>(),
        "inexact": if format == Format::Dotenv { inexact.collect() } else { BTreeMap::new() },
    })
}

/// Random maps, and one of all awkward values, or of them as names too.
fn some_files(format: Format, count: usize) -> Vec<Values> {
    let free = !matches!(format, Format::Dotenv | Format::Shell);
    let names = if free {
        any_name().boxed()
    } else {
        "X_[A-Z0-9_]{1,5}".boxed()
    };
    let maps = prop::collection::btree_map(names, any_value(), 0..9);
    let mut runner = TestRunner::deterministic();
    let random = (0..count).map(|_| maps.new_tree(&mut runner).unwrap().current());
    random
        .chain([if free {
            named_by_themselves()
        } else {
            numbered()
        }])
        .collect()
}

fn numbered() -> Values {
    let values = awkward().into_iter().enumerate();
    values
        .map(|(at, value)| (format!("K{at:03}"), value))
        .collect()
}

fn named_by_themselves() -> Values {
    let names = awkward_names().into_iter().chain(awkward());
    names.map(|name| (name.clone(), name)).collect()
}

/// `tests/readers/run` names the folder to keep, and has other readers read it.
#[test]
fn files_for_other_readers_can_be_written() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("PHASE_READERS_DIR");
    let folder = folder
        .as_deref()
        .map_or_else(|| temporary.path(), Path::new);
    let count = if folder == temporary.path() { 3 } else { 600 };
    let mut index = std::fs::File::create(folder.join("expected.jsonl")).unwrap();
    for name in Format::NAMES {
        for (at, values) in some_files(format(name), count).iter().enumerate() {
            writeln!(index, "{}", put(folder, at, format(name), values)).unwrap();
        }
    }
    let written = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(written, Format::NAMES.len() * (count + 1) + 1);
}
