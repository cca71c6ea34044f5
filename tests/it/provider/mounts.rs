//! What a driver sees of its mounts.

use std::sync::Arc;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::provider::grpc::VersionRequest;
use tokio::sync::{Semaphore, mpsc};
use tonic::Code;

use super::*;

#[tokio::test]
async fn version_says_who_serves() {
    let provider = Provider::start(|_, _| async { Ok(answer("x")) }).await;
    let request = VersionRequest {
        version: "v1alpha1".into(),
    };
    let version = provider
        .client()
        .await
        .version(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(version.version, "v1alpha1");
    assert_eq!(version.runtime_name, "phase-csi-provider");
    assert_eq!(version.runtime_version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn version_answers_while_every_place_is_taken() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let provider = Provider::with(
        |config| config.max_mounts = 1,
        move |_, _| hang(started.clone()),
    )
    .await;
    let client = provider.client().await;
    let mount = tokio::spawn(mount(client.clone()));
    starts.recv().await.unwrap();
    let mut asking = client.clone();
    let version = asking.version(VersionRequest::default());
    assert!(timeout(SAFETY, version).await.unwrap().is_ok());
    mount.abort();
}

#[tokio::test]
async fn a_mount_reaches_the_handler_and_its_files_reach_the_caller() {
    let provider = Provider::start(|request: MountRequest, _| async move {
        Ok(answer(format!(
            "{}|{}",
            request.attributes, request.secrets
        )))
    })
    .await;
    let request = MountRequest::new("{\"a\":\"ü\"}", "null");
    let answer = provider
        .client()
        .await
        .mount(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.files[0].contents, "{\"a\":\"ü\"}|null".as_bytes());
    assert_eq!(
        (answer.files[0].path.as_str(), answer.files[0].mode),
        ("KEY", 0o644)
    );
    assert_eq!(answer.object_version[0].version, "1");
}

#[tokio::test]
async fn a_failure_arrives_with_the_code_of_its_cause_and_its_message_as_one_line() {
    for (cause, code) in [
        (Cause::Deadline, Code::Internal),
        (Cause::Forbidden, Code::PermissionDenied),
        (Cause::InvalidClass, Code::InvalidArgument),
        (Cause::NoCredential, Code::FailedPrecondition),
        (Cause::NotFound, Code::NotFound),
        (Cause::RateLimited, Code::Internal),
        (Cause::RefusedCredential, Code::Unauthenticated),
        (Cause::Undecryptable, Code::DataLoss),
        (Cause::Unreachable, Code::Internal),
    ] {
        let provider = Provider::start(move |_, _| async move {
            Err(Failure {
                cause,
                message: format!("app \"läden\"\nnot found{}", ".".repeat(600)),
            })
        })
        .await;
        let status = mount(provider.client().await).await.err().unwrap();
        assert_eq!(status.code(), code, "{cause:?}");
        assert!(
            status.message().starts_with("app \"läden\" not found..."),
            "{}",
            status.message()
        );
        assert_eq!(status.message().len(), 500);
    }
}

#[tokio::test]
async fn a_panic_costs_that_mount_only_and_its_text_stays_here() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let finish = Arc::new(Semaphore::new(0));
    let go = Arc::clone(&finish);
    let provider = Provider::start(move |request: MountRequest, _| {
        assert!(request.attributes != "before the future", "s3cret");
        let (started, finish) = (started.clone(), Arc::clone(&finish));
        async move {
            assert!(request.attributes != "in the future", "s3cret");
            started.send(()).unwrap();
            drop(finish.acquire().await.unwrap());
            Ok(answer("fine"))
        }
    })
    .await;
    let client = provider.client().await;
    let other = tokio::spawn(mount(client.clone()));
    starts.recv().await.unwrap();
    for attributes in ["before the future", "in the future"] {
        let status = client
            .clone()
            .mount(MountRequest::new(attributes, ""))
            .await
            .err()
            .unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(
            status.message(),
            "internal error: the mount panicked: this is a defect, please report it"
        );
    }
    go.add_permits(1);
    assert_eq!(other.await.unwrap().unwrap().files[0].contents, b"fine");
}

#[tokio::test]
async fn an_answer_at_the_limit_passes_and_one_byte_more_is_refused_with_both_sizes() {
    let limit = 100_000;
    let provider = Provider::with(
        |config| config.max_answer_bytes = limit,
        |request: MountRequest, _| async move {
            Ok(answer(vec![b'x'; request.attributes.parse().unwrap()]))
        },
    )
    .await;
    let mut client = provider.client().await;
    // What the message needs beside the contents.
    let frame = limit
        - (1..limit)
            .rev()
            .find(|size| prost::Message::encoded_len(&answer(vec![0; *size])) == limit)
            .unwrap();
    let fitting = MountRequest::new((limit - frame).to_string(), "");
    assert!(client.mount(fitting).await.is_ok());
    let status = client
        .mount(MountRequest::new((limit - frame + 1).to_string(), ""))
        .await
        .err()
        .unwrap();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(
        status.message(),
        "answer of 100001 bytes is larger than the 100000 bytes that the driver takes: select fewer secrets, or raise \
         --max-call-recv-msg-size of the driver and --max-call-send-msg-size of the provider together"
    );
}

#[tokio::test]
async fn an_answer_of_four_mebibytes_arrives_whole() {
    let provider = Provider::start(|_, _| async { Ok(answer(vec![7; 4_000_000])) }).await;
    let answer = mount(provider.client().await).await.unwrap();
    assert_eq!(answer.files[0].contents, vec![7; 4_000_000]);
}

#[tokio::test]
async fn an_answer_without_files_or_without_versions_is_our_defect() {
    for keep_files in [true, false] {
        let provider = Provider::start(move |_, _| async move {
            let mut answer = answer("x");
            if keep_files {
                answer.object_version.clear()
            } else {
                answer.files.clear()
            }
            Ok(answer)
        })
        .await;
        let status = mount(provider.client().await).await.err().unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(
            status.message(),
            "internal error: an answer without files or without versions: this is a defect, please report it"
        );
    }
}
