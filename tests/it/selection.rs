//! Names mean whole names: what the official client picks by parts is an error
//! here that lists what there is.

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::selection::{self, AppSelector, SelectionError};
use phase_csi_provider::phase::wire::TokensAnswer;
use serde_json::json;

use crate::support::replay::Recording;

fn recorded(file: &str) -> TokensAnswer {
    let recording = Recording::read(file);
    let body = recording.exchanges()[0]["response"]["body_json"].clone();
    serde_json::from_value(body).unwrap()
}

fn choose(
    answer: &TokensAnswer,
    app: &str,
    environment: &str,
) -> Result<(String, String), SelectionError> {
    let app = AppSelector::Name(app.to_owned()).choose(&answer.apps)?;
    let key = selection::environment(app, environment)?;
    Ok((app.name.clone(), key.environment.name.clone()))
}

#[test]
fn recorded_lookups_give_the_whole_name_or_an_error() {
    let recording = Recording::read("selection-go-sdk");
    let rows = recording.expected()["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 14);
    for row in rows {
        let file = match row["token"].as_str().unwrap() {
            "main" => "tokens-service-account",
            "dev-user" => "tokens-user-dev",
            "limited" => "tokens-service-account-limited",
            other => panic!("{other}"),
        };
        let (app, environment) = (
            row["app_name"].as_str().unwrap(),
            row["env_name"].as_str().unwrap(),
        );
        let found = choose(&recorded(file), app, environment);
        match &row["selected"][0] {
            selected if selected.is_array() => {
                let (its_app, its_environment) =
                    (selected[0].as_str().unwrap(), selected[1].as_str().unwrap());
                let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
                let whole =
                    same(app, its_app) && same(environment, its_environment) && app != "twin";
                match found {
                    Ok(found) => assert!(
                        whole && found == (its_app.to_owned(), its_environment.to_owned()),
                        "{row}"
                    ),
                    Err(_) => assert!(!whole, "{row}"),
                }
            }
            _ => assert!(found.is_err(), "{row}"),
        }
    }
}

#[test]
fn every_lookup_error_has_its_text() {
    let main = recorded("tokens-service-account");
    let text =
        |app: &str, environment: &str| choose(&main, app, environment).unwrap_err().to_string();
    assert_eq!(
        text("payments-api", "prod"),
        "environment \"prod\" not found in app \"payments-api\": it has Development, Production, Staging (names match whole, any case)"
    );
    assert!(text("pay", "Production").starts_with("app \"pay\" not found: the token can read "));
    let twins = text("twin", "Production");
    assert!(
        twins.starts_with("2 apps are named \"twin\": choose one by phaseAppId: ")
            && twins.matches('-').count() == 8,
        "{twins}"
    );
    let missing = AppSelector::Id("no-such-id".to_owned())
        .choose(&main.apps)
        .map(|_| ())
        .unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("app with id \"no-such-id\" not found: the token can read ")
    );
    assert_eq!(missing.cause(), Cause::NotFound);
    let nobody = recorded("tokens-empty-account");
    assert_eq!(
        choose(&nobody, "a", "b").unwrap_err().to_string(),
        "app \"a\" not found: the token's account can read no app at all: give it access in Phase"
    );
}

#[test]
fn ids_choose_between_twins() {
    let main = recorded("tokens-service-account");
    let twins: Vec<_> = main.apps.iter().filter(|app| app.name == "twin").collect();
    assert_eq!(twins.len(), 2);
    for twin in twins {
        let chosen = AppSelector::Id(twin.id.to_uppercase())
            .choose(&main.apps)
            .unwrap();
        assert_eq!(chosen.id, twin.id);
    }
}

#[test]
fn environments_of_one_name_are_an_error_that_lists_their_ids() {
    let recording = Recording::read("tokens-service-account");
    let mut body = recording.exchanges()[0]["response"]["body_json"].clone();
    let keys = body["apps"][0]["environment_keys"].as_array_mut().unwrap();
    let mut twin = keys[0].clone();
    twin["environment"]["id"] = json!("another-id");
    let name = twin["environment"]["name"].as_str().unwrap().to_uppercase();
    twin["environment"]["name"] = json!(name);
    keys.push(twin);
    let answer: TokensAnswer = serde_json::from_value(body).unwrap();
    let app = answer.apps[0].name.clone();
    let error = choose(&answer, &app, &name).unwrap_err();
    assert_eq!(error.cause(), Cause::InvalidClass);
    let text = error.to_string();
    assert!(
        text.contains("environments of app") && text.contains("another-id"),
        "{text}"
    );
}

#[test]
fn revoked_environment_keys_do_not_count() {
    let recording = Recording::read("tokens-service-account");
    let mut body = recording.exchanges()[0]["response"]["body_json"].clone();
    let key = &mut body["apps"][0]["environment_keys"][0];
    let name = key["environment"]["name"].as_str().unwrap().to_owned();
    key["deleted_at"] = json!("2026-11-23T19:39:35Z");
    let answer: TokensAnswer = serde_json::from_value(body).unwrap();
    let app = answer.apps[0].name.clone();
    assert!(matches!(
        choose(&answer, &app, &name),
        Err(SelectionError::UnknownEnvironment { .. })
    ));
}
