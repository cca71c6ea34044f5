//! TLS: the good certificate, the bad ones, and handshakes that fail.

use crate::faults::until;
use phase_emulator::{BadCertificate, Emulator, Fault, FaultKind, Options, Seed, StartError, Tls};
use reqwest::{Certificate, Client};
use std::error::Error;
use std::time::Duration;

async fn emulator() -> Emulator {
    let tls = Tls::SelfSigned {
        names: vec!["phase.example.test".to_owned()],
    };
    Emulator::start(Options {
        tls,
        ..Options::new(Seed::demo())
    })
    .await
    .unwrap()
}

fn client(emulator: &Emulator) -> Client {
    let authority = Certificate::from_pem(emulator.ca_pem().unwrap().as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().tls_certs_only([authority]);
    builder
        .resolve("phase.example.test", emulator.address())
        .build()
        .unwrap()
}

/// Every cause of a request's failure in one line.
async fn failure(client: &Client, url: &str) -> String {
    let error = client
        .get(format!("{url}/service/health/"))
        .send()
        .await
        .expect_err("the handshake fails");
    let causes = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_connects_by_any_of_the_names() {
    let emulator = emulator().await;
    let client = client(&emulator);
    let port = emulator.address().port();
    for url in [
        emulator.url(),
        format!("https://localhost:{port}"),
        format!("https://phase.example.test:{port}"),
    ] {
        let answer = client
            .get(format!("{url}/service/health/"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{url}");
    }
    let stranger = Client::builder().no_proxy().build().unwrap();
    assert!(
        failure(&stranger, &emulator.url())
            .await
            .contains("UnknownIssuer")
    );
}

#[tokio::test]
async fn a_bad_certificate_fails_for_its_own_reason_and_on_kept_connections_too() {
    let emulator = emulator().await;
    let (client, control) = (client(&emulator), emulator.control());
    let health = format!("{}/service/health/", emulator.url());
    for (kind, cause) in [
        (BadCertificate::Expired, "expired"),
        (BadCertificate::NoNames, "CaUsedAsEndEntity"),
        (BadCertificate::Untrusted, "UnknownIssuer"),
        (BadCertificate::WrongName, "not valid for"),
    ] {
        assert_eq!(
            client
                .get(&health)
                .send()
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap()
                .len(),
            41
        );
        control.set_fault(Fault::always(FaultKind::Certificate(kind)));
        let failure = settled_failure(&client, &emulator.url()).await;
        assert!(
            failure.to_lowercase().contains(&cause.to_lowercase()),
            "{kind:?}: {failure}"
        );
        control.clear_faults();
    }
}

/// The failure of the first request on a new connection: the kept one may answer once more while it ends.
async fn settled_failure(client: &Client, url: &str) -> String {
    for _ in 0..500 {
        match client.get(format!("{url}/service/health/")).send().await {
            Ok(answer) => drop(answer.bytes().await),
            Err(error) if error.is_connect() => return failure(client, url).await,
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("kept connections go on under a bad certificate")
}

#[tokio::test]
async fn a_handshake_can_be_cut() {
    let emulator = emulator().await;
    emulator
        .control()
        .set_fault(Fault::times(1, FaultKind::HandshakeCut));
    let client = client(&emulator);
    failure(&client, &emulator.url()).await;
    assert_eq!(
        client
            .get(format!("{}/service/health/", emulator.url()))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_handshake_can_stall() {
    let emulator = emulator().await;
    emulator
        .control()
        .set_fault(Fault::times(1, FaultKind::HandshakeStall));
    let request = tokio::spawn(
        client(&emulator)
            .get(format!("{}/service/health/", emulator.url()))
            .send(),
    );
    until(|| emulator.control().requests().connections == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!request.is_finished());
    assert_eq!(emulator.control().requests().health, 0);
}

#[tokio::test]
async fn a_certificate_of_files_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let tls = Tls::Files {
        cert: cert.clone(),
        key,
    };
    let emulator = Emulator::start(Options {
        tls,
        ..Options::new(Seed::demo())
    })
    .await
    .unwrap();
    assert_eq!(emulator.ca_pem().unwrap(), pair.cert.pem());
    let answer = client(&emulator)
        .get(format!("{}/service/health/", emulator.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);

    for (cert, key, expected) in [
        (
            folder.path().join("none"),
            cert.clone(),
            "file cannot be read: ",
        ),
        (cert.clone(), cert, "file holds no PEM of this kind: "),
    ] {
        let options = Options {
            tls: Tls::Files { cert, key },
            ..Options::new(Seed::demo())
        };
        let Err(error @ StartError::Tls(_)) = Emulator::start(options).await else {
            panic!("no certificate, no start")
        };
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
