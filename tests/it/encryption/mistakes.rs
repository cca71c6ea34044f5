//! Mistakes in a file: each has its line, and no key is told.

use super::{encryption_config, file, key};

/// Stands wherever a key, or a piece of one, may stand.
pub const CANARY: &str = "Y2FuYXJ5Y2FuYXJ5";

const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";

/// A configuration whose one provider has these lines, from line 7 on.
fn provider(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("{HEAD}resources:\n  - resources: [secrets]\n    providers:\n{lines}")
}

/// A secretbox whose keys have these lines, from line 8 on.
pub fn keys(lines: &str) -> String {
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
