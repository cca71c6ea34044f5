//! What is made of answers that no server of Phase's own gives: opened here, without a
//! network between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::directory::Directory;
use phase_csi_provider::phase::environment::{Filter, Table};
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::phase::keys::Keys;
use phase_csi_provider::phase::selection::AppSelector;
use phase_csi_provider::phase::token::Token;
use phase_csi_provider::phase::wire::EnvironmentKey;
use phase_csi_provider::phase::{
    self, Answer, EnvironmentRows, Error, OnReferenceError, Query, Selection, Source,
};
use phase_csi_provider::quota::{Allowance, Budget, Limits, Pool, Tenant, Unit};
use phase_emulator::{Seed, Unplugged};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// What Phase answers, after somebody changed it.
struct Changed {
    token: Token,
    tokens: Value,
    rows: Value,
}

impl Changed {
    /// Of an app `a` with one environment of these secrets.
    fn of(secrets: Value) -> Self {
        Self::with(secrets, json!([]))
    }

    /// The same with dynamic secrets beside them.
    fn with(secrets: Value, dynamic: Value) -> Self {
        let environment = json!({"name": "production", "secrets": secrets, "dynamic": dynamic});
        let seed = json!({
            "apps": [{"name": "a", "environments": [environment]}],
            "accounts": [{"name": "ci"}],
        });
        let phase = Unplugged::new(Seed::from_yaml(&seed.to_string()).unwrap()).unwrap();
        let text = SecretString::from(phase.control().token("ci").unwrap());
        let token = Token::parse(&text).unwrap();
        let authorization = token.authorization().unwrap();
        let header = authorization.header().to_str().unwrap().to_owned();
        let ask = |environment: Option<&str>| -> Value {
            serde_json::from_slice(&phase.ask(&header, environment, false).body).unwrap()
        };
        let tokens = ask(None);
        let id = &tokens["apps"][0]["environment_keys"][0]["environment"]["id"];
        Self {
            rows: ask(id.as_str()),
            tokens,
            token,
        }
    }

    async fn open(
        &self,
        work: Allowance,
        filter: &[Filter],
        mode: OnReferenceError,
    ) -> Result<Answer, Error> {
        let directory: Directory = serde_json::from_value(self.tokens.clone()).unwrap();
        let selections = filter.iter().map(|filter| Selection {
            environment: "production".to_owned(),
            filter: filter.clone(),
        });
        let query = Query {
            host: "https://phase.test".parse().unwrap(),
            app: AppSelector::Name("a".to_owned()),
            selections: selections.collect(),
            on_reference_error: mode,
        };
        phase::open(&work, &self.token, &Arc::new(directory), &query, self).await
    }

    async fn all(&self) -> Result<BTreeMap<String, String>, Error> {
        let all = [filter(Keys::All)];
        let answer = self.open(Allowance::alone(), &all, OnReferenceError::Fail);
        Ok(texts(&answer.await?))
    }
}

impl Source for Changed {
    fn rows<'a>(&'a self, _: &'a EnvironmentKey) -> BoxFuture<'a, Result<EnvironmentRows, Error>> {
        let table: Table = serde_json::from_value(self.rows.clone()).unwrap();
        let rows = EnvironmentRows {
            table: Arc::new(table),
            agreed: Arc::default(),
        };
        async { Ok(rows) }.boxed()
    }
}

fn filter(keys: Keys) -> Filter {
    Filter {
        folder: Folder::root(),
        recursive: true,
        tags: Vec::new(),
        keys,
    }
}

fn one(key: &str) -> Filter {
    filter(Keys::One(key.to_owned()))
}

fn texts(answer: &Answer) -> BTreeMap<String, String> {
    let secrets = answer
        .selected
        .iter()
        .flat_map(|selected| &selected.secrets);
    secrets
        .map(|secret| (secret.key.clone(), secret.value.expose_secret().to_owned()))
        .collect()
}

fn secret(key: &str, value: &str) -> Value {
    json!({"key": key, "value": value})
}

/// Work of one namespace within these bounds.
fn bounded(bytes: u64, time: Duration) -> Allowance {
    let tenant = Tenant::new("shop");
    let memory = Budget::new(Limits {
        what: "memory for opened secrets",
        unit: Unit::Bytes,
        each: bytes,
        tenant: bytes,
        total: 2 * bytes,
    });
    Allowance {
        job: Pool::new(2, time).job(&tenant),
        memory: memory.meter(&tenant),
    }
}

const LONG: Duration = Duration::from_secs(3_600);

/// Whoever can change what the server sends can let one key's digest stand at another
/// secret: the key that is sealed in the row tells.
#[tokio::test]
async fn a_key_found_by_its_digest_is_the_one_that_is_sealed() {
    let mut phase = Changed::of(json!([
        secret("ADMIN", "canary"),
        secret("GUEST", "guest"),
        secret("URL", "as ${GUEST}"),
    ]));
    assert_eq!(phase.all().await.unwrap()["URL"], "as guest");
    let rows = phase.rows.as_array_mut().unwrap();
    let digest = |rows: &[Value], at: usize| rows[at]["key_digest"].clone();
    let (admin, guest) = (digest(rows, 0), digest(rows, 1));
    (rows[0]["key_digest"], rows[1]["key_digest"]) = (guest, admin);
    let said = "secret \"GUEST\" is another one than Phase lists it as: folder \"/\" of environment \"production\" in app \"a\": write it again in Phase; if that does not help, ask who runs Phase whether its data was changed";
    // By a reference to what was opened anyway, by one to what was not, and by name.
    for filters in [
        vec![filter(Keys::All)],
        vec![one("URL")],
        vec![one("GUEST")],
    ] {
        for mode in [OnReferenceError::Fail, OnReferenceError::Warn] {
            let opened = phase.open(Allowance::alone(), &filters, mode).await;
            let error = opened.map(|answer| texts(&answer)).unwrap_err();
            assert_eq!(error.to_string(), said);
            assert_eq!(error.cause(), Cause::Undecryptable);
        }
    }
}

/// The seed of an environment that is not the one it is listed as opens nothing.
#[tokio::test]
async fn an_environment_must_have_the_key_that_it_is_listed_with() {
    let mut phase = Changed::of(json!([secret("KEY", "value")]));
    phase.all().await.unwrap();
    let key = &mut phase.tokens["apps"][0]["environment_keys"][0];
    key["identity_key"] = json!("ab".repeat(32));
    let error = phase.all().await.unwrap_err();
    assert_eq!(error.cause(), Cause::Undecryptable);
    assert_eq!(
        error.to_string(),
        "keys of environment \"production\" in app \"a\" do not open with this token: remove and add the account's access to it in Phase"
    );
}

#[tokio::test]
async fn dynamic_secrets_are_told_of_and_left_out() {
    let phase = Changed::with(
        json!([
            secret("KEY", "value"),
            secret("USER", "${AWS_USER} ${/other/GONE}")
        ]),
        json!([
            {"name": "deploy", "keys": ["AWS_USER", "AWS_KEY"]},
            {"name": "elsewhere", "path": "/other", "keys": ["AWS_USER"]},
        ]),
    );
    let top = Filter {
        recursive: false,
        ..filter(Keys::All)
    };
    let answer = phase
        .open(Allowance::alone(), &[top], OnReferenceError::Warn)
        .await
        .unwrap();
    assert_eq!(texts(&answer).len(), 2, "they have no values");
    assert_eq!(
        answer.warnings(),
        [
            "${AWS_USER} in secret \"USER\" of folder \"/\" cannot be resolved: \"AWS_USER\" in folder \"/\" of environment \"production\" in app \"a\" is a key of a dynamic secret, which is not served yet: mend it, or keep its text with onSecretReferenceError: Warn",
            "${/other/GONE} in secret \"USER\" of folder \"/\" cannot be resolved: there is no \"GONE\" in folder \"/other\" of environment \"production\" in app \"a\": mend it, or keep its text with onSecretReferenceError: Warn",
            "dynamic secret \"deploy\" in folder \"/\" of environment \"production\" is not served yet: its keys are left out",
        ]
    );
    let both = [one("AWS_USER"), one("AWS_KEY"), one("KEY")];
    let answer = phase
        .open(Allowance::alone(), &both, OnReferenceError::Warn)
        .await
        .unwrap();
    let counts: Vec<_> = answer
        .selected
        .iter()
        .map(|one| (one.secrets.len(), one.dynamic.len()))
        .collect();
    assert_eq!(counts, [(0, 2), (0, 1), (1, 0)]);
}

#[tokio::test]
async fn one_key_in_all_folders_is_found_by_its_digest_and_no_other_is_opened() {
    let phase = Changed::of(json!([
        secret("A", "at the top"),
        json!({"path": "/x", "key": "A", "value": "in x"}),
        secret("LARGE", &"x".repeat(100_000)),
    ]));
    let work = bounded(10_000, LONG);
    let answer = phase
        .open(work, &[one("A")], OnReferenceError::Fail)
        .await
        .unwrap();
    assert_eq!(answer.selected[0].secrets.len(), 2);
}

/// Counted before it is opened, and given back with the answer.
#[tokio::test]
async fn what_is_opened_is_counted_and_bounded() {
    let value = "0123456789".repeat(1_000);
    let many = |count: usize| {
        let all = (0..count).map(|number| secret(&format!("K{number}"), &value));
        Changed::of(Value::from(all.collect::<Vec<_>>()))
    };
    let few = many(5);
    let work = bounded(100_000, LONG);
    let memory = work.memory.clone();
    let all = [filter(Keys::All)];
    let answer = few.open(work, &all, OnReferenceError::Fail).await.unwrap();
    assert!(
        (50_000..60_000).contains(&memory.used()),
        "{}",
        memory.used()
    );
    drop(answer);
    // More than one piece, so on several threads.
    for count in [20, 100] {
        let phase = many(count);
        let opened = phase.open(bounded(100_000, LONG), &all, OnReferenceError::Fail);
        let error = opened.await.map(|answer| texts(&answer)).unwrap_err();
        assert_eq!(error.cause(), Cause::TooLarge);
        let text = error.to_string();
        assert!(
            text.starts_with("memory for opened secrets: at most 98 KiB for one class, "),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_references_make_is_counted_where_memory_is_short() {
    let phase = Changed::of(json!([
        secret("A", &"0123456789".repeat(1_000)),
        secret("B", &"${A}".repeat(50)),
    ]));
    let all = [filter(Keys::All)];
    let opened = phase.open(bounded(100_000, LONG), &all, OnReferenceError::Fail);
    let text = opened
        .await
        .map(|answer| texts(&answer))
        .unwrap_err()
        .to_string();
    assert!(
        text.ends_with(
            "are in use and 489 KiB more are needed: select fewer secrets, or make two classes"
        ),
        "{text}"
    );
}

/// Each reference was compared with every app that the token can read.
#[tokio::test]
async fn references_among_very_many_apps_take_little_of_the_processor() {
    const APPS: usize = 100_000;
    let references = |from: usize| {
        let each = (from..from + 2_000).map(|number| format!("${{APP{number}::production.X}}"));
        each.collect::<String>()
    };
    let values = (0..5).map(|number| secret(&format!("B{number}"), &references(number * 2_000)));
    let mut phase = Changed::of(Value::from(values.collect::<Vec<_>>()));
    let apps = phase.tokens["apps"].as_array_mut().unwrap();
    apps.extend(
        (0..APPS)
            .map(|number| json!({"id": format!("id-{number}"), "name": format!("app{number}")})),
    );
    // In a test build, on a busy machine; the comparison of each with all took minutes.
    let work = bounded(100 << 20, Duration::from_secs(15));
    let all = [filter(Keys::All)];
    let answer = phase
        .open(work, &all, OnReferenceError::Warn)
        .await
        .unwrap();
    assert_eq!(answer.kept.count, 10_000, "those apps have no environments");
}

#[tokio::test]
async fn work_that_takes_too_long_is_stopped_between_two_steps() {
    let secrets = (0..200).map(|number| secret(&format!("K{number}"), "value"));
    let phase = Changed::of(Value::from(secrets.collect::<Vec<_>>()));
    let work = bounded(1 << 20, Duration::from_millis(4));
    let all = [filter(Keys::All)];
    let opened = phase.open(work, &all, OnReferenceError::Fail);
    let error = opened.await.map(|answer| texts(&answer)).unwrap_err();
    assert_eq!(error.cause(), Cause::TooLarge);
    assert!(
        error.to_string().starts_with("processor time: at most "),
        "{error}"
    );
}
