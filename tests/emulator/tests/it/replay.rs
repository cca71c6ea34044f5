//! Sends recorded requests again and says what differs.

use crate::compare::differences;
use crate::raw::{Answer, send};
use crate::recorded;
use phase_emulator::{Control, Emulator, Options};
use serde_json::Value;

/// Headers of the connection and of the program that answers, not of the protocol.
const NOT_COMPARED: [&str; 5] = [
    "connection",
    "content-length",
    "date",
    "server",
    "set-cookie",
];

pub(crate) async fn start() -> (Emulator, Control) {
    let emulator = Emulator::start(Options::new(recorded::seed()))
        .await
        .unwrap();
    let control = emulator.control();
    (emulator, control)
}

pub(crate) async fn replay(emulator: &Emulator, request: &Value) -> Answer {
    let headers: Vec<(String, String)> =
        serde_json::from_value(request["headers"].clone()).unwrap();
    let [method, path, body] =
        ["method", "path", "body"].map(|field| request[field].as_str().unwrap_or_default());
    send(&emulator.url(), method, path, &headers, body).await
}

/// What differs between a recorded answer and ours.
pub(crate) fn compared(recorded: &Value, ours: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if recorded["status"] != ours.status {
        found.push(format!(
            "status: recorded {}, here {}",
            recorded["status"], ours.status
        ));
    }
    found.extend(compared_headers(recorded, ours));
    let page = ours
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"));
    // The browsable page of a 200 is not imitated; the page of a 404 is.
    if page && ours.status == 200 {
        return found;
    }
    if let Some(text) = recorded["body_text"]
        .as_str()
        .filter(|text| !text.is_empty())
    {
        found.extend((text.as_bytes() != ours.body).then(|| "body: another text".to_owned()));
    }
    if recorded["body_json"].is_object() || recorded["body_json"].is_array() {
        match serde_json::from_slice(&ours.body) {
            Ok(body) => found.extend(differences(&cut_alike(recorded, &body), &body)),
            // The body of an answer to HEAD is recorded, though it is not sent.
            Err(_) if ours.body.is_empty() => {}
            Err(error) => found.push(format!("body: {error}")),
        }
    }
    let length = ours
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(ours.body.len());
    if recorded["body_bytes"] != length {
        found.push(format!(
            "length: recorded {}, here {length}",
            recorded["body_bytes"]
        ));
    }
    found
}

/// Some recorded lists were cut to their first element; then only that one is compared.
fn cut_alike(recorded: &Value, ours: &Value) -> Value {
    let body = &recorded["body_json"];
    let (Some(rows), Some(all)) = (body.as_array(), ours.as_array()) else {
        return body.clone();
    };
    let cut = rows.len() == 1 && all.len() > 1;
    if !cut {
        return body.clone();
    }
    all.iter()
        .map(|row| {
            if row["id"] == rows[0]["id"] {
                rows[0].clone()
            } else {
                row.clone()
            }
        })
        .collect()
}

fn compared_headers(recorded: &Value, ours: &Answer) -> Vec<String> {
    let headers: Vec<(String, String)> =
        serde_json::from_value(recorded["headers"].clone()).unwrap();
    let matters = |name: &str| !NOT_COMPARED.contains(&name.to_lowercase().as_str());
    let mut found = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| matters(name)) {
        match ours.header(name) {
            Some(here) if here == value => {}
            here => found.push(format!("header {name}: recorded {value:?}, here {here:?}")),
        }
    }
    let known = |name: &str| {
        headers
            .iter()
            .any(|(recorded, _)| recorded.eq_ignore_ascii_case(name))
    };
    let surplus = ours
        .headers
        .iter()
        .filter(|(name, _)| matters(name) && !known(name));
    found.extend(surplus.map(|(name, _)| format!("header {name}: not recorded")));
    found
}

pub(crate) fn with_token(request: &Value, token: &str) -> Value {
    let mut request = request.clone();
    let authorization = format!("Bearer ServiceAccount {}", token.split(':').nth(2).unwrap());
    for pair in request["headers"].as_array_mut().unwrap() {
        if pair[0] == "Authorization" {
            pair[1] = authorization.as_str().into();
        }
    }
    request
}

/// The recorded refusal with the seconds of ours, which depend on how fast this machine is.
pub(crate) fn with_wait(recorded: &Value, wait: Option<&str>) -> Value {
    let Some(wait) = wait else {
        return recorded.clone();
    };
    assert!((10..=60).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    let text = recorded
        .to_string()
        .replace("60 seconds", &format!("{wait} seconds"));
    serde_json::from_str(&text.replace(
        "[\"Retry-After\",\"60\"]",
        &format!("[\"Retry-After\",\"{wait}\"]"),
    ))
    .unwrap()
}
