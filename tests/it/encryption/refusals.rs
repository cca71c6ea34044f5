//! Files that cannot be rotated: every mistake has its line, and no key is told.

use serde_json::{Value, json};

use super::{configuration, encryption_config, entries, file, key, rotation_of};

/// Stands wherever a key, or a piece of one, may stand.
const CANARY: &str = "Y2FuYXJ5Y2FuYXJ5";

const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";

/// A configuration whose one provider has these lines, from line 7 on.
fn provider(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("{HEAD}resources:\n  - resources: [secrets]\n    providers:\n{lines}")
}

/// A secretbox whose keys have these lines, from line 8 on.
fn keys(lines: &str) -> String {
    let lines: String = lines
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    provider(&format!("- secretbox:\n    keys:\n{lines}"))
}

fn cases() -> Vec<(String, Vec<&'static str>)> {
    let good = key(1);
    let short = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5";
    vec![
        (
            format!("apiVersion: v1\nkind: EncryptionConfig\nx: {CANARY}\n"),
            vec![
                "1:1: resources is missing: the API server needs it",
                "1:13: apiVersion is not apiserver.config.k8s.io/v1: give an EncryptionConfiguration",
                "2:7: kind is not EncryptionConfiguration: give one",
                "3:1: the file has a field that the API server does not know: it takes apiVersion, kind, resources",
            ],
        ),
        (
            format!("- {CANARY}\n"),
            vec!["1:1: the file is a list, where a map belongs"],
        ),
        (
            format!("{HEAD}resources: []\n"),
            vec!["3:12: resources is empty: the API server needs one at least"],
        ),
        (
            format!("{HEAD}resources:\n  secrets: {CANARY}\n"),
            vec!["4:3: resources is a map, where a list belongs"],
        ),
        (
            format!("{HEAD}resources:\nresources:\n"),
            vec![
                "3:10: resources is nothing, where a list belongs",
                "4:1: resources stands here twice: remove one",
            ],
        ),
        (
            format!(
                "{HEAD}resources:\n  - {CANARY}\n  - resources: [secrets, {CANARY}: x, 1, \"\", yes]\n"
            ),
            vec![
                "4:5: resources[0] is a text, where a map belongs",
                "5:5: resources[1].providers is missing: the API server needs it",
                "5:26: resources[1].resources[1] is a map, where a text belongs",
                "5:47: resources[1].resources[2] is a number, where a text belongs: put it in quotes",
                "5:50: resources[1].resources[3] is empty: the API server needs one at least",
                "5:54: resources[1].resources[4] is true or false, where a text belongs: put it in quotes",
            ],
        ),
        (
            provider(&format!(
                "- {CANARY}: {{}}\n- {{}}\n- aesgcm: {{}}\n  identity: {{}}\n- identity: {CANARY}\n- identity: {{a: {CANARY}}}"
            )),
            vec![
                "6:7: resources[0].providers[0] has a field that the API server does not know: it takes secretbox, aesgcm, aescbc, kms, identity",
                "7:7: resources[0].providers[1] is empty: the API server needs one at least",
                "8:7: resources[0].providers[2] has several providers: give each an item of its own",
                "10:17: resources[0].providers[3].identity is a text, where a map belongs",
                "11:18: resources[0].providers[4].identity has a field that the API server does not know: it takes none",
            ],
        ),
        (
            keys(&format!(
                "- name: a\n  secret: {CANARY}!\n- name: b\n  secret: {short}\n- name: c\n- secret: {good}\n- name: \"\"\n  secret: {good}\n- name: 1\n  secret: [{CANARY}]\n- name: d\n  secret: {good}\n  {CANARY}: {CANARY}"
            )),
            vec![
                "9:21: resources[0].providers[0].secretbox.keys[0].secret is not base64 (standard alphabet, padded): copy the key again",
                "11:21: resources[0].providers[0].secretbox.keys[1].secret has 18 bytes, where secretbox takes 32: copy the key again",
                "12:13: resources[0].providers[0].secretbox.keys[2].secret is missing: the API server needs it",
                "13:13: resources[0].providers[0].secretbox.keys[3].name is missing: the API server needs it",
                "14:19: resources[0].providers[0].secretbox.keys[4].name is empty: the API server needs one at least",
                "16:19: resources[0].providers[0].secretbox.keys[5].name is a number, where a text belongs: put it in quotes",
                "17:21: resources[0].providers[0].secretbox.keys[5].secret is a list, where a text belongs",
                "20:13: resources[0].providers[0].secretbox.keys[6] has a field that the API server does not know: it takes name, secret",
            ],
        ),
        (
            keys(&format!(
                "- {{name: {CANARY}, secret: {good}}}\n- {{name: {CANARY}, secret: {good}}}"
            )),
            vec![
                "9:20: resources[0].providers[0].secretbox.keys[1].name is that of an earlier key: keep the one in use under this name, and remove the other",
            ],
        ),
        (
            provider(&format!(
                "- aescbc: {{keys: [{{name: a, secret: {good}}}]}}\n- identity: {{}}\n- aescbc: {{keys: [{{name: a, secret: {good}}}]}}"
            )),
            vec![
                "8:30: resources[0].providers[2].aescbc.keys[0].name is that of an earlier key: keep the one in use under this name, and remove the other",
            ],
        ),
        (
            provider(&format!(
                "- aesgcm: {{keys: []}}\n- aescbc: {{keys: [{{name: a, secret: {CANARY}}}]}}"
            )),
            vec![
                "6:22: resources[0].providers[0].aesgcm.keys is empty: the API server needs one at least",
                "7:41: resources[0].providers[1].aescbc.keys[0].secret has 12 bytes, where aescbc takes 16, 24 or 32: copy the key again",
            ],
        ),
        (
            provider(&format!(
                "- kms: {{name: a, endpoint: /run/{CANARY}.sock}}\n- kms: {{apiVersion: v2, name: \"{CANARY}:b\", endpoint: unix:///run/b.sock, cachesize: many}}\n- kms: {{apiVersion: v3, name: c, endpoint: unix:///run/c.sock, timeout: 3}}\n- kms: {{apiVersion: v2, name: c, endpoint: unix:///run/c.sock}}"
            )),
            vec![
                "6:32: resources[0].providers[0].kms.endpoint does not start with unix://: name the plugin's socket",
                "7:35: resources[0].providers[1].kms.name holds a colon: a plugin of v2 has none in its name",
                "7:98: resources[0].providers[1].kms.cachesize is a text, where a number belongs",
                "8:25: resources[0].providers[2].kms.apiVersion is not v1 or v2: give one of them",
                "8:77: resources[0].providers[2].kms.timeout is a number, where a text belongs: put it in quotes",
                "9:35: resources[0].providers[3].kms.name is that of an earlier plugin: give each a name of its own",
            ],
        ),
    ]
}

#[tokio::test]
async fn every_mistake_is_named_with_its_place_and_no_key_is_told() {
    for (text, expected) in cases() {
        let file = file(&text);
        let path = file.path().to_str().unwrap();
        let ran = encryption_config(&["--rotate", path]).await;
        let expected: Vec<_> = expected
            .iter()
            .map(|line| format!("error: {path}:{line}"))
            .collect();
        assert_eq!(ran.failed(1), expected, "{text}");
        assert!(
            !ran.error.contains(CANARY) && !ran.error.contains(&key(1)),
            "{}",
            ran.error
        );
    }
}

fn identity_first() -> Value {
    json!([{"identity": {}}, {"secretbox": {"keys": [{"name": "key-1", "secret": key(1)}]}}])
}

#[tokio::test]
async fn identity_first_is_refused_since_secrets_would_stay_in_plain_text() {
    let said = "is identity, so secrets are written in plain text: put it last, then rotate";
    for arguments in [&[][..], &["--provider", "aesgcm"], &["--key-name", "a"]] {
        let ran = rotation_of(&configuration(&identity_first()), arguments).await;
        let [line] = ran.failed(1)[..] else {
            panic!("{ran:?}")
        };
        assert!(
            line.ends_with(&format!(": resources[0].providers[0] {said}")),
            "{line}"
        );
        assert!(line.starts_with("error: /"), "{line}");
    }
    // In the order of the entries, as the API server looks for them.
    let text = entries(&json!([
        {"resources": ["pods"], "providers": [{"secretbox": {"keys": [{"name": "a", "secret": key(1)}]}}]},
        {"resources": ["secrets"], "providers": identity_first()},
        {"resources": ["*.*"], "providers": [{"aesgcm": {"keys": [{"name": "a", "secret": key(1)}]}}]},
    ]));
    let ran = rotation_of(&text, &[]).await;
    assert!(
        ran.failed(1)[0].ends_with(&format!(": resources[1].providers[0] {said}")),
        "{ran:?}"
    );
    assert_eq!(
        rotation_of(&text, &["--resource", "pods"]).await.code,
        Some(0)
    );
}

#[tokio::test]
async fn a_file_that_says_nothing_of_secrets_is_refused() {
    let text = entries(&json!([
        {"resources": ["configmaps", "*.apps", "secrets.shop.example"], "providers": [{"secretbox": {"keys": [{"name": "a", "secret": key(1)}]}}]},
    ]));
    let ran = rotation_of(&text, &[]).await;
    let said = ": resources has nothing for secrets, so they are written in plain text: add them";
    assert!(ran.failed(1)[0].ends_with(said), "{ran:?}");
    let ran = rotation_of(&text, &["--resource", "leases.coordination.k8s.io"]).await;
    let said = ": resources has nothing for leases.coordination.k8s.io, so they are written in plain text: add them";
    assert!(ran.failed(1)[0].ends_with(said), "{ran:?}");
}

#[tokio::test]
async fn resources_of_two_entries_have_a_key_each() {
    let entry = |resource: &str| json!({"resources": [resource], "providers": [{"secretbox": {"keys": [{"name": "a", "secret": key(1)}]}}]});
    let text = entries(&json!([entry("secrets"), entry("configmaps")]));
    let ran = rotation_of(
        &text,
        &["--resource", "secrets", "--resource", "configmaps"],
    )
    .await;
    let said = ": resources has secrets and configmaps in two places: rotate one after the other";
    assert!(ran.failed(1)[0].ends_with(said), "{ran:?}");
}

#[tokio::test]
async fn the_key_of_a_kms_is_rotated_in_the_kms() {
    let kms =
        json!([{"kms": {"apiVersion": "v2", "name": "vault", "endpoint": "unix:///run/v.sock"}}]);
    let ran = rotation_of(&configuration(&kms), &[]).await;
    let said = ": resources[0].providers[0] is kms, whose key is rotated in the KMS: do it there, or name another --provider";
    assert!(ran.failed(1)[0].ends_with(said), "{ran:?}");
    let flags = [
        "--provider",
        "kms",
        "--kms-name",
        "vault",
        "--kms-endpoint",
        "unix:///run/w.sock",
    ];
    let ran = rotation_of(&configuration(&kms), &flags).await;
    let [line] = ran.failed(2)[..] else {
        panic!("{ran:?}")
    };
    assert!(line.starts_with("error: --kms-name: /"), "{line}");
    assert!(
        line.ends_with(" has a plugin of this name: choose another"),
        "{line}"
    );
}

#[tokio::test]
async fn a_name_that_is_there_already_is_refused() {
    let text =
        configuration(&json!([{"secretbox": {"keys": [{"name": "key-1", "secret": key(1)}]}}]));
    for provider in ["secretbox", "aesgcm"] {
        let ran = rotation_of(&text, &["--key-name", "key-1", "--provider", provider]).await;
        let [line] = ran.failed(2)[..] else {
            panic!("{ran:?}")
        };
        assert!(line.starts_with("error: --key-name: /"), "{line}");
        assert!(
            line.ends_with(" has a key of this name: choose another"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_file_without_a_configuration_says_so() {
    let good = configuration(&json!([{"secretbox": {"keys": [{"name": "a", "secret": key(1)}]}}]));
    for (text, documents) in [
        (String::new(), "0"),
        ("# nothing\n---\n".to_owned(), "0"),
        (format!("{good}\n---\n{good}"), "2"),
        (r#"{"kind":"List","items":[]}"#.to_owned(), "0"),
    ] {
        let file = file(&text);
        let path = file.path().to_str().unwrap();
        let ran = encryption_config(&["--rotate", path]).await;
        let expected = format!(
            "error: {path} holds {documents} documents, where one EncryptionConfiguration belongs: name such a file, and write to another one"
        );
        assert_eq!(ran.failed(1), [expected]);
    }
}

#[tokio::test]
async fn what_is_no_yaml_or_cannot_be_read_says_why() {
    let ran = encryption_config(&["--rotate", "/nowhere/e.yaml"]).await;
    assert_eq!(
        ran.failed(2),
        [
            "error: /nowhere/e.yaml cannot be read: No such file or directory (os error 2): check the path"
        ]
    );
    for text in [
        format!("secret: [{CANARY}\n"),
        format!("secret: \"{CANARY}\n"),
        format!("secret: *{CANARY}\n"),
        format!("{CANARY}: - {CANARY}: {CANARY}\n\t{CANARY}\n"),
        format!("!<{CANARY} {CANARY}"),
        format!("secret: \"\\{CANARY}\"\n"),
        format!("secret: |{CANARY}\n"),
    ] {
        let ran = rotation_of(&text, &[]).await;
        let line = ran.failed(1)[0];
        assert!(line.contains(", line "), "{line}");
        assert!(!ran.error.contains(CANARY), "{text}: {}", ran.error);
    }
}

/// Whatever part of a good file is lost, nothing of it is told.
#[tokio::test]
async fn a_damaged_file_is_refused_in_silence_about_its_keys() {
    let canary = key(b'c');
    let text = keys(&format!(
        "- name: key-1\n  secret: {canary}\n- name: key-2\n  secret: \"{canary}\""
    ));
    for at in (0..text.len()).step_by(7) {
        for damage in ["", ":", "- ", "\"", "\t", "{", "&a *a", "\n", "# "] {
            let damaged = format!(
                "{}{damage}{}",
                &text[..at],
                &text[(at + 3).min(text.len())..]
            );
            let ran = rotation_of(&damaged, &[]).await;
            let told = ran.error.contains(&canary[..8]);
            assert!(!told, "{damaged}\n{}", ran.error);
            assert_eq!(
                ran.code == Some(0),
                ran.error.is_empty(),
                "{damaged}\n{ran:?}"
            );
        }
    }
}
