//! What each status and text of the server means to us.

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::client::Authorization;
use secrecy::SecretString;
use serde_json::Value;

use super::Caller;
use crate::support::replay::{Recording, Replay, has_body};
use crate::support::text;

/// Whatever was asked when it was recorded, each answer has its one meaning for
/// the endpoint that it came from.
pub(super) async fn answers_mean_their_causes(recording: &Recording) {
    let mut seen = 0;
    for exchange in recording.exchanges() {
        let response = &exchange["response"];
        let readable = has_body(exchange) || response["body_text"].is_string();
        let Some(expected) = meaning(exchange).filter(|_| readable) else {
            continue;
        };
        seen += 1;
        let replay = Replay::in_order(std::slice::from_ref(exchange)).await;
        let caller = Caller::to(&replay);
        let bearer = SecretString::from("00");
        let authorization = Authorization::new("ServiceAccount", &bearer).unwrap();
        let of_tokens = text(&exchange["request"], "path").contains("/tokens/");
        let result = if of_tokens {
            let answer = caller
                .client
                .tokens(&caller.host, &authorization, Caller::deadline());
            answer.await.map(|_| ())
        } else {
            let answer =
                caller
                    .client
                    .secrets(&caller.host, &authorization, "x", Caller::deadline());
            answer.await.map(|_| ())
        };
        assert_eq!(
            result.map_err(|error| error.cause()),
            expected,
            "{exchange}"
        );
    }
    assert!(seen > 0, "{} shows nothing", recording.file);
}

fn is_row(row: &Value) -> bool {
    row["key_digest"].is_string() || row["type"] == "dynamic"
}

/// What an answer means to us; nothing where the method is not ours.
fn meaning(exchange: &Value) -> Option<Result<(), Cause>> {
    let (request, response) = (&exchange["request"], &exchange["response"]);
    let of_tokens = text(request, "path").contains("/tokens/");
    let error = response["body_json"]["error"].as_str().unwrap_or_default();
    Some(match response["status"].as_u64()? {
        200 => match &response["body_json"] {
            Value::Array(rows) if rows.iter().all(is_row) => Ok(()),
            Value::Object(answer) if of_tokens && answer.contains_key("apps") => Ok(()),
            _ => Err(Cause::MalformedAnswer),
        },
        401 | 403 => Err(match error {
            "Token expired or deleted" | "Invalid token" => Cause::RefusedCredential,
            "Environment not found" => Cause::NotFound,
            _ if error.contains("cannot access this environment") => Cause::Forbidden,
            _ if error.contains("permission to read") => Cause::Forbidden,
            _ if error.contains("network access policy") => Cause::Forbidden,
            // Nothing that our questions are answered with; a firewall may say as much.
            _ => Cause::Unreachable,
        }),
        404 => Err(Cause::MalformedAnswer),
        429 => Err(Cause::RateLimited),
        500.. => Err(Cause::Unreachable),
        _ => Err(Cause::MalformedAnswer),
    })
    .filter(|_| request["method"] != "HEAD")
}
