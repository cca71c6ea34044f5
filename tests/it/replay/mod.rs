//! Every recorded exchange of a real Phase server, replayed from a socket: one
//! test per file, and a test that no file is forgotten.

mod meanings;
mod rows;

use std::time::Duration;

use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::client::{Client, ClientConfig, Proxies};
use phase_csi_provider::phase::host::Host;
use phase_csi_provider::phase::keyring::Keyring;
use phase_csi_provider::phase::primitives::derive;
use phase_csi_provider::phase::retry::Retry;
use phase_csi_provider::phase::token::Token;
use phase_csi_provider::phase::wire::SecretRow;
use secrecy::SecretString;
use serde_json::Value;

use self::meanings::answers_mean_their_causes;
use self::rows::{
    digests_find_as_on_the_server, dynamic_rows_are_left_out, folders_select_as_on_the_server,
    keys_of, rows_open, tags_select_what_the_server_selects_and_what_people_mean,
    undecryptable_rows_are_errors_that_name_the_key,
};
use crate::support::replay::{Recording, Replay};
use crate::support::{bytes32, text};

/// One named test per file, by the kind of what it shows.
macro_rules! replays {
    ($($check:ident: $($name:ident = $file:literal),+;)+) => {
        $($(
            #[tokio::test]
            async fn $name() {
                $check(&Recording::read($file)).await;
            }
        )+)+

        const REPLAYED: &[&str] = &[$($($file),+),+];
    };
}

replays! {
    tokens_open:
        an_account_without_access = "tokens-empty-account",
        an_account_with_a_network_policy = "tokens-ip-restricted",
        a_legacy_token = "tokens-legacy-service-v1",
        a_role_that_may_not_read_secrets = "tokens-role-without-secrets",
        a_service_account = "tokens-service-account",
        a_service_account_without_server_side_keys = "tokens-service-account-client-side-keyring",
        an_expiring_token = "tokens-service-account-expiring",
        a_limited_service_account = "tokens-service-account-limited",
        a_developer = "tokens-user-dev",
        an_owner = "tokens-user-owner",
        a_token_minted_for_an_aws_identity = "identity-aws-success";
    rows_open:
        an_environment_whole = "secrets-all-paths",
        a_large_value = "secrets-large-100k",
        the_rows_of_a_legacy_token = "secrets-legacy-token",
        personal_overrides = "secrets-user-overrides";
    dynamic_rows_are_left_out:
        a_list_with_dynamic_secrets = "dynamic-list",
        a_list_with_leases = "dynamic-lease";
    folders_select_as_on_the_server:
        folders = "secrets-path-header";
    digests_find_as_on_the_server:
        digests = "secrets-key-digest";
    tags_select_what_the_server_selects_and_what_people_mean:
        tags_by_the_server = "secrets-tags-header",
        tags_by_the_official_client = "tags-go-sdk";
    undecryptable_rows_are_errors_that_name_the_key:
        undecryptable_rows = "secrets-undecryptable";
    answers_mean_their_causes:
        failed_leases = "dynamic-lease-errors",
        wrong_routes = "errors-routing",
        throttling = "rate-limit",
        accepted_types = "secrets-accept-header",
        conditional_requests = "secrets-caching-headers",
        camel_case = "secrets-camel-case",
        dead_tokens_at_secrets = "secrets-errors-expired-or-deleted",
        a_network_policy = "secrets-errors-ip-policy",
        malformed_authorization_at_secrets = "secrets-errors-malformed-auth",
        environments_without_access = "secrets-errors-no-access",
        no_environment = "secrets-errors-no-environment-header",
        a_role_without_permission = "secrets-errors-permission",
        a_right_that_comes_and_goes = "permission-probe",
        unknown_environments = "secrets-errors-unknown-environment",
        folders_that_are_not_ascii = "secrets-path-non-ascii",
        the_query_selector = "secrets-query-selector",
        dead_tokens_at_tokens = "tokens-errors-expired-or-deleted",
        malformed_authorization_at_tokens = "tokens-errors-malformed-auth",
        the_public_api = "public-secrets",
        the_public_api_under_other_prefixes = "public-prefixes",
        the_public_api_filtered = "public-secrets-filters",
        the_public_api_for_a_person = "public-secrets-user-override",
        errors_of_the_public_api = "public-secrets-errors",
        dynamic_secrets_of_the_public_api = "public-dynamic";
}

/// Files whose exchanges this program never makes, or that hold none.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "dynamic-expiry",
        "leases are not made: what the provider asks is in `dynamic-list`",
    ),
    (
        "dynamic-life-of-a-lease",
        "leases are not made: what the provider asks is in `dynamic-list`",
    ),
    (
        "identity-aws-web-identity",
        "no pod identities yet: the identity endpoint is not asked",
    ),
    (
        "identity-azure-repeat",
        "no pod identities yet: the identity endpoint is not asked",
    ),
    (
        "versions",
        "older versions of a secret are not asked for: no token gets them",
    ),
    ("public-sa-tokens", "the token API is not asked"),
    (
        "public-sa-tokens-default-role",
        "the token API is not asked",
    ),
    ("public-sa-tokens-free-plan", "the token API is not asked"),
    (
        "environment-updated-at",
        "writes and polls: compared with the emulator in its fidelity test",
    ),
    (
        "health",
        "the health endpoint is not asked: compared with the emulator in its fidelity test",
    ),
    (
        "identity-aws-errors",
        "no pod identities yet: the identity endpoint is not asked",
    ),
    (
        "identity-azure-errors",
        "no pod identities yet: the identity endpoint is not asked",
    ),
    (
        "identity-azure-success",
        "no pod identities yet: the identity endpoint is not asked",
    ),
    (
        "references",
        "no exchanges: the same data is mounted in the module `references`",
    ),
    (
        "references-limited-token",
        "no exchanges: mounted in the module `references`",
    ),
    (
        "references-sse",
        "no exchanges: mounted in the module `references`",
    ),
    (
        "selection-go-sdk",
        "no exchanges: names are matched whole, shown in the module `selection`",
    ),
];

#[test]
fn no_recording_is_forgotten() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire");
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = names
        .map(|name| name.trim_end_matches(".json").to_owned())
        .collect();
    let elsewhere = ELSEWHERE.iter().map(|(file, _)| *file);
    let mut known: Vec<_> = REPLAYED.iter().copied().chain(elsewhere).collect();
    found.sort();
    known.sort_unstable();
    assert_eq!(found, known);
    assert_eq!(found.len(), 63);
}

/// A client, and the host that the replay is.
struct Caller {
    client: Client,
    host: Host,
}

impl Caller {
    fn to(replay: &Replay) -> Self {
        let hosts = AllowedHosts::new(replay.url().parse().unwrap(), &[] as &[&str]).unwrap();
        let config = ClientConfig {
            proxies: Proxies::None,
            retry: Retry {
                attempts: 1,
                ..Retry::default()
            },
            ..ClientConfig::default()
        };
        Self {
            client: Client::new(config).unwrap(),
            host: hosts.admit(None).unwrap(),
        }
    }

    fn deadline() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    async fn rows(&self, token: &Token, environment: &str) -> Vec<SecretRow> {
        let authorization = token.authorization().unwrap();
        let rows = self
            .client
            .secrets(&self.host, &authorization, environment, Self::deadline());
        rows.await.unwrap()
    }
}

fn token(recording: &Recording, label: &str) -> Token {
    Token::parse(&SecretString::from(recording.token(label))).unwrap()
}

fn only_label(recording: &Recording) -> String {
    let labels = recording.value["credentials"].as_object().unwrap();
    labels.keys().next().unwrap().clone()
}

async fn tokens_open(recording: &Recording) {
    let replay = Replay::of(&[recording]).await;
    let caller = Caller::to(&replay);
    let token = token(recording, &only_label(recording));
    let authorization = token.authorization().unwrap();
    let answer = caller
        .client
        .tokens(&caller.host, &authorization, Caller::deadline());
    let answer = answer.await.unwrap();
    let keyring = Keyring::unlock(&token, &answer.wrapped_key_share).unwrap();
    let expected = recording.expected();
    let environments = expected["environments"].as_array().unwrap();
    let opened: usize = answer
        .apps
        .iter()
        .map(|app| app.environment_keys.len())
        .sum();
    assert_eq!(opened, environments.len());
    for app in &answer.apps {
        for key in &app.environment_keys {
            let keys = keyring.environment(&app.name, key).unwrap();
            let is = |e: &&Value| e["environment_id"] == key.environment.id.as_str();
            let expected = environments.iter().find(is).unwrap();
            let same = keys_of(expected);
            assert_eq!(text(expected, "environment"), key.environment.name);
            assert_eq!(keys.public(), same.public());
            assert_eq!(keys.key_digest("KEY"), same.key_digest("KEY"));
            let salt = bytes32(text(expected, "salt"));
            assert_eq!(*keys.derive("purpose"), *derive(&salt, "purpose"));
        }
    }
}
