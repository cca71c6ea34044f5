//! Certificates: private authorities, a replaced CA file, and each way to be wrong.

use std::fs;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use phase_csi_provider::cause::Cause;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::{TempDir, tempdir};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::log::Log;
use super::server::{Reply, Server};
use super::*;

/// A certificate authority that nobody knows.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub(crate) fn write_to(&self, path: &Path) {
        // A new file each time, as a mounted ConfigMap is replaced.
        let beside = path.with_extension("new");
        fs::write(&beside, &self.pem).unwrap();
        fs::rename(beside, path).unwrap();
    }

    /// A server's side of TLS, with a certificate for `name`.
    pub(crate) fn acceptor(&self, name: &str) -> TlsAcceptor {
        self.acceptor_with(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    fn acceptor_with(&self, params: &CertificateParams) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.server_config(params)))
    }

    fn server_config(&self, params: &CertificateParams) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// A client that trusts the authority through a file of its own.
fn trusting(authority: &Authority) -> (Client, TempDir) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    authority.write_to(&path);
    let config = ClientConfig {
        ca_file: Some(path),
        ..config()
    };
    (Client::new(config).unwrap(), folder)
}

async fn localhost(acceptor: TlsAcceptor) -> (Server, Host) {
    let server = Server::start_tls(acceptor, [Reply::json(NO_APPS)]).await;
    let host = server.host_named("localhost");
    (server, host)
}

async fn fault(client: &Client, host: &Host) -> String {
    let error = tokens(client, host).await.unwrap_err();
    assert_eq!(error.cause(), Cause::Unreachable);
    line(&error).replace(host.as_str(), "HOST")
}

#[tokio::test]
async fn a_private_authority_is_believed_by_its_file() {
    let authority = Authority::new();
    let (server, host) = localhost(authority.acceptor("localhost")).await;
    let (client, _folder) = trusting(&authority);
    tokens(&client, &host).await.unwrap();
    tokens(&client, &host).await.unwrap();
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn an_unknown_authority_is_told_and_not_asked_again() {
    let (client, _folder) = trusting(&Authority::named("known"));
    // One that was made anew has the name of the known one and another key.
    for name in ["unknown", "known"] {
        let (server, host) = localhost(Authority::named(name).acceptor("localhost")).await;
        assert_eq!(
            fault(&client, &host).await,
            "TLS certificate of HOST/service/secrets/tokens/ is signed by nobody whom this node \
             trusts: give the CA's certificate with --ca-file"
        );
        assert_eq!((server.requests().len(), server.connections()), (0, 1));
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told() {
    let authority = Authority::new();
    let (_server, host) = localhost(authority.acceptor("other.test")).await;
    let (client, _folder) = trusting(&authority);
    assert_eq!(
        fault(&client, &host).await,
        "TLS certificate of HOST/service/secrets/tokens/ is for other names: use a name of the \
         certificate as host, or issue one with this name as subject alternative name"
    );
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_told() {
    let authority = Authority::new();
    let (client, _folder) = trusting(&authority);
    for (from, until, expected) in [
        (
            2001,
            2002,
            "has expired: renew it, or check the clock of this node",
        ),
        (3001, 3002, "is not valid yet: check the clock of this node"),
    ] {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let (_server, host) = localhost(authority.acceptor_with(&params)).await;
        assert_eq!(
            fault(&client, &host).await,
            format!("TLS certificate of HOST/service/secrets/tokens/ {expected}")
        );
    }
}

#[tokio::test]
async fn a_ca_certificate_in_the_place_of_a_servers_is_told() {
    let authority = Authority::new();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (_server, host) = localhost(authority.acceptor_with(&params)).await;
    let (client, _folder) = trusting(&authority);
    assert_eq!(
        fault(&client, &host).await,
        "TLS certificate of HOST/service/secrets/tokens/ cannot be a server's certificate: issue \
         one that is no CA and has the host as subject alternative name"
    );
}

#[tokio::test]
async fn a_port_without_tls_is_told_and_not_asked_again() {
    // Whoever reads lines answers a handshake with a complaint in plain text.
    let complaint = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host: Host = format!("https://{}", complaint.local_addr().unwrap())
        .parse()
        .unwrap();
    let complaining = async {
        let (mut stream, _) = complaint.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let client = client();
    let (_stream, text) = tokio::join!(complaining, fault(&client, &host));
    assert_eq!(
        text,
        "HOST/service/secrets/tokens/ does not speak TLS with us: check that the port is the \
         console's https port and that it offers TLS 1.2 or 1.3"
    );
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_offers_it() {
    let authority = Authority::new();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let mut config = authority.server_config(&params);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host: Host = format!("https://localhost:{port}").parse().unwrap();

    let served = Arc::new(AtomicUsize::new(0));
    let counter = served.clone();
    let one_connection = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await
            .unwrap();
        let answer = service_fn(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            let response = http::Response::builder()
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from_static(NO_APPS.as_bytes())));
            ready(response)
        });
        http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), answer)
            .await
    });
    let (client, _folder) = trusting(&authority);
    for _ in 0..3 {
        tokens(&client, &host).await.unwrap();
    }
    assert_eq!(served.load(Ordering::SeqCst), 3);
    one_connection.abort();
}

#[tokio::test]
async fn verification_can_be_switched_off() {
    let (_server, host) = localhost(Authority::new().acceptor("other.test")).await;
    let config = ClientConfig {
        insecure_skip_tls_verify: true,
        ..config()
    };
    tokens(&Client::new(config).unwrap(), &host).await.unwrap();
}

#[tokio::test]
async fn a_replaced_ca_file_counts_from_the_next_question() {
    let (old, new) = (Authority::new(), Authority::new());
    let (_old_server, old_host) = localhost(old.acceptor("localhost")).await;
    let (_new_server, new_host) = localhost(new.acceptor("localhost")).await;
    let (client, folder) = trusting(&old);
    tokens(&client, &old_host).await.unwrap();
    tokens(&client, &new_host).await.unwrap_err();

    new.write_to(&folder.path().join("ca.pem"));
    tokens(&client, &new_host).await.unwrap();
    // The old connection is not used on: its authority is believed no longer.
    tokens(&client, &old_host).await.unwrap_err();
}

#[tokio::test]
async fn a_bad_new_ca_file_leaves_the_good_one_and_is_logged_once() {
    let authority = Authority::new();
    let (_server, host) = localhost(authority.acceptor("localhost")).await;
    let (client, folder) = trusting(&authority);
    let path = folder.path().join("ca.pem");
    let log = Log::default();
    let _guard = log.install(tracing::Level::WARN);
    for spoil in [
        (|path| fs::write(path, "nonsense").unwrap()) as fn(&Path),
        |path| fs::remove_file(path).unwrap(),
    ] {
        let before = log.text().lines().count();
        spoil(&path);
        for _ in 0..3 {
            tokens(&client, &host).await.unwrap();
        }
        let text = log.text();
        assert_eq!(text.lines().count(), before + 1, "{text}");
        assert!(
            text.contains("CA file changed and is bad, the last good one stays"),
            "{text}"
        );
        assert!(
            text.contains(&format!("--ca-file {}: ", path.display())),
            "{text}"
        );
    }
    Authority::new().write_to(&path);
    tokens(&client, &host).await.unwrap_err();
}

#[test]
fn a_bad_ca_file_at_the_start_names_flag_path_and_reason() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let shown = path.display().to_string();
    let error = || {
        let config = ClientConfig {
            ca_file: Some(path.clone()),
            ..config()
        };
        Client::new(config).err().unwrap().to_string()
    };
    assert_eq!(
        error(),
        format!(
            "--ca-file {shown}: No such file or directory (os error 2): check the path and that the provider may read it"
        )
    );
    fs::write(&path, "nonsense").unwrap();
    assert_eq!(
        error(),
        format!(
            "--ca-file {shown}: no certificate in it: give a PEM file with BEGIN CERTIFICATE lines"
        )
    );
    let good = Authority::new().pem;
    let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let torn = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    for bad in [block, torn] {
        fs::write(&path, format!("{good}{bad}")).unwrap();
        assert_eq!(
            error(),
            format!(
                "--ca-file {shown}: certificate 2 is not valid: export the CA's certificate as PEM"
            )
        );
    }
    fs::write(&path, vec![b'\n'; (8 << 20) + 1]).unwrap();
    assert_eq!(
        error(),
        format!(
            "--ca-file {shown}: larger than 8388608 bytes: give a PEM file with the CA's certificates only"
        )
    );
}
