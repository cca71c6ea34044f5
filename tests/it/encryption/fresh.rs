//! A configuration from nothing.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::process::Stdio;

use serde_json::json;

use super::{encryption_config, names, printed, providers, read};
use crate::preview::{command, ran};

const LOCAL: [&str; 3] = ["secretbox", "aesgcm", "aescbc"];
const KMS: [&str; 6] = [
    "--provider",
    "kms",
    "--kms-name",
    "vault",
    "--kms-endpoint",
    "unix:///run/kms/vault.sock",
];

#[tokio::test]
async fn each_provider_has_one_key_of_32_bytes_and_plain_text_is_still_read() {
    for provider in LOCAL {
        let text = printed(&["--provider", provider]).await;
        assert_eq!(read(&text)["resources"][0]["resources"], json!(["secrets"]));
        let found = providers(&text, 0);
        assert_eq!(names(&found[0][provider]["keys"]), ["key-1"], "{text}");
        assert_eq!(found[1], json!({"identity": {}}), "{text}");
        assert_eq!(found.as_array().unwrap().len(), 2, "{text}");
    }
}

#[tokio::test]
async fn secretbox_is_the_provider_that_nobody_has_to_choose() {
    let found = providers(&printed(&[]).await, 0);
    assert_eq!(names(&found[0]["secretbox"]["keys"]), ["key-1"]);
}

#[tokio::test]
async fn a_kms_plugin_is_named_and_no_key_is_printed() {
    let text = printed(&KMS).await;
    assert_eq!(
        providers(&text, 0),
        json!([
            {"kms": {
                "apiVersion": "v2",
                "name": "vault",
                "endpoint": "unix:///run/kms/vault.sock",
            }},
            {"identity": {}},
        ])
    );
    assert!(!text.contains("secret:"), "{text}");
}

#[tokio::test]
async fn no_key_is_printed_twice() {
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        for provider in LOCAL {
            let found = providers(&printed(&["--provider", provider]).await, 0);
            let key = &found[0][provider]["keys"][0]["secret"];
            assert!(seen.insert(key.as_str().unwrap().to_owned()), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn resources_and_the_name_of_the_key_can_be_chosen() {
    let text = printed(&[
        "--resource",
        "secrets",
        "--resource",
        "configmaps",
        "--resource",
        "widgets.shop.example",
        "--resource",
        "secrets",
        "--key-name",
        "2026-11_a.b",
    ])
    .await;
    assert_eq!(
        read(&text)["resources"][0]["resources"],
        json!(["secrets", "configmaps", "widgets.shop.example"])
    );
    let found = providers(&text, 0);
    assert_eq!(names(&found[0]["secretbox"]["keys"]), ["2026-11_a.b"]);
    assert!(
        text.contains("\n#      for resource in secrets configmaps widgets.shop.example; do\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_that_yaml_would_take_for_something_else_stays_a_text() {
    for name in [
        "true",
        "1",
        "1e3",
        "null",
        "0x1F",
        "2026-11-25",
        ".inf",
        "-",
        "no",
    ] {
        let argument = format!("--key-name={name}");
        let found = providers(&printed(&[&argument]).await, 0);
        assert_eq!(names(&found[0]["secretbox"]["keys"]), [name]);
    }
}

/// The comments at the top.
fn comments(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn the_next_commands_stand_at_the_top() {
    for arguments in [&["--provider", "aescbc"][..], &[], &KMS] {
        let text = printed(arguments).await;
        let comments = comments(&text);
        for part in [
            "install -m 600 encryption.yaml /etc/kubernetes/encryption.yaml\n",
            "--encryption-provider-config=/etc/kubernetes/encryption.yaml",
            "restart",
            "\n#      for resource in secrets; do\n",
            "\n#    etcdctl get /registry/secrets/ --prefix --print-value-only | grep -aPc \"^k8s\\x00\"\n",
            "remove identity",
        ] {
            assert!(comments.contains(part), "{part} in {comments}");
        }
        assert!(comments.lines().all(|line| line.len() <= 100), "{comments}");
        assert!(comments.is_ascii(), "{comments}");
    }
}

#[tokio::test]
async fn what_a_provider_needs_to_be_known_stands_there_too() {
    let said = [
        ("aesgcm", "rotate it before 200,000 writes"),
        ("aescbc", "does not notice when somebody changes"),
    ];
    for provider in LOCAL {
        let comments = comments(&printed(&["--provider", provider]).await);
        for (of, part) in said {
            assert_eq!(comments.contains(part), provider == of, "{comments}");
        }
        assert!(comments.contains("This file holds the key"), "{comments}");
    }
    let comments = comments(&printed(&KMS).await);
    assert!(!comments.contains("This file holds the key"), "{comments}");
    assert!(
        comments.contains("must answer on\n# unix:///run/kms/vault.sock before"),
        "{comments}"
    );
}

#[tokio::test]
async fn a_terminal_or_a_file_makes_no_difference_and_a_full_disk_is_an_error() {
    let mut full = command(&["encryption-config"]);
    full.stderr(Stdio::piped());
    full.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = full.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: the configuration cannot be written: No space left on device (os error 28): check standard output\n"
    );
}

#[tokio::test]
async fn flags_that_are_wrong_say_why() {
    let kms =
        "error: --kms-name and --kms-endpoint are of --provider kms: add it, or leave them out";
    for (arguments, expected) in [
        (&["--kms-name", "vault"][..], kms),
        (
            &[
                "--provider",
                "aesgcm",
                "--kms-endpoint",
                "unix:///run/kms.sock",
            ],
            kms,
        ),
        (
            &[&KMS[..], &["--key-name", "a"]].concat(),
            "error: --key-name: kms has no key here, it lies in the KMS: leave the flag out",
        ),
    ] {
        let ran = encryption_config(arguments).await;
        assert_eq!(ran.failed(2), [expected], "{arguments:?}");
    }
    for (arguments, part) in [
        (&["--provider", "kms"][..], "--kms-name <NAME>"),
        (&["--provider", "rot13"], "invalid value 'rot13'"),
        (
            &["--provider", "kms", "--kms-name", "a:b"],
            "may hold letters, digits, dots, dashes and underscores, at most 63",
        ),
        (
            &["--key-name", "a:b"],
            "may hold letters, digits, dots, dashes and underscores, at most 63",
        ),
        (&["--key-name", ""], "may hold letters, digits, dots"),
        (
            &["--resource", "Secrets"],
            "must be a resource's plural in lower case, with its group if it has one, such as secrets or widgets.shop.example",
        ),
        (&["--resource", "*."], "must be a resource's plural"),
        (&["--resource", "a..b"], "must be a resource's plural"),
        (
            &["--resource", "events.events.k8s.io"],
            "the API server encrypts nothing of this name: write events for events.events.k8s.io",
        ),
        (
            &[
                "--provider",
                "kms",
                "--kms-name",
                "a",
                "--kms-endpoint",
                "/run/kms.sock",
            ],
            "must start with unix://",
        ),
    ] {
        let ran = encryption_config(arguments).await;
        let text = ran.failed(2).join("\n");
        assert!(text.contains(part), "{part} in {text}");
    }
    let long = "k".repeat(64);
    let text = encryption_config(&["--key-name", &long]).await;
    assert!(text.failed(2).join("\n").contains("at most 63"));
    assert_eq!(
        ran(command(&["encryption-config", "--key-name", &long[1..]]))
            .await
            .code,
        Some(0)
    );
}

#[tokio::test]
async fn the_page_shows_what_is_printed() {
    let text = printed(&[]).await;
    let found = providers(&text, 0);
    let key = found[0]["secretbox"]["keys"][0]["secret"].as_str().unwrap();
    let page = include_str!("../../../docs/encryption-at-rest.md");
    assert!(page.contains(&format!("```text\n{}```", text.replace(key, "…"))));
}
