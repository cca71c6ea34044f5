//! Names mean whole names: what the official client picks by parts is an error
//! here that lists what there is.

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::directory::Directory;
use phase_csi_provider::phase::selection::{self, AppSelector, SelectionError};
use serde_json::json;

use crate::support::replay::Recording;

fn recorded(file: &str) -> Directory {
    let recording = Recording::read(file);
    let body = recording.exchanges()[0]["response"]["body_json"].clone();
    serde_json::from_value(body).unwrap()
}

fn choose(
    directory: &Directory,
    app: &str,
    environment: &str,
) -> Result<(String, String), SelectionError> {
    let app = AppSelector::Name(app.to_owned()).choose(directory)?;
    let key = selection::environment(directory, app, environment)?;
    let app = &directory.answer().apps[key.app as usize];
    let key = &app.environment_keys[key.key as usize];
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
        .choose(&main)
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
    let apps = &main.answer().apps;
    let twins: Vec<_> = apps.iter().filter(|app| app.name == "twin").collect();
    assert_eq!(twins.len(), 2);
    for twin in twins {
        let chosen = AppSelector::Id(twin.id.to_uppercase())
            .choose(&main)
            .unwrap();
        assert_eq!(apps[chosen as usize].id, twin.id);
    }
}

/// Apps with these names, in this order, each with environments of these names; ids
/// are numbers.
fn made(apps: &[(&str, &[&str])]) -> Directory {
    let mut number = 0;
    let mut id = || {
        number += 1;
        format!("id-{number}")
    };
    let mut key = |name: &str| {
        let environment = json!({"id": id(), "name": name});
        json!({"environment": environment, "wrapped_seed": "s", "wrapped_salt": "s"})
    };
    let apps: Vec<_> = (1..)
        .zip(apps)
        .map(|(number, (name, environments))| {
            let keys: Vec<_> = environments.iter().map(|name| key(name)).collect();
            json!({"id": format!("app-{number}"), "name": name, "environment_keys": keys})
        })
        .collect();
    serde_json::from_value(json!({"wrapped_key_share": "", "apps": apps})).unwrap()
}

#[test]
fn a_name_as_it_is_written_wins_over_those_that_differ_in_case() {
    let environments = ["Prod", "PROD", "dev"];
    let all = made(&[
        ("shop", &environments),
        ("Shop", &environments),
        ("Other", &[]),
    ]);
    for app in ["shop", "Shop"] {
        for environment in environments {
            let found = choose(&all, app, environment).unwrap();
            assert_eq!(found, (app.to_owned(), environment.to_owned()));
        }
        assert_eq!(choose(&all, app, "DEV").unwrap().1, "dev");
    }
    let apps = choose(&all, "SHOP", "dev").unwrap_err();
    assert_eq!(
        apps.to_string(),
        "2 apps are named \"SHOP\": choose one by phaseAppId: app-1, app-2"
    );
    let environments = choose(&all, "shop", "prod").unwrap_err();
    assert_eq!(
        environments.to_string(),
        "2 environments of app \"shop\" are named \"prod\": rename one in Phase: id-1, id-2"
    );
    for error in [apps, environments] {
        assert_eq!(error.cause(), Cause::InvalidClass);
    }
    let other = AppSelector::Name("oTHER".to_owned()).choose(&all);
    assert_eq!(other, Ok(2), "only one app is named so in any case");
}

#[test]
fn environments_of_one_name_are_an_error_that_lists_their_ids() {
    let twins = made(&[("shop", &["prod", "prod", "Prod"])]);
    let error = choose(&twins, "shop", "prod").unwrap_err();
    assert_eq!(error.cause(), Cause::InvalidClass);
    assert_eq!(
        error.to_string(),
        "2 environments of app \"shop\" are named \"prod\": rename one in Phase: id-1, id-2"
    );
    assert_eq!(choose(&twins, "shop", "Prod").unwrap().1, "Prod");
}

#[test]
fn an_error_shows_few_names_and_little_of_a_long_one() {
    let names: Vec<_> = (10..30).map(|number| format!("app{number}")).collect();
    let mut apps: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), &[] as &[&str]))
        .collect();
    let long = "a".repeat(100_000);
    apps.push((&long, &[]));
    let text = choose(&made(&apps), &"x".repeat(5_000), "prod")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("…, app10, app11, app12, app13, app14, app15, app16 and 13 more"),
        "{text}"
    );
    assert!(text.len() < 600, "{} bytes", text.len());
}

#[test]
fn revoked_environment_keys_do_not_count() {
    let recording = Recording::read("tokens-service-account");
    let mut body = recording.exchanges()[0]["response"]["body_json"].clone();
    let key = &mut body["apps"][0]["environment_keys"][0];
    let name = key["environment"]["name"].as_str().unwrap().to_owned();
    key["deleted_at"] = json!("2026-11-23T19:39:35Z");
    let answer: Directory = serde_json::from_value(body).unwrap();
    let app = answer.answer().apps[0].name.clone();
    assert!(matches!(
        choose(&answer, &app, &name),
        Err(SelectionError::UnknownEnvironment { .. })
    ));
}
