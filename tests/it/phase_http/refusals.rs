//! Statuses other than 200: each has one clear line and one cause.

use phase_csi_provider::cause::Cause;
use rstest::rstest;

use super::server::{Reply, Server};
use super::*;

/// Which question is asked.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Tokens,
    Secrets,
}
use Ask::{Secrets, Tokens};

const TOKEN: &str = "token is expired, deleted or unknown to HOST: create a new service token in Phase and update the Secret";
const UNCLEAR: &str = "in words that are not known of Phase, so Phase counts as away until it does so again: check the firewalls and proxies in front of it, then the token and its rights";
const FOREIGN: &str = "refused with status 403, but not in Phase's words, so Phase counts as away: check that the host is a Phase console, and the firewalls and proxies in front of it";

async fn error_of(ask: Ask, server: &Server) -> ClientError {
    match ask {
        Tokens => tokens(&client(), &server.host()).await.unwrap_err(),
        Secrets => secrets(&client(), &server.host()).await.unwrap_err(),
    }
}

#[rstest]
#[case::dead_token(
    Tokens,
    "403 Forbidden",
    "Token expired or deleted",
    Cause::RefusedCredential,
    TOKEN
)]
#[case::tokens_401(
    Tokens,
    "401 Unauthorized",
    "Token expired or deleted",
    Cause::RefusedCredential,
    TOKEN
)]
#[case::dead_token_at_secrets_of_version_2_51(
    Secrets,
    "403 Forbidden",
    "Token expired or deleted",
    Cause::RefusedCredential,
    TOKEN
)]
#[case::environment_gone_in_version_2_51(
    Secrets,
    "403 Forbidden",
    "Environment not found",
    Cause::NotFound,
    "environment is unknown to HOST/service/secrets/: check that it was not deleted meanwhile; the mount is retried automatically"
)]
#[case::dead_token_at_secrets(
    Secrets,
    "401 Unauthorized",
    "Token expired or deleted",
    Cause::RefusedCredential,
    TOKEN
)]
#[case::invalid_token(
    Secrets,
    "401 Unauthorized",
    "Invalid token",
    Cause::RefusedCredential,
    TOKEN
)]
#[case::environment_gone(
    Secrets,
    "401 Unauthorized",
    "Environment not found",
    Cause::NotFound,
    "environment is unknown to HOST/service/secrets/: check that it was not deleted meanwhile; the mount is retried automatically"
)]
#[case::service_account_without_access(
    Secrets,
    "401 Unauthorized",
    "Service account cannot access this environment",
    Cause::Forbidden,
    "account has no access to this environment at HOST/service/secrets/: give it access in the Phase console; the mount is retried automatically"
)]
#[case::user_without_access(
    Secrets,
    "403 Forbidden",
    "User cannot access this environment",
    Cause::Forbidden,
    "account has no access to this environment at HOST/service/secrets/: give it access in the Phase console; the mount is retried automatically"
)]
#[case::role(
    Secrets,
    "403 Forbidden",
    "You don't have permission to read secrets in this environment.",
    Cause::Forbidden,
    "role of this account may not read secrets at HOST/service/secrets/: give the account a role with that permission in the Phase console"
)]
#[case::network_policy(
    Secrets,
    "403 Forbidden",
    "Access denied: a network access policy restricts access from your IP address.",
    Cause::Forbidden,
    "network access policy of Phase keeps this node out of HOST/service/secrets/: add the address under which this node reaches Phase to the policy"
)]
#[case::bad_request(
    Secrets,
    "400 Bad Request",
    "do-not-repeat-this",
    Cause::MalformedAnswer,
    "HOST/service/secrets/ answered with status 400: check that the host is a Phase console of a supported version"
)]
#[case::not_found(
    Tokens,
    "404 Not Found",
    "do-not-repeat-this",
    Cause::MalformedAnswer,
    "HOST/service/secrets/tokens/ answered with status 404: check that the host is a Phase console of a supported version"
)]
#[case::only_200_is_success(
    Tokens,
    "201 Created",
    "x",
    Cause::MalformedAnswer,
    "HOST/service/secrets/tokens/ answered with status 201: check that the host is a Phase console of a supported version"
)]
#[tokio::test]
async fn a_refusal_is_final_and_says_what_to_do(
    #[case] ask: Ask,
    #[case] status: &str,
    #[case] text: &str,
    #[case] cause: Cause,
    #[case] expected: &str,
) {
    let server = Server::start([Reply::error(status, text)]).await;
    let error = error_of(ask, &server).await;
    assert_eq!(
        line(&error).replace(server.host().as_str(), "HOST"),
        expected
    );
    assert_eq!((error.cause(), server.requests().len()), (cause, 1));
}

#[rstest]
#[case::page("content-type: text/html\r\n", "<h1>Token expired or deleted</h1>".to_owned())]
#[case::other_json("content-type: application/json\r\n", r#"{"message": "forbidden"}"#.to_owned())]
#[case::endless("content-type: application/json\r\n", format!(r#"{{"error": "{}"}}"#, "x".repeat(100_000)))]
#[tokio::test]
async fn a_refusal_by_a_firewall_does_not_blame_the_token(
    #[case] headers: &str,
    #[case] body: String,
    #[values(Tokens, Secrets)] ask: Ask,
) {
    let server = Server::start([Reply::new("403 Forbidden", headers, &body)]).await;
    let error = error_of(ask, &server).await;
    assert!(line(&error).ends_with(FOREIGN), "{error}");
    assert_eq!(
        (error.cause(), server.requests().len()),
        (Cause::Unreachable, 1)
    );
}

#[rstest]
#[tokio::test]
async fn only_phases_own_words_blame_the_token(
    #[values(
        "Request blocked by WAF",
        "Token expired or deleted by firewall",
        "network access policy",
        "permission to read",
        "the token cannot access this environment",
        ""
    )]
    text: &str,
    #[values("401 Unauthorized", "403 Forbidden")] status: &str,
    #[values(Tokens, Secrets)] ask: Ask,
) {
    let server = Server::start([Reply::error(status, text)]).await;
    let error = error_of(ask, &server).await;
    assert!(line(&error).ends_with(UNCLEAR), "{error}");
    assert!(
        text.is_empty() || !error.to_string().contains(text),
        "{error}"
    );
    assert_eq!(
        (error.cause(), server.requests().len()),
        (Cause::Unreachable, 1)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_credential_stays() {
    let elsewhere = Server::start([Reply::json(NO_APPS)]).await;
    let location = format!("location: {}/take?it=1\r\n", elsewhere.host());
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let server = Server::start([Reply::new(status, &location, "")]).await;
        let error = error_of(Tokens, &server).await;
        assert_eq!(
            line(&error),
            format!(
                "{}/service/secrets/tokens/ redirects to {} and a credential follows no redirect: \
                 set the host to the console's final address",
                server.host(),
                elsewhere.host()
            )
        );
        assert_eq!(
            (error.cause(), server.requests().len()),
            (Cause::MalformedAnswer, 1)
        );
    }
    assert_eq!(
        (elsewhere.connections(), elsewhere.requests().len()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_redirect_without_a_readable_target_names_none() {
    for location in [
        "",
        "location: /login?next=secret\r\n",
        "location: https://u:pw@\r\n",
        "location: mailto:x\r\n",
    ] {
        let server = Server::start([Reply::new("302 Found", location, "")]).await;
        let error = error_of(Tokens, &server).await;
        assert_eq!(
            line(&error),
            format!(
                "{}/service/secrets/tokens/ redirects and a credential follows no redirect: \
                 set the host to the console's final address",
                server.host()
            )
        );
    }
}
