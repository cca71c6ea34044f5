//! The class's parameters, as the provider would refuse them.

use super::{Files, class, found};

const OBJECTS: &str = r#"    tagg: x
    filePermission: "999"
    objects: |
      - secretKey: A
        encoding: hexx
      - format: dotenv
        objectName: .env

      - secretKey: B
        objectName: .env
"#;

#[test]
fn every_mistake_is_told_at_its_line_inside_the_block_too() {
    let expected = [
        (8, "unknown parameter \"tagg\": remove it"),
        (
            9,
            "filePermission \"999\" is not an octal permission from 0001 to 0777: write for example \"0644\"",
        ),
        (
            12,
            "objects[0].encoding: encoding \"hexx\" is not one of \"utf-8\", \"base64\", \"hex\": did you mean \"hex\"?",
        ),
        (
            16,
            "objects[2]: objects[1] and objects[2] would be one file \".env\": give one of them another name by objectName",
        ),
    ];
    let expected = expected.map(|(line, text)| ("parameters".to_owned(), line, text.to_owned()));
    let files = Files::of(&[&class(OBJECTS)]);
    assert_eq!(found(&files.json(&[])), expected);
    assert_eq!(files.check(&[]).status.code(), Some(1));
}

#[test]
fn a_missing_parameter_is_told_where_parameters_stand() {
    let text = class("").replace("phaseApp: payments", "allowEmpty: \"true\"");
    assert_eq!(
        found(&Files::of(&[&text]).json(&[])),
        [(
            "parameters".to_owned(),
            6,
            "phaseApp is missing: name the app, or give its id as phaseAppId".to_owned()
        )]
    );
}

#[test]
fn hosts_are_those_of_the_flags_and_without_flags_every_https_host() {
    let named = |host: &str| Files::of(&[&class(&format!("    phaseHost: {host}\n"))]);
    let messages = |files: &Files, flags: &[&str]| -> Vec<String> {
        let found = found(&files.json(flags)).into_iter();
        found.map(|(.., message)| message).collect()
    };
    let own = named("https://phase.example.com");
    assert!(messages(&own, &[]).is_empty());
    let refused = [
        "phaseHost: host https://phase.example.com is not allowed on this node: ask the cluster admin to add --allowed-host https://phase.example.com",
    ];
    assert_eq!(
        messages(&own, &["--allowed-host", "https://x.test"]),
        refused
    );
    assert_eq!(messages(&own, &["--phase-host", "https://x.test"]), refused);
    assert!(messages(&own, &["--phase-host", "https://phase.example.com"]).is_empty());
    assert_eq!(messages(&named("http://x.test"), &[]).len(), 1);
}

#[test]
fn files_that_objects_name_are_known_to_secret_objects() {
    let named = |name: &str| {
        class(&format!(
            "    objects: |\n      - secretKey: A\n        objectName: tls/key\n      - secretKey: B\n  secretObjects:\n    - {{secretName: web, type: Opaque, data: [{{objectName: {name}, key: a}}]}}\n"
        ))
    };
    for name in ["tls/key", "B"] {
        assert_eq!(found(&Files::of(&[&named(name)]).json(&[])), [], "{name}");
    }
    for (name, next) in [
        ("tls/kee", "did you mean \"tls/key\"?"),
        ("colour", "it makes tls/key, B"),
    ] {
        let message =
            format!("secretObjects[0].data[0].objectName {name:?} is no file of the class: {next}");
        assert_eq!(
            found(&Files::of(&[&named(name)]).json(&[])),
            [("object-name".to_owned(), 13, message)]
        );
    }
}

#[test]
fn a_key_that_a_selection_excludes_is_never_a_file() {
    let text = class(
        "    objects: |\n      - include: [DB_*]\n      - secretKey: TLS_KEY\n  secretObjects:\n    - secretName: web\n      type: Opaque\n      data:\n        - {objectName: DB_HOST, key: a}\n        - {objectName: TLS_KEYS, key: b}\n",
    );
    let found: Vec<_> = found(&Files::of(&[&text]).json(&[]))
        .into_iter()
        .map(|(rule, line, _)| (rule, line))
        .collect();
    assert_eq!(
        found,
        [
            ("dynamic-object-name".to_owned(), 15),
            ("object-name".to_owned(), 16)
        ]
    );
}

#[test]
fn every_mistake_of_two_thousand_entries_is_told() {
    let mut objects = "    objects: |\n".to_owned();
    objects.extend((0..2000).map(|n| format!("      - {{secretKey: KEY_{n}, encodng: hex}}\n")));
    let found = found(&Files::of(&[&class(&objects)]).json(&[]));
    assert_eq!(found.len(), 2000);
    assert!(
        found[1999].2.starts_with("objects[1999].encodng: "),
        "{:?}",
        found[1999]
    );
}

#[test]
fn of_very_many_mistakes_the_first_are_told() {
    let parameters: String = (0..20_000).map(|n| format!("    p{n}: x\n")).collect();
    let mut objects = "    objects: |\n".to_owned();
    objects.extend((0..2000).map(|n| format!("      - secretKey: KEY_{n}\n")));
    objects += "  secretObjects:\n    - secretName: web\n      type: Opaque\n      data:\n";
    let data = (0..10_000).map(|n| format!("        - {{objectName: KEZ_{n}, key: k{n}}}\n"));
    objects.extend(data);
    for (text, most) in [(class(&parameters), 4000), (class(&objects), 100)] {
        let found = found(&Files::of(&[&text]).json(&[]));
        assert_eq!(found.len(), most);
        assert_eq!(
            found[most - 1].2,
            "there are more mistakes than are shown: mend these first"
        );
    }
}
