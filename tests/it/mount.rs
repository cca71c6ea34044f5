//! The whole way, through the real binary's socket, over recorded bytes of a
//! real Phase server.

use phase_csi_provider::provider::grpc::VersionRequest;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::daemon::{Daemon, attributes, run, texts};
use crate::support::replay::{Recording, Replay};

fn recorded() -> [Recording; 2] {
    ["tokens-service-account", "secrets-all-paths"].map(Recording::read)
}

async fn replay() -> Replay {
    let [tokens, secrets] = recorded();
    Replay::of(&[&tokens, &secrets]).await
}

fn token() -> String {
    recorded()[0].token("main").to_owned()
}

fn backend() -> Value {
    json!({
        "phaseApp": "Payments-API",
        "phaseAppEnv": "production",
        "phaseAppEnvPath": "/backend",
        "recursive": "true",
        "filePermission": "0640",
    })
}

#[tokio::test]
async fn recorded_bytes_become_files_by_two_requests() {
    let replay = replay().await;
    let daemon = Daemon::start(&["--phase-host", &replay.url()]).await;
    let answer = daemon.mount(&token(), &backend()).await.unwrap();
    let expected = [
        ("PORT", "2000"),
        ("QUEUE_URL", "amqp://db.internal"),
        ("db/DB_HOST", "backend-db.internal"),
        ("db/DB_PASS", "pw-in-folder"),
        ("db/PORT", "3000"),
    ];
    assert_eq!(
        texts(&answer),
        expected.map(|(path, text)| (path.to_owned(), text.to_owned()))
    );
    assert!(answer.files.iter().all(|file| file.mode == 0o640));
    let ids: Vec<_> = answer
        .object_version
        .iter()
        .map(|version| version.id.as_str())
        .collect();
    assert_eq!(ids, expected.map(|(path, _)| path));
    let environment = "701db31b-e2ab-42c7-9f45-9e34e4d2e5ba".to_owned();
    assert_eq!(
        replay.asked(),
        [
            ("/service/secrets/tokens/".to_owned(), None),
            ("/service/secrets/".to_owned(), Some(environment)),
        ]
    );
}

#[tokio::test]
async fn equal_input_gives_byte_equal_answers_after_every_restart() {
    let replay = replay().await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let daemon = Daemon::start(&["--phase-host", &replay.url()]).await;
        for _ in 0..2 {
            let answer = daemon.mount(&token(), &backend()).await.unwrap();
            answers.push(prost::Message::encode_to_vec(&answer));
        }
        assert!(daemon.stop().await.status.success());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn each_refusal_has_its_code_and_text() {
    let replay = replay().await;
    let daemon = Daemon::start(&["--phase-host", &replay.url()]).await;
    let token = token();
    let refused = async |parameters: Value| {
        let status = daemon
            .mount(&token, &parameters)
            .await
            .map(|_| ())
            .unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let (code, text) = refused(json!({"phaseAp": "x"})).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(
        text.starts_with("SecretProviderClass shop/keys: 2 mistakes: unknown parameter"),
        "{text}"
    );
    let (code, text) = refused(json!({"phaseApp": "pay"})).await;
    assert_eq!(code, Code::NotFound);
    assert!(
        text.starts_with("app \"pay\" not found: the token can read "),
        "{text}"
    );
    let (code, text) = refused(json!({"phaseApp": "payments-api", "phaseAppEnv": "prod"})).await;
    assert_eq!(
        (
            code,
            text.contains("it has Development, Production, Staging")
        ),
        (Code::NotFound, true)
    );
    let (code, text) = refused(json!({"phaseApp": "payments-api", "phaseAppEnvPath": "/x"})).await;
    assert_eq!(code, Code::NotFound);
    assert!(
        text.starts_with("no secrets selected: folder \"/x\""),
        "{text}"
    );
    for (secrets, code, begins) in [
        (
            "null".to_owned(),
            Code::FailedPrecondition,
            "no Phase token: the pod's volume names no Secret",
        ),
        (
            json!({"x": "y"}).to_string(),
            Code::FailedPrecondition,
            "no Phase token: the Secret of nodePublishSecretRef",
        ),
        (
            json!({"token": "junk"}).to_string(),
            Code::Unauthenticated,
            "Phase token is of an unknown kind",
        ),
        (
            "[]".to_owned(),
            Code::InvalidArgument,
            "secrets of the mount request are not",
        ),
    ] {
        let status = daemon
            .call(attributes(&backend()), secrets)
            .await
            .map(|_| ())
            .unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().starts_with(begins), "{}", status.message());
    }
    let status = daemon
        .call("[]".to_owned(), "null".to_owned())
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status
            .message()
            .starts_with("attributes of the mount request are not a JSON object")
    );
}

#[tokio::test]
async fn a_token_of_another_account_does_not_open_this_one() {
    let replay = replay().await;
    let daemon = Daemon::start(&["--phase-host", &replay.url()]).await;
    let fields: Vec<_> = token().split(':').map(str::to_owned).collect();
    let other = "1".repeat(64);
    for damaged in [3, 4, 5] {
        let mut fields = fields.clone();
        fields[damaged].clone_from(&other);
        let status = daemon
            .mount(&fields.join(":"), &backend())
            .await
            .map(|_| ())
            .unwrap_err();
        assert_eq!(status.code(), Code::DataLoss);
        assert!(
            status
                .message()
                .starts_with("key share of the account does not open with this token")
        );
    }
}

#[tokio::test]
async fn a_limit_on_answers_names_both_sizes_and_flags() {
    let replay = replay().await;
    let flags = [
        "--phase-host",
        &replay.url(),
        "--max-call-send-msg-size",
        "300",
    ];
    let daemon = Daemon::start(&flags).await;
    let status = daemon
        .mount(&token(), &backend())
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    for part in [
        "300",
        "--max-call-send-msg-size",
        "--max-call-recv-msg-size",
    ] {
        assert!(status.message().contains(part), "{}", status.message());
    }
}

#[tokio::test]
async fn nothing_secret_is_ever_written() {
    let replay = replay().await;
    let daemon = Daemon::start(&["--phase-host", &replay.url()]).await;
    let token = token();
    let whole =
        json!({"phaseApp": "payments-api", "onSecretReferenceError": "Warn", "recursive": "true"});
    daemon.mount(&token, &backend()).await.unwrap();
    assert_eq!(daemon.mount(&token, &whole).await.unwrap().files.len(), 47);
    let strict = json!({"phaseApp": "payments-api"});
    let failed = daemon.mount(&token, &strict).await.map(|_| ()).unwrap_err();
    let in_class = daemon
        .mount(&token, &json!({"phaseApp": &token}))
        .await
        .map(|_| ())
        .unwrap_err();
    let damaged = daemon
        .mount(&token[..token.len() - 1], &backend())
        .await
        .map(|_| ())
        .unwrap_err();
    let ended = daemon.stop().await;
    assert!(
        ended.output.contains("DEBUG") && ended.output.contains("cannot be resolved"),
        "{}",
        ended.output
    );
    let mut written = ended.output;
    for status in [failed, in_class, damaged] {
        written.push_str(status.message());
    }
    let mut canaries: Vec<_> = token.split(':').skip(2).map(str::to_owned).collect();
    let expected = recorded()[1].expected().clone();
    let values = expected["secrets"].as_array().unwrap().iter();
    canaries.extend(values.map(|secret| secret["value"].as_str().unwrap().to_owned()));
    canaries.push(
        expected["environment"]["private_key"]
            .as_str()
            .unwrap()
            .to_owned(),
    );
    canaries.push(expected["environment"]["salt"].as_str().unwrap().to_owned());
    // Short values and bare references would be found by chance.
    canaries.retain(|canary| canary.len() >= 10 && !canary.starts_with("${"));
    assert!(canaries.len() > 12);
    for canary in canaries {
        assert!(!written.contains(&canary), "{canary:?} was written");
    }
}

#[tokio::test]
async fn the_version_is_told_at_once() {
    let daemon = Daemon::start(&[]).await;
    let mut client = daemon.client().await;
    let request = VersionRequest {
        version: "v1alpha1".to_owned(),
    };
    let answer = client.version(request).await.unwrap().into_inner();
    assert_eq!(answer.version, "v1alpha1");
    assert_eq!(answer.runtime_version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_second_instance_says_so_and_ends() {
    let daemon = Daemon::start(&[]).await;
    let second = run(&daemon.socket(), &[]).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(
        second.output.contains("another instance"),
        "{}",
        second.output
    );
    assert!(daemon.socket().exists());
}

#[tokio::test]
async fn wrong_flags_name_flag_value_and_reason() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("phase.sock");
    for (flags, code, parts) in [
        (
            ["--mount-deadline", "5"],
            2,
            ["--mount-deadline", "'5'", "not a duration like 90s"],
        ),
        (
            ["--mount-deadline", "3m"],
            2,
            [
                "--mount-deadline",
                "'3m'",
                "the driver gives up after 2 minutes",
            ],
        ),
        (
            ["--phase-host", "ftp://x"],
            2,
            ["--phase-host", "ftp://x", "does not start with https://"],
        ),
        (
            ["--allowed-host", "x y"],
            1,
            ["--allowed-host", "x y", "https"],
        ),
        (
            ["--ca-file", "/nowhere.pem"],
            1,
            ["--ca-file", "/nowhere.pem", "No such file"],
        ),
        (
            ["--ca-file", "/dev/null"],
            1,
            ["--ca-file", "/dev/null", "no certificate in it"],
        ),
    ] {
        let ended = run(&socket, &flags).await;
        assert_eq!(ended.status.code(), Some(code), "{}", ended.output);
        for part in parts {
            assert!(ended.output.contains(part), "{part}: {}", ended.output);
        }
        assert!(!socket.exists());
    }
}
