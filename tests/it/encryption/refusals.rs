//! Files that cannot be rotated, though nothing is wrong with their fields.

use serde_json::{Value, json};

use super::mistakes::{CANARY, keys};
use super::{configuration, encryption_config, entries, file, key, rotation_of};

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
    let binary = file("");
    std::fs::write(binary.path(), [0xff, 0xfe]).unwrap();
    let path = binary.path().to_str().unwrap();
    let ran = encryption_config(&["--rotate", path]).await;
    let expected = format!("error: {path} is not UTF-8 text: save it as UTF-8");
    assert_eq!(ran.failed(2), [expected]);
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
