//! A further key in a configuration that there is.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{configuration, entries, key, names, printed, providers, read, rotated};
use crate::preview::{command, ran_with_input};

const LOCAL: [&str; 3] = ["secretbox", "aesgcm", "aescbc"];

#[tokio::test]
async fn the_fresh_key_comes_first_and_the_old_ones_stay_as_they_are() {
    for provider in LOCAL {
        let mut text = printed(&["--provider", provider]).await;
        for expected in [
            &["key-2", "key-1"][..],
            &["key-3", "key-2", "key-1"],
            &["key-4", "key-3", "key-2", "key-1"],
        ] {
            let before = providers(&text, 0);
            text = rotated(&text, &[]).await;
            let after = providers(&text, 0);
            let keys = &after[0][provider]["keys"];
            assert_eq!(names(keys), expected);
            assert_eq!(
                keys.as_array().unwrap()[1..],
                *before[0][provider]["keys"].as_array().unwrap()
            );
            assert_ne!(keys[0]["secret"], keys[1]["secret"]);
            assert_eq!(after[1], json!({"identity": {}}));
            assert_eq!(after.as_array().unwrap().len(), 2);
        }
    }
}

#[tokio::test]
async fn another_provider_comes_before_the_old_ones() {
    let old = json!([
        {"aescbc": {"keys": [{"name": "key-7", "secret": key(7)}, {"name": "key-6", "secret": key(6)}]}},
        {"secretbox": {"keys": [{"name": "key-5", "secret": key(5)}]}},
        {"identity": {}},
    ]);
    for provider in ["secretbox", "aesgcm"] {
        let after = providers(
            &rotated(&configuration(&old), &["--provider", provider]).await,
            0,
        );
        let after = after.as_array().unwrap();
        assert_eq!(names(&after[0][provider]["keys"]), ["key-8"]);
        assert_eq!(after[1..], *old.as_array().unwrap());
    }
    // The one that is first already takes the key itself.
    let after = providers(
        &rotated(&configuration(&old), &["--provider", "aescbc"]).await,
        0,
    );
    assert_eq!(
        names(&after[0]["aescbc"]["keys"]),
        ["key-8", "key-7", "key-6"]
    );
    assert_eq!(after.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_kms_can_be_moved_to_and_away_from() {
    let old =
        configuration(&json!([{"secretbox": {"keys": [{"name": "key-1", "secret": key(1)}]}}]));
    let kms = |name: &str| json!({"kms": {"apiVersion": "v2", "name": name, "endpoint": format!("unix:///run/{name}.sock")}});
    let flags = |name| {
        [
            "--provider".to_owned(),
            "kms".to_owned(),
            format!("--kms-name={name}"),
            format!("--kms-endpoint=unix:///run/{name}.sock"),
        ]
    };
    let to = |name| flags(name);
    let one = to("one");
    let text = rotated(&old, &one.each_ref().map(String::as_str)).await;
    let secretbox = read(&old)["resources"][0]["providers"][0].clone();
    assert_eq!(providers(&text, 0), json!([kms("one"), secretbox]));
    let two = to("two");
    let text = rotated(&text, &two.each_ref().map(String::as_str)).await;
    assert_eq!(
        providers(&text, 0),
        json!([kms("two"), kms("one"), secretbox])
    );
    let after = providers(&rotated(&text, &["--provider", "aesgcm"]).await, 0);
    assert_eq!(names(&after[0]["aesgcm"]["keys"]), ["key-2"]);
    assert_eq!(
        after.as_array().unwrap()[1..],
        *providers(&text, 0).as_array().unwrap()
    );
}

#[tokio::test]
async fn the_name_is_the_next_number_that_nobody_has_used() {
    let keys = |names: &[&str]| {
        let keys = names
            .iter()
            .map(|name| json!({"name": name, "secret": key(1)}));
        configuration(&json!([{"secretbox": {"keys": keys.collect::<Vec<_>>()}}]))
    };
    for (old, expected) in [
        (&["key-2"][..], "key-3"), // key-1 is in backups
        (&["key1", "key2"], "key-3"),
        (&["mine"], "key-1"),
        (&["key-x", "key-2026-11"], "key-1"),
        (&["key-18446744073709551615"], "key-1"),
        (&["key_09"], "key-10"),
    ] {
        let after = providers(&rotated(&keys(old), &[]).await, 0);
        assert_eq!(
            names(&after[0]["secretbox"]["keys"])[0],
            expected,
            "{old:?}"
        );
    }
    // Of any entry: two keys of one name would be hard to tell apart.
    let text = entries(&json!([
        {"resources": ["secrets"], "providers": [{"aesgcm": {"keys": [{"name": "key-1", "secret": key(1)}]}}]},
        {"resources": ["configmaps"], "providers": [{"aescbc": {"keys": [{"name": "key-4", "secret": key(4)}]}}]},
    ]));
    let after = providers(&rotated(&text, &[]).await, 0);
    assert_eq!(names(&after[0]["aesgcm"]["keys"]), ["key-5", "key-1"]);
    let after = providers(&rotated(&text, &["--key-name", "mine"]).await, 0);
    assert_eq!(names(&after[0]["aesgcm"]["keys"]), ["mine", "key-1"]);
}

/// Entries of every kind, of which the second is for Secrets.
fn several() -> Value {
    json!([
        {"resources": ["events", "leases.coordination.k8s.io"], "providers": [{"identity": {}}]},
        {"resources": ["secrets", "configmaps"], "providers": [
            {"secretbox": {"keys": [{"name": "key-1", "secret": key(1)}]}},
            {"identity": {}},
            {"aescbc": {"keys": [{"name": "old", "secret": "MDEyMzQ1Njc4OWFiY2RlZg=="}]}},
        ]},
        {"resources": ["*.apps"], "providers": [
            {"kms": {"name": "v1 by default", "endpoint": "unix:///run/a.sock", "cachesize": 100, "timeout": "5s"}},
            {"kms": {"apiVersion": "v2", "name": "b", "endpoint": "unix:///@abstract", "timeout": "500ms"}},
        ]},
        {"resources": ["*.*"], "providers": [{"aesgcm": {"keys": [{"name": "key-2", "secret": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}]}}]},
    ])
}

#[tokio::test]
async fn whatever_else_stands_in_the_file_is_printed_again() {
    for (arguments, entry, provider) in [
        (&[][..], 1, "secretbox"),
        (&["--resource", "configmaps"], 1, "secretbox"),
        (
            &["--resource", "configmaps", "--resource", "secrets"],
            1,
            "secretbox",
        ),
        (&["--resource", "widgets.shop.example"], 3, "aesgcm"),
        (&["--resource", "pods"], 3, "aesgcm"),
    ] {
        let text = rotated(&entries(&several()), arguments).await;
        let mut after = read(&text)["resources"].clone();
        let keys = after[entry]["providers"][0][provider]["keys"]
            .as_array_mut()
            .unwrap();
        assert_eq!(keys.remove(0)["name"], "key-3", "{arguments:?}");
        assert_eq!(after, several(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_wildcard_takes_secrets_too() {
    for wildcard in ["*.", "*.*"] {
        let text = entries(&json!([
            {"resources": ["*.apps"], "providers": [{"identity": {}}]},
            {"resources": ["configmaps.", wildcard], "providers": [{"secretbox": {"keys": [{"name": "a", "secret": key(1)}]}}]},
        ]));
        let text = rotated(&text, &[]).await;
        let after = providers(&text, 1);
        assert_eq!(names(&after[0]["secretbox"]["keys"]), ["key-1", "a"]);
        let expected = format!(
            "#      echo \"all is written\"'\n#    and likewise whatever else {wildcard} stands for\n"
        );
        assert!(text.contains(&expected), "{text}");
        assert!(text.contains("\n#      for resource in secrets configmaps; do\n"));
    }
}

#[tokio::test]
async fn the_comments_name_the_new_key_and_what_is_to_be_rewritten() {
    let text = rotated(&entries(&several()), &[]).await;
    for part in [
        "# secretbox with key-3 is new and comes first.\n",
        "what is new moved one place down",
        "\n#      for resource in secrets configmaps; do\n",
        "# 4. Look whether something else is left",
        "Only then remove the older keys",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = rotated(&entries(&several()), &["--provider", "aesgcm"]).await;
    for part in [
        "# aesgcm with key-3 is new and comes first.\n",
        "200,000 writes",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let long = text
        .lines()
        .filter(|line| line.starts_with('#') && line.len() > 100);
    assert_eq!(long.count(), 0, "{text}");
}

#[tokio::test]
async fn standard_input_is_a_file_like_any_other() {
    let text = printed(&[]).await;
    let ran = ran_with_input(command(&["encryption-config", "--rotate", "-"]), &text).await;
    let after = providers(&ran.fine(), 0);
    assert_eq!(names(&after[0]["secretbox"]["keys"]), ["key-2", "key-1"]);
}

#[tokio::test]
async fn anchors_block_texts_and_comments_of_others_are_read() {
    let text = format!(
        "# ours\napiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [events]\n  providers: &same\n  - aescbc:\n      keys:\n      - name: \"a: b # 'c' \\\" \\u00e9 \\n\"\n        secret: |\n          {}\n  - identity: {{}}\n- resources: [secrets]\n  providers: *same\n",
        key(3)
    );
    let after = providers(&rotated(&text, &[]).await, 1);
    assert_eq!(
        names(&after[0]["aescbc"]["keys"]),
        ["key-1", "a: b # 'c' \" é \n"]
    );
    assert_eq!(after[1], json!({"identity": {}}));
}

fn a_key() -> impl Strategy<Value = (String, Vec<u8>)> {
    let secret = proptest::collection::vec(any::<u8>(), 32);
    ("[ -~é\n\t]{1,12}", secret)
}

/// Whatever names and keys stand in a file, they stand in the next one.
#[test]
fn any_names_and_keys_survive() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(48)
    });
    let lists = proptest::collection::btree_map("[!-~é]{1}[ -~é\n\t]{0,12}", a_key(), 1..5);
    runner
        .run(&lists, |keys| {
            let keys: Vec<_> = keys
                .into_iter()
                .map(|(name, (_, secret))| {
                    json!({"name": name, "secret": <base64ct::Base64 as base64ct::Encoding>::encode_string(&secret)})
                })
                .collect();
            let old = json!([{"aesgcm": {"keys": keys}}, {"identity": {}}]);
            let text = runtime.block_on(rotated(&configuration(&old), &[]));
            let mut after = providers(&text, 0);
            after[0]["aesgcm"]["keys"].as_array_mut().unwrap().remove(0);
            prop_assert_eq!(after, old);
            Ok(())
        })
        .unwrap();
}
