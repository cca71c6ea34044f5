//! What the server answers: the rules of each endpoint in the order in which the real server applies them.

use crate::address;
use crate::answer::{Answer, View};
use crate::organisation::{Account, Organisation, Place, Row, folder};
use crate::request::{Ask, Credential, Route};
use crate::seed::AccountKind;
use crate::state::State;
use crate::wire::TokensBody;
use http::{Method, StatusCode};
use std::collections::HashMap;
use std::time::Instant;

/// The version of the backend whose answers these are.
const HEALTH: &str = r#"{"status": "alive", "version": "v2.73.2"}"#;

const PUBLIC: &str = "{\"message\": \"API is alive. Please see https://docs.phase.dev/public-api for documentation \
    on available endpoints.\", \"status\": \"ok\"}";

const DEAD_TOKEN: &str = "Token expired or deleted";

/// Answers `ask`; with `stranger`, everything encrypted is encrypted for someone else.
pub(crate) fn answer(state: &State, ask: &Ask, body: &[u8], stranger: bool) -> Answer {
    let route = Route::of(&ask.path);
    match route {
        Route::Health => Answer::plain(View::Health, StatusCode::OK, HEALTH),
        Route::HealthById => Answer::plain(View::HealthById, StatusCode::OK, HEALTH),
        Route::Public => Answer::plain(View::Public, StatusCode::OK, PUBLIC),
        Route::NotServed => not_served(View::Public),
        Route::Unknown => Answer::not_found(),
        Route::Identity => identity(state, ask, body),
        Route::Secrets => formed(ask, View::Secrets, || secrets(state, ask, stranger)),
        Route::Tokens => formed(ask, View::Tokens, || tokens(state, ask, stranger)),
    }
}

/// The form of the answer is settled before anything else is looked at.
fn formed(ask: &Ask, view: View, answer: impl FnOnce() -> Result<Answer, Answer>) -> Answer {
    let camel = ask
        .header("x-use-camel-case")
        .is_some_and(|value| value == "true");
    match ask.form() {
        Some(form) => answer()
            .unwrap_or_else(|refusal| refusal)
            .formed(form, camel),
        None => Answer::error(
            view,
            StatusCode::NOT_ACCEPTABLE,
            "Could not satisfy the request Accept header.",
        ),
    }
}

fn tokens(state: &State, ask: &Ask, stranger: bool) -> Result<Answer, Answer> {
    let caller = format!("address {}", address::caller(&ask.headers, ask.peer));
    throttle(state, View::Tokens, &caller)?;
    if ![Method::GET, Method::HEAD].contains(&ask.method) {
        return Err(wrong_method(View::Tokens, &ask.method));
    }
    let organisation = state.organisation();
    let dead = || Answer::plain_error(View::Tokens, StatusCode::FORBIDDEN, DEAD_TOKEN);
    let (kind, bearer) = match ask.credential() {
        Credential::Token { kind, bearer } => (kind, bearer),
        Credential::Absent => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(Answer::plain_error(
                View::Tokens,
                status,
                "Internal server error.",
            ));
        }
        Credential::Empty | Credential::Malformed => return Err(dead()),
    };
    let (account, token) = organisation.authenticate(kind, bearer).ok_or_else(dead)?;
    let body = TokensBody::new(&organisation, account, token);
    let body = if stranger {
        body.for_a_stranger()
    } else {
        body
    };
    let json = serde_json::to_vec(&body).expect("plain structs of text have a JSON form");
    Ok(Answer::json(View::Tokens, StatusCode::OK, json))
}

fn secrets(state: &State, ask: &Ask, stranger: bool) -> Result<Answer, Answer> {
    let organisation = state.organisation();
    let account = authenticate(&organisation, ask)?;
    let place = environment(&organisation, account, ask)?;
    admit(account, ask)?;
    throttle(state, View::Secrets, &format!("account {}", account.id))?;
    if !account.may_read_secrets {
        return Err(forbidden(
            "You don't have permission to read secrets in this environment.",
        ));
    }
    let rows = rows(&organisation, account, place, ask, stranger);
    state.counters.audit(rows.len());
    let mut rows = rows;
    rows.extend(dynamic(&organisation, place, ask));
    let body = format!("[{}]", rows.join(","));
    Ok(Answer::json(View::Secrets, StatusCode::OK, body))
}

fn authenticate<'a>(organisation: &'a Organisation, ask: &Ask) -> Result<&'a Account, Answer> {
    let (kind, bearer) = match ask.credential() {
        Credential::Token { kind, bearer } => (kind, bearer),
        Credential::Absent | Credential::Empty => {
            return Err(Answer::unauthorized(
                "Authentication credentials were not provided.",
            ));
        }
        Credential::Malformed => return Err(Answer::unauthorized("Invalid token")),
    };
    let (account, _) = organisation
        .authenticate(kind, bearer)
        .ok_or_else(|| Answer::unauthorized(DEAD_TOKEN))?;
    Ok(account)
}

/// The environment of the header, else of the query, if `account` may read it.
fn environment(organisation: &Organisation, account: &Account, ask: &Ask) -> Result<Place, Answer> {
    let place = match ask.header("environment").filter(|id| !id.is_empty()) {
        Some(id) => organisation
            .place_of_id(&id)
            .ok_or_else(|| Answer::unauthorized("Environment not found"))?,
        None => environment_of_query(organisation, account, &ask.query)?,
    };
    match (account.reads(place), account.kind) {
        (true, _) => Ok(place),
        (false, AccountKind::Legacy) => Err(Answer::unauthorized(
            "Service token cannot access this environment",
        )),
        (false, AccountKind::Service) => Err(Answer::unauthorized(
            "Service account cannot access this environment",
        )),
        (false, AccountKind::User) => Err(forbidden("User cannot access this environment")),
    }
}

fn environment_of_query(
    organisation: &Organisation,
    account: &Account,
    query: &str,
) -> Result<Place, Answer> {
    let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let given = |name| query.get(name).filter(|value| !value.is_empty());
    let (Some(app), Some(name)) = (given("app_id"), given("env")) else {
        return Err(match account.kind {
            AccountKind::Legacy => {
                Answer::unauthorized("Service tokens require an environment context")
            }
            _ => forbidden(
                "Environment context required. Supply `app_id` and `env` as query parameters.",
            ),
        });
    };
    let missing = |text: String| Answer::error(View::Secrets, StatusCode::NOT_FOUND, &text);
    if !organisation.apps.iter().any(|known| &known.id == app) {
        return Err(missing(format!("App with ID {app} not found")));
    }
    let place = organisation.place(app, name).ok();
    // By name only: an id in the query leads nowhere.
    let place = place.filter(|place| organisation.environment(*place).id != *name);
    place.ok_or_else(|| missing(format!("Environment '{name}' not found in App {app}")))
}

/// The network access policy, then the method.
fn admit(account: &Account, ask: &Ask) -> Result<(), Answer> {
    let origin = address::origin(&ask.headers, ask.peer);
    let blocked = account
        .allowed
        .as_ref()
        .is_some_and(|allowed| !allowed.iter().any(|block| block.holds(origin)));
    if blocked {
        return Err(forbidden(
            "Access denied: a network access policy restricts access from your IP address.",
        ));
    }
    match ask.method {
        Method::GET => Ok(()),
        Method::DELETE | Method::OPTIONS | Method::POST | Method::PUT => {
            Err(not_served(View::Secrets))
        }
        _ => Err(forbidden(&format!(
            "Unsupported HTTP method: {}",
            ask.method
        ))),
    }
}

/// The list of rows that the headers leave over; a row with two of the wanted tags comes twice.
fn rows(
    organisation: &Organisation,
    account: &Account,
    place: Place,
    ask: &Ask,
    stranger: bool,
) -> Vec<String> {
    let environment = organisation.environment(place);
    let path = ask
        .header("path")
        .filter(|path| !path.is_empty())
        .map(|path| folder(&path));
    let digest = ask.header("keydigest").filter(|digest| !digest.is_empty());
    let tags = ask.header("tags").filter(|tags| !tags.is_empty());
    let wanted = |row: &&Row| {
        path.as_ref().is_none_or(|path| *path == row.secret.path)
            && digest
                .as_ref()
                .is_none_or(|digest| digest == row.digest(environment))
    };
    let json = |row: &Row| match account.kind {
        _ if stranger => row.json_for_a_stranger(environment),
        AccountKind::User if row.secret.overrides.contains_key(&account.name) => {
            row.json_for(environment, &account.name)
        }
        _ => row.json(environment).to_owned(),
    };
    let times = |row: &Row| {
        tags.as_ref()
            .map_or(1, |tags| count(tags, &row.secret.tags))
    };
    let kept = environment.rows().iter().filter(wanted);
    let listed = kept.flat_map(|row| std::iter::repeat_with(move || json(row)).take(times(row)));
    listed.collect()
}

/// Dynamic secrets for whoever asks for them; digests and tags leave none out.
fn dynamic(organisation: &Organisation, place: Place, ask: &Ask) -> Vec<String> {
    let names = ["dynamic", "include-dynamic"];
    let mut asked = names.into_iter().filter_map(|name| ask.header(name));
    if !asked.any(|value| value != "false") {
        return Vec::new();
    }
    let path = ask.header("path").filter(|path| !path.is_empty());
    let path = path.map(|path| folder(&path));
    organisation.environment(place).dynamic(path.as_deref())
}

fn count(wanted: &str, tags: &[String]) -> usize {
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    tags.iter()
        .filter(|tag| wanted.contains(&tag.as_str()))
        .count()
}

/// No account here has a cloud identity attached, so every exchange ends in one of these refusals.
fn identity(state: &State, ask: &Ask, body: &[u8]) -> Answer {
    let caller = format!("address {}", address::caller(&ask.headers, ask.peer));
    if let Err(refusal) = throttle(state, View::Identity, &caller) {
        return refusal;
    }
    if ask.method != Method::POST {
        return wrong_method(View::Identity, &ask.method);
    }
    let refuse = |status, text| Answer::plain_error(View::Identity, status, text);
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
        return refuse(StatusCode::BAD_REQUEST, "Invalid JSON");
    };
    let account = &body["account"];
    if account["type"] != "service" {
        return refuse(
            StatusCode::BAD_REQUEST,
            "Only service account authentication is supported.",
        );
    }
    let organisation = state.organisation();
    let known = organisation
        .accounts
        .iter()
        .any(|known| account["id"] == known.id.as_str());
    let aws = ask.path.contains("/aws/");
    refuse(
        StatusCode::NOT_FOUND,
        match (known, aws) {
            (false, _) => "Service account not found",
            (true, true) => "No AWS IAM identity attached to this account",
            (true, false) => "No Azure identity attached to this account",
        },
    )
}

fn throttle(state: &State, view: View, caller: &str) -> Result<(), Answer> {
    let admitted = state.throttle().admit(caller, Instant::now());
    admitted.map_err(|wait| Answer::throttled(view, wait))
}

fn wrong_method(view: View, method: &Method) -> Answer {
    let text = format!("Method \"{method}\" not allowed.");
    Answer::error(view, StatusCode::METHOD_NOT_ALLOWED, &text)
}

fn forbidden(text: &str) -> Answer {
    Answer::error(View::Secrets, StatusCode::FORBIDDEN, text)
}

fn not_served(view: View) -> Answer {
    Answer::error(
        view,
        StatusCode::NOT_IMPLEMENTED,
        "phase-emulator does not serve this part of Phase: see its README",
    )
}
