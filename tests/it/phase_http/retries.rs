//! What is asked again, and what is not.

use std::time::Instant;

use phase_csi_provider::cause::Cause;

use super::server::{Reply, Server, closed_port};
use super::*;

fn cut() -> Reply {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 39\r\n\r\n";
    Reply::Cut(format!("{head}{{\"wrapped").into())
}

fn throttled(retry_after: &str) -> Reply {
    let headers = format!("content-type: application/json\r\n{retry_after}");
    Reply::new(
        "429 Too Many Requests",
        &headers,
        r#"{"error": "Request was throttled."}"#,
    )
}

async fn asked_until_good(failures: impl IntoIterator<Item = Reply>) -> usize {
    let script = failures.into_iter().chain([Reply::json(NO_APPS)]);
    let server = Server::start(script).await;
    tokens(&client(), &server.host()).await.unwrap();
    server.requests().len()
}

async fn text_after(reply: Reply) -> (String, Cause, usize) {
    let server = Server::start([reply]).await;
    let error = tokens(&client(), &server.host()).await.unwrap_err();
    let text = line(&error).replace(server.host().as_str(), "HOST");
    (text, error.cause(), server.requests().len())
}

#[tokio::test]
async fn a_server_that_recovers_is_asked_until_it_answers() {
    let failed = Reply::new("503 Service Unavailable", "", "<html>");
    assert_eq!(
        asked_until_good([Reply::error("500 Oops", "x"), failed]).await,
        3
    );
}

#[tokio::test]
async fn a_cut_body_is_asked_for_again() {
    assert_eq!(asked_until_good([cut()]).await, 2);
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_replaced() {
    assert_eq!(asked_until_good([Reply::Cut(Vec::new())]).await, 2);
}

#[tokio::test]
async fn a_server_that_stays_down_is_asked_four_times() {
    assert_eq!(
        text_after(Reply::new("502 Bad Gateway", "", "<html>")).await,
        (
            "HOST/service/secrets/tokens/ failed with status 502: the mount is retried \
             automatically; if this stays, look at the logs of Phase"
                .into(),
            Cause::Unreachable,
            4
        )
    );
}

#[tokio::test]
async fn a_body_that_is_cut_every_time_is_told() {
    assert_eq!(
        text_after(cut()).await,
        (
            "HOST/service/secrets/tokens/ broke off its answer: the mount is retried \
             automatically; if this stays, look at the proxies between this node and Phase"
                .into(),
            Cause::Unreachable,
            4
        )
    );
}

#[tokio::test]
async fn a_connection_that_closes_every_time_is_told() {
    assert_eq!(
        text_after(Reply::Cut(Vec::new())).await,
        (
            "HOST/service/secrets/tokens/ closed the connection without an answer: the mount is \
             retried automatically; if this stays, look at the proxies between this node and Phase"
                .into(),
            Cause::Unreachable,
            4
        )
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_asked_again_on_its_own_time() {
    let server = Server::start([Reply::Stall]).await;
    let mut hasty = config();
    hasty.request_timeout = Duration::from_millis(100);
    hasty.retry.attempts = 2;
    let error = tokens(&Client::new(hasty).unwrap(), &server.host())
        .await
        .unwrap_err();
    assert_eq!(
        line(&error),
        format!(
            "{}/service/secrets/tokens/ gave no answer within 0.1 s: the mount is retried \
             automatically; if this stays, look at the load of Phase and the network between",
            server.host()
        )
    );
    assert_eq!(
        (error.cause(), server.requests().len()),
        (Cause::Unreachable, 2)
    );
}

#[tokio::test]
async fn a_mount_without_time_asks_nobody_for_long() {
    let server = Server::start([Reply::Stall]).await;
    let soon = Deadline::after(Duration::from_millis(100));
    let error = client()
        .tokens(&server.host(), &authorization(), soon)
        .await
        .unwrap_err();
    assert_eq!(
        (error.cause(), server.requests().len()),
        (Cause::Deadline, 1)
    );
}

#[tokio::test]
async fn a_wait_in_seconds_is_waited_out() {
    let begun = Instant::now();
    assert_eq!(asked_until_good([throttled("retry-after: 1\r\n")]).await, 2);
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_wait_until_a_date_counts_from_the_servers_own_clock() {
    let begun = Instant::now();
    let dates =
        "date: Mon, 23 Nov 2020 19:39:37 GMT\r\nretry-after: Mon, 23 Nov 2020 19:39:38 GMT\r\n";
    assert_eq!(asked_until_good([throttled(dates)]).await, 2);
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let past = "retry-after: Mon, 23 Nov 2020 19:39:38 GMT\r\n";
    assert_eq!(asked_until_good([throttled(past)]).await, 2);
}

#[tokio::test]
async fn a_busy_server_may_ask_to_wait_as_well() {
    let begun = Instant::now();
    let busy = Reply::new("503 Service Unavailable", "retry-after: 1\r\n", "");
    assert_eq!(asked_until_good([busy]).await, 2);
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_wait_that_does_not_fit_fails_at_once_and_is_named() {
    assert_eq!(
        text_after(throttled("retry-after: 600\r\n")).await,
        (
            "HOST/service/secrets/tokens/ limits the rate of requests and asks to wait 600 s: the \
             mount is retried automatically; if this stays, raise the limit in Phase or use fewer \
             tokens per node"
                .into(),
            Cause::RateLimited,
            1
        )
    );
}

#[tokio::test]
async fn a_throttled_request_without_a_time_is_not_made_again() {
    for header in ["", "retry-after: soon\r\n", "retry-after: -1\r\n"] {
        assert_eq!(
            text_after(throttled(header)).await,
            (
                "HOST/service/secrets/tokens/ limits the rate of requests: the mount is retried \
                 automatically; if this stays, raise the limit in Phase or use fewer tokens per node"
                    .into(),
                Cause::RateLimited,
                1
            ),
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_console_that_is_just_starting_is_waited_for() {
    let (port, host) = closed_port();
    let mut patient = config();
    patient.retry = Retry {
        attempts: u32::MAX,
        base: Duration::from_millis(5),
        cap: Duration::from_millis(5),
    };
    let client = Client::new(patient).unwrap();
    let listening = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Server::on(port.listen(16).unwrap(), None, [Reply::json(NO_APPS)])
    };
    let (server, asked) = tokio::join!(listening, tokens(&client, &host));
    asked.unwrap();
    assert_eq!(server.requests().len(), 1);
}
