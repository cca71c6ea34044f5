//! Every recorded request, sent again: the emulator's answers against those of the real server.

use crate::recorded;
use crate::replay::{compared, replay, start, with_token, with_wait};
use phase_emulator::{Control, SecretChange, seed};

/// Recordings that are not replayed here, and why.
const NOT_REPLAYED: [(&str, &str); 25] = [
    (
        "dynamic-lease",
        "no dynamic secrets: they need a cloud provider behind the server",
    ),
    ("dynamic-expiry", "no dynamic secrets"),
    ("dynamic-life-of-a-lease", "no dynamic secrets"),
    ("identity-aws-web-identity", "no cloud identities"),
    ("identity-azure-repeat", "no cloud identities"),
    ("public-sa-tokens", "no public api"),
    ("public-sa-tokens-default-role", "no public api"),
    ("public-sa-tokens-free-plan", "no public api"),
    ("versions", "no public api, and no history of secrets"),
    ("dynamic-lease-errors", "no dynamic secrets"),
    ("dynamic-list", "no dynamic secrets"),
    (
        "environment-updated-at",
        "holds the writes of a client; its steps are taken through the control instead, below",
    ),
    (
        "identity-aws-errors",
        "no cloud identities; the refusals that need none are compared below",
    ),
    (
        "identity-aws-success",
        "no cloud identities: the server would have to ask a cloud",
    ),
    ("identity-azure-errors", "no cloud identities"),
    ("identity-azure-success", "no cloud identities"),
    (
        "permission-probe",
        "of another organisation, whose account changes between; its steps are taken below",
    ),
    ("public-dynamic", "no public api: it answers plaintext"),
    ("public-prefixes", "no public api"),
    ("public-secrets", "no public api"),
    ("public-secrets-errors", "no public api"),
    ("public-secrets-filters", "no public api"),
    ("public-secrets-user-override", "no public api"),
    (
        "rate-limit",
        "needs its requests spent first; replayed below",
    ),
    (
        "secrets-undecryptable",
        "begins with writes; its read is replayed below",
    ),
];

/// Recordings of what official clients make of others; they hold no exchange.
const WITHOUT_EXCHANGES: [&str; 5] = [
    "references",
    "references-limited-token",
    "references-sse",
    "selection-go-sdk",
    "tags-go-sdk",
];

#[tokio::test]
async fn recorded_requests_get_the_recorded_answers() {
    let (emulator, _) = start().await;
    let mut found = Vec::new();
    let mut replayed = 0;
    let skipped = |name: &str| NOT_REPLAYED.iter().any(|(skipped, _)| *skipped == name);
    for name in recorded::names().into_iter().filter(|name| !skipped(name)) {
        let recording = recorded::read(&name);
        for (turn, exchange) in recording["exchanges"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let ours = replay(&emulator, &exchange["request"]).await;
            let differ = compared(&exchange["response"], &ours);
            found.extend(
                differ
                    .into_iter()
                    .map(|line| format!("{name} #{turn} {line}")),
            );
            replayed += 1;
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(replayed > 100, "{replayed} exchanges only");
}

#[test]
fn every_recording_is_replayed_or_listed_with_its_reason() {
    let names = recorded::names();
    assert!(names.len() > 50, "{} recordings only", names.len());
    let listed = NOT_REPLAYED
        .iter()
        .map(|(name, _)| *name)
        .chain(WITHOUT_EXCHANGES);
    for name in listed {
        assert!(
            names.iter().any(|known| known == name),
            "{name} is listed and not there"
        );
    }
    let silent = names.iter().filter(|name| {
        recorded::read(name)["exchanges"]
            .as_array()
            .is_none_or(Vec::is_empty)
    });
    assert_eq!(silent.collect::<Vec<_>>(), WITHOUT_EXCHANGES);
}

#[tokio::test]
async fn throttled_requests_get_the_recorded_answers() {
    let (emulator, control) = start().await;
    control.set_rate_limit(Some("5/min".parse().unwrap()));
    let recording = recorded::read("rate-limit");
    let exchanges = recording["exchanges"].as_array().unwrap();
    // Another token of the same account spends the account's budget, any account at this address the address's.
    for (exchange, token) in [(&exchanges[0], "main-expiring"), (&exchanges[1], "limited")] {
        let request = with_token(&exchange["request"], &control.token(token).unwrap());
        for _ in 0..5 {
            assert_eq!(replay(&emulator, &request).await.status, 200);
        }
    }
    for (turn, exchange) in exchanges.iter().enumerate() {
        let ours = replay(&emulator, &exchange["request"]).await;
        let recorded = with_wait(&exchange["response"], ours.header("retry-after"));
        assert_eq!(compared(&recorded, &ours), Vec::<String>::new(), "#{turn}");
    }
    let other_account = with_token(&exchanges[0]["request"], &control.token("norole").unwrap());
    assert_eq!(
        replay(&emulator, &other_account).await.status,
        401,
        "another account is not throttled"
    );
    let wrong_token = with_token(&exchanges[0]["request"], "::00");
    assert_eq!(
        replay(&emulator, &wrong_token).await.status,
        401,
        "a refused token is not counted"
    );
}

#[tokio::test]
async fn a_right_that_comes_and_goes_shows_as_recorded() {
    let (emulator, control) = start().await;
    let recording = recorded::read("permission-probe");
    let exchanges = recording["exchanges"].as_array().unwrap();
    let probes = exchanges
        .iter()
        .filter(|exchange| exchange["request"]["path"] == "/service/secrets/");
    let name = "main";
    let environment = control
        .environment_id("payments-api", "Production")
        .unwrap();
    let mut statuses = Vec::new();
    for exchange in probes {
        let error = exchange["response"]["body_json"]["error"].as_str();
        let error = error.unwrap_or_default();
        control
            .set_role(name, !error.contains("permission"))
            .unwrap();
        control
            .set_excluded(name, error.contains("network access policy"))
            .unwrap();
        let token = control.token(name).unwrap();
        let mut request = with_token(&exchange["request"], &token);
        for header in request["headers"].as_array_mut().unwrap() {
            if header[0] == "Environment" {
                header[1] = environment.clone().into();
            }
        }
        let ours = replay(&emulator, &request).await;
        assert_eq!(compared(&exchange["response"], &ours), Vec::<String>::new());
        statuses.push(ours.status);
    }
    assert_eq!(statuses, [200, 403, 403, 200]);
    assert_eq!(control.requests().audited, 0, "a probe leaves no trace");
}

#[tokio::test]
async fn identity_exchanges_that_reach_no_cloud_are_refused_as_recorded() {
    let (emulator, _) = start().await;
    let recording = recorded::read("identity-aws-errors");
    let exchanges = recording["exchanges"].as_array().unwrap();
    let texts = [
        "Invalid JSON",
        "Only service account authentication is supported.",
        "Service account not found",
        "Method \"GET\" not allowed.",
    ];
    let reached = exchanges.iter().filter(|exchange| {
        texts
            .iter()
            .any(|text| exchange["response"]["body_json"]["error"] == *text)
    });
    let mut replayed = 0;
    for exchange in reached {
        let ours = replay(&emulator, &exchange["request"]).await;
        assert_eq!(compared(&exchange["response"], &ours), Vec::<String>::new());
        replayed += 1;
    }
    assert_eq!(replayed, 5);
}

#[tokio::test]
async fn the_environments_time_moves_as_recorded() {
    let (_emulator, control) = start().await;
    let (app, environment) = ("payments-api", "Staging");
    let put = |change: SecretChange, path: &str| {
        control
            .change_secret(app, environment, path, "POLLED", change)
            .unwrap()
    };
    let mut before = times(&control);
    let recording = recorded::read("environment-updated-at");
    let steps = recording["expected"]["steps"].as_array().unwrap();
    let mut recorded_before = &steps[0];
    for step in &steps[1..] {
        match step["after"].as_str().unwrap() {
            "nothing (second poll)" | "GET all secrets" => control.warm_up(),
            "POST one new secret" => assert_eq!(
                put(
                    SecretChange {
                        value: Some("1".into()),
                        ..SecretChange::default()
                    },
                    "/"
                ),
                1
            ),
            "PUT new value" => assert_eq!(
                put(
                    SecretChange {
                        value: Some("2".into()),
                        ..SecretChange::default()
                    },
                    "/"
                ),
                2
            ),
            "PUT tags only" => assert_eq!(
                put(
                    SecretChange {
                        tags: Some(vec!["polled".into()]),
                        ..SecretChange::default()
                    },
                    "/"
                ),
                3
            ),
            "PUT type only" => assert_eq!(
                put(
                    SecretChange {
                        kind: Some(seed::SecretType::Config),
                        ..SecretChange::default()
                    },
                    "/"
                ),
                4
            ),
            "PUT move to another folder" => assert_eq!(
                put(
                    SecretChange {
                        move_to: Some("/moved".into()),
                        ..SecretChange::default()
                    },
                    "/"
                ),
                5
            ),
            step if step.starts_with("PUT personal override") => {
                let personal = seed::Override {
                    value: "mine".into(),
                    active: true,
                };
                control
                    .set_override(
                        app,
                        environment,
                        "/moved",
                        "POLLED",
                        "owner-user",
                        Some(personal),
                    )
                    .unwrap();
            }
            "DELETE the secret" => control
                .delete_secret(app, environment, "/moved", "POLLED")
                .unwrap(),
            // What is deleted is gone here; the real server counts the second time, too.
            "DELETE the same secret again" => continue,
            other => panic!("{other} is not known here"),
        }
        let after = times(&control);
        for (place, field) in ["written_environment", "referencing_environment"]
            .into_iter()
            .enumerate()
        {
            let moved = step[field] != recorded_before[field];
            assert_eq!(
                after[place] != before[place],
                moved,
                "{field} after {}",
                step["after"]
            );
        }
        (before, recorded_before) = (after, step);
    }
}

/// The times of the environment that is written and of one that refers to it.
fn times(control: &Control) -> [Option<String>; 2] {
    let seed = control.seed();
    let environments = &seed
        .apps
        .iter()
        .find(|app| app.name == "payments-api")
        .unwrap()
        .environments;
    let time = |name| {
        environments
            .iter()
            .find(|known| known.name == name)
            .and_then(|known| known.updated_at.clone())
    };
    ["Staging", "Production"].map(time)
}
