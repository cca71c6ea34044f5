//! Views and what they are made of.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::quota::Allowance;

fn key(id: &str, name: &str, updated_at: &str) -> Value {
    json!({
        "environment": {"id": id, "name": name, "updated_at": updated_at},
        "identity_key": "k", "wrapped_seed": "s", "wrapped_salt": "t",
    })
}

fn memory() -> Meter {
    Allowance::alone().memory
}

fn listing(apps: &Value) -> Listing {
    let body = json!({"wrapped_key_share": "share", "apps": apps}).to_string();
    Listing::new(
        serde_json::from_str(&body).unwrap(),
        Bytes::from(body),
        memory(),
    )
}

fn two(a: &Value, b: &Value) -> Listing {
    listing(&json!([{"id": "1", "name": "app", "environment_keys": [a, b]}]))
}

#[test]
fn the_order_of_a_listing_means_nothing() {
    let (a, b) = (key("a", "A", "1"), key("b", "B", "1"));
    assert!(two(&a, &b).is_same(&two(&b, &a)));
}

#[test]
fn a_time_that_goes_backwards_is_a_change_of_that_environment_alone() {
    let b = key("b", "B", "5");
    let first = two(&key("a", "A", "2"), &b);
    let second = two(&key("a", "A", "1"), &b);
    assert!(!first.is_same(&second));
    assert!(first.has_frame_of(&second));
    assert_ne!(first.stamp("a"), second.stamp("a"));
    assert_eq!(first.stamp("b"), second.stamp("b"));
}

#[test]
fn names_keys_and_the_list_itself_are_changes() {
    let b = key("b", "B", "1");
    let first = two(&key("a", "A", "1"), &b);
    let renamed = two(&key("a", "A2", "1"), &b);
    assert!(!first.has_frame_of(&renamed));
    let fewer = listing(&json!([{"id": "1", "name": "app", "environment_keys": [b]}]));
    assert!(!first.has_frame_of(&fewer));
    let mut other_keys = key("a", "A", "1");
    other_keys["wrapped_seed"] = json!("another");
    let other_keys = two(&other_keys, &b);
    assert_ne!(first.stamp("a"), other_keys.stamp("a"));
    let mut gone = key("a", "A", "1");
    gone["deleted_at"] = json!("2026-01-01");
    let gone = two(&gone, &b);
    assert_eq!(gone.stamp("a"), None);
    assert!(!first.has_frame_of(&gone));
}

#[tokio::test(start_paused = true)]
async fn a_newer_moment_keeps_only_what_has_not_changed() {
    let first = Arc::new(two(&key("a", "A", "1"), &key("b", "B", "1")));
    let rows = |id: &str| {
        let rows = Rows::new(
            *first.stamp(id).unwrap(),
            Bytes::from_static(b"[]"),
            Arc::default(),
            memory(),
        );
        (id.to_owned(), Arc::new(rows))
    };
    let view = View {
        generation: 1,
        listing: Arc::clone(&first),
        rows: HashMap::from([rows("a"), rows("b")]),
        confirmed: Arc::new(Confirmed::at(Instant::now(), None)),
    };
    let second = Arc::new(two(&key("a", "A", "2"), &key("b", "B", "1")));
    let newer = view.followed_by(second, Confirmed::at(Instant::now(), None));
    assert_eq!(newer.generation, 2);
    assert!(newer.rows_of("a").is_none());
    assert_eq!(
        newer.rows_of("b").unwrap().serial,
        view.rows_of("b").unwrap().serial
    );
}

#[tokio::test(start_paused = true)]
async fn an_age_counts_from_before_the_question_and_over_restarts() {
    let asked = Instant::now();
    tokio::time::advance(Duration::from_secs(3)).await;
    let confirmed = Confirmed::at(asked, None);
    assert_eq!(confirmed.age(), Some(Duration::from_secs(3)));
    confirmed.follow(&Confirmed::at(Instant::now(), None));
    assert_eq!(confirmed.age(), Some(Duration::ZERO));
    confirmed.follow(&Confirmed::at(asked, None));
    assert_eq!(confirmed.age(), Some(Duration::ZERO), "a late answer");

    let earlier = Confirmed::before(Some(Duration::from_secs(60)), None);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(earlier.age(), Some(Duration::from_secs(63)));
    earlier.follow(&Confirmed::at(Instant::now(), None));
    assert_eq!(earlier.age(), Some(Duration::ZERO));
    assert_eq!(Confirmed::before(None, None).age(), None);
}
