//! Proxy and certificate variables, which only a process of its own can be given.

use std::env;
use std::net::SocketAddr;
use std::process::Stdio;

use phase_csi_provider::phase::allowed::AllowedHosts;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use super::server::{Reply, Server, closed_port, read_head};
use super::tls::Authority;
use super::*;

/// Set for the child process only: the host to ask.
const HOST: &str = "PHASE_HTTP_TEST_HOST";
/// Set for the child process only: what `--allowed-host` says, or nothing.
const ALLOWED: &str = "PHASE_HTTP_TEST_ALLOWED";
/// Set for the child process only: the CA file, or nothing.
const CA_FILE: &str = "PHASE_HTTP_TEST_CA_FILE";

/// Runs this same test in a process with the given variables, which asks
/// `host`, and returns what it says about the outcome.
async fn asked_by_a_child(test: &str, variables: &[(&str, String)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([
        "--exact",
        &format!("phase_http::environment::{test}"),
        "--nocapture",
    ]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR");
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, outcome) = text
        .split_once("outcome: ")
        .unwrap_or_else(|| panic!("{text}"));
    outcome.lines().next().unwrap().to_owned()
}

/// In the child process: asks the host, says the outcome, and is done.
#[expect(
    clippy::print_stdout,
    reason = "a child process has no other way to say it"
)]
async fn is_child() -> bool {
    let Ok(host) = env::var(HOST) else {
        return false;
    };
    let ca_file = env::var_os(CA_FILE).map(Into::into);
    let config = ClientConfig {
        proxies: Proxies::Environment,
        ca_file,
        ..config()
    };
    let client = Client::new(config).unwrap();
    let allowed = env::var(ALLOWED).unwrap_or_else(|_| host.clone());
    let allowed = AllowedHosts::new(Host::default(), &[allowed]).unwrap();
    let outcome = match tokens(&client, &allowed.admit(Some(&host)).unwrap()).await {
        Ok(answer) => format!("{} apps", answer.apps.len()),
        Err(error) => line(&error),
    };
    println!("outcome: {outcome}");
    true
}

/// A proxy that lets one client through to `upstream` and returns what it was asked.
async fn tunnel(proxy: TcpListener, upstream: SocketAddr) -> String {
    let (mut client, _) = proxy.accept().await.unwrap();
    let head = read_head(&mut client).await.unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut server = TcpStream::connect(upstream).await.unwrap();
    // The child ends when it has its answer, in whatever way.
    copy_bidirectional(&mut client, &mut server).await.ok();
    head
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_does_not_see_the_credential() {
    if is_child().await {
        return;
    }
    let authority = Authority::new();
    let server = Server::start_tls(authority.acceptor("phase.test"), [Reply::json(NO_APPS)]).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    authority.write_to(&ca_file);
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let variables = [
        (HOST, "https://phase.test".to_owned()),
        (CA_FILE, ca_file.display().to_string()),
        (
            "HTTPS_PROXY",
            format!("http://me:pw@{}", proxy.local_addr().unwrap()),
        ),
    ];
    let upstream = server.address();
    let tunnelled = tokio::spawn(async move { tunnel(proxy, upstream).await });
    let test = "https_goes_through_a_tunnel_that_does_not_see_the_credential";
    let outcome = asked_by_a_child(test, &variables).await;
    assert_eq!(outcome, "0 apps");
    let head = tunnelled.await.unwrap();
    assert!(
        head.starts_with("CONNECT phase.test:443 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(!head.contains(BEARER), "{head}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_without_its_password() {
    if is_child().await {
        return;
    }
    let proxy = Server::start([Reply::Cut(b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec())]).await;
    let variables = [
        (HOST, "https://phase.test".to_owned()),
        ("HTTPS_PROXY", format!("http://me:pw@{}", proxy.address())),
    ];
    let outcome = asked_by_a_child(
        "a_proxy_that_refuses_is_told_without_its_password",
        &variables,
    )
    .await;
    assert_eq!(
        outcome,
        "proxy refused to connect to https://phase.test/service/secrets/tokens/: check \
         HTTPS_PROXY, NO_PROXY and the rules of that proxy; the mount is retried automatically"
    );
    assert_eq!(proxy.requests().len(), 4);
}

#[tokio::test]
async fn a_host_of_no_proxy_is_asked_directly() {
    if is_child().await {
        return;
    }
    let proxy = Server::start([Reply::json(NO_APPS)]).await;
    let server = Server::start([Reply::json(NO_APPS)]).await;
    let mut variables = vec![
        (HOST, server.host().to_string()),
        ("HTTP_PROXY", format!("http://{}", proxy.address())),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ];
    let test = "a_host_of_no_proxy_is_asked_directly";
    assert_eq!(asked_by_a_child(test, &variables).await, "0 apps");
    assert_eq!((server.requests().len(), proxy.requests().len()), (1, 0));

    variables.pop();
    assert_eq!(asked_by_a_child(test, &variables).await, "0 apps");
    assert_eq!((server.requests().len(), proxy.requests().len()), (1, 1));
    let request = &proxy.requests()[0];
    assert!(request.starts_with(&format!("GET {}/service/secrets/tokens/ ", server.host())));
}

#[tokio::test]
async fn the_star_lets_a_proxy_on_the_node_lead_out_but_not_be_asked_itself() {
    if is_child().await {
        return;
    }
    let test = "the_star_lets_a_proxy_on_the_node_lead_out_but_not_be_asked_itself";
    let proxy = Server::start([Reply::Cut(b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec())]).await;
    let mut variables = [
        (HOST, "https://phase.test".to_owned()),
        (ALLOWED, "*".to_owned()),
        (
            "HTTPS_PROXY",
            format!("http://localhost:{}", proxy.address().port()),
        ),
    ];
    let outcome = asked_by_a_child(test, &variables).await;
    assert!(
        outcome.starts_with("proxy refused to connect to https://phase.test/"),
        "{outcome}"
    );
    assert_eq!(proxy.requests().len(), 4);

    variables[0].1 = "https://proxy.test:8443".to_owned();
    variables[2].1 = "http://Proxy.Test:3128".to_owned();
    assert_eq!(
        asked_by_a_child(test, &variables).await,
        "name of https://proxy.test:8443/service/secrets/tokens/ leads to an address of the node \
         or of its cloud: ask the cluster admin to add the host with --allowed-host"
    );
}

#[tokio::test]
async fn without_any_ca_certificate_only_plain_http_is_left() {
    if is_child().await {
        return;
    }
    let test = "without_any_ca_certificate_only_plain_http_is_left";
    let server = Server::start([Reply::json(NO_APPS)]).await;
    let mut variables = [
        (HOST, "https://phase.test".to_owned()),
        ("SSL_CERT_FILE", "/dev/null".to_owned()),
    ];
    assert_eq!(
        asked_by_a_child(test, &variables).await,
        "no CA certificates to check https://phase.test/service/secrets/tokens/ with: install a \
         CA bundle in the provider's image or set --ca-file"
    );
    variables[0].1 = server.host().to_string();
    assert_eq!(asked_by_a_child(test, &variables).await, "0 apps");
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_told_instead_of_the_host() {
    if is_child().await {
        return;
    }
    let test = "a_proxy_that_cannot_be_reached_is_told_instead_of_the_host";
    let (_port, closed) = closed_port();
    for proxy in [closed.as_str(), "http://proxy.invalid:3128"] {
        let variables = [
            (HOST, "https://phase.test".to_owned()),
            ("HTTPS_PROXY", proxy.to_owned()),
        ];
        assert_eq!(
            asked_by_a_child(test, &variables).await,
            "proxy on the way to https://phase.test/service/secrets/tokens/ cannot be connected \
             to: check HTTPS_PROXY and NO_PROXY; the mount is retried automatically"
        );
    }
}
