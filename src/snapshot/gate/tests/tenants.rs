//! One tenant keeps no other waiting.

use super::super::state::{MOST_LANES, MOST_WAITERS};
use super::*;

/// Made-up tokens of one namespace.
const fn made_up(number: u8) -> Who {
    Who("attacker", number)
}

/// A lane that is spent, before which as many of one tenant wait.
async fn flooded(calls: u8) -> Scene {
    let scene = Scene::new(60);
    scene.spend(&lane(), D, 60).await;
    for number in 0..calls {
        scene.stranger("made up", made_up(number));
    }
    settled().await;
    scene
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns_however_many_tokens_one_has() {
    let scene = flooded(100).await;
    for number in 0..5 {
        scene.stranger("new", Who("victim", number));
    }
    pass(SECOND * 10).await;
    let names = scene.names();
    let new = names.iter().filter(|name| **name == "new").count();
    assert_eq!((names.len(), new), (10, 5), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_have_worked_go_first_within_a_tenant() {
    let scene = flooded(100).await;
    scene.mount("known", Who("attacker", 200));
    pass(SECOND).await;
    assert_eq!(scene.names(), ["known"]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_have_not_worked_have_no_more_than_half_beside_those_that_have() {
    let scene = Scene::new(60);
    scene.spend(&lane(), D, 60).await;
    // Each is a tenant of its own, so that turns alone would not help.
    let names = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
    for name in names {
        for number in 0..20 {
            scene.stranger("made up", Who(name, number));
        }
    }
    pass(SECOND * 40).await;
    assert_eq!(
        scene.log().len(),
        40,
        "all of it while nobody else wants it"
    );
    for number in 0..10 {
        scene.mount("known", Who("v", number));
    }
    pass(SECOND * 10).await;
    assert_eq!(scene.names()[40..], ["known"; 10]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_comes_through_a_flood_within_seconds() {
    let scene = flooded(200).await;
    scene.poll("poll", Who("victim", 1));
    pass(SECOND * 7).await;
    assert!(scene.names().contains(&"poll"), "{:?}", scene.log());
}

#[tokio::test(start_paused = true)]
async fn polls_have_no_more_than_half_while_mounts_wait() {
    let scene = Scene::new(60);
    scene.spend(&lane(), D, 60).await;
    for number in 0..100 {
        scene.poll("poll", Who("polls", number));
        scene.mount("mount", Who("mounts", number));
    }
    pass(SECOND * 60).await;
    let names = scene.names();
    let polls = names.iter().filter(|name| **name == "poll").count();
    // They let all mounts pass for five seconds, and then they alternate.
    assert_eq!((names.len(), polls), (60, 28), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_waits_in_no_more_places_than_are_left_for_others() {
    let scene = flooded(255).await;
    for number in 0..10 {
        scene.stranger("more", made_up(number));
    }
    settled().await;
    assert_eq!(scene.gate.0.lock().waiting(), MOST_WAITERS / 2);
    let share = Throttled::ByShare {
        what: "requests that wait for Phase",
        used: 256,
        most: 512,
    };
    let log = scene.log();
    assert!(
        !log.is_empty() && log.iter().all(|(_, _, error)| *error == Some(share)),
        "{log:?}"
    );
    // Others find as many again.
    for number in 0..100 {
        scene.mount("victim", Who("victim", number));
    }
    pass(SECOND * 10).await;
    let victims = scene
        .log()
        .into_iter()
        .filter(|(name, ..)| *name == "victim");
    let (admitted, refused): (Vec<_>, Vec<_>) = victims.partition(|(_, _, error)| error.is_none());
    assert!(refused.is_empty(), "{refused:?}");
    assert!(admitted.len() >= 5, "{admitted:?}");
}

#[tokio::test(start_paused = true)]
async fn when_many_tenants_fill_the_line_the_heaviest_gives_way() {
    let scene = Scene::new(60);
    scene.spend(&lane(), D, 60).await;
    // What each may have beside those before it.
    let places = [256, 128, 64, 32, 16, 8, 4, 2, 1, 1];
    for (tenant, places) in places.into_iter().enumerate() {
        let name: &str = format!("t{tenant}").leak();
        for number in 0..places {
            scene.mount(name, Who(name, u8::try_from(number % 256).unwrap()));
        }
        settled().await;
    }
    assert_eq!(scene.gate.0.lock().waiting(), MOST_WAITERS);
    assert_eq!(scene.log(), []);
    scene.mount("new", Who("new", 1));
    settled().await;
    let heaviest = ("t0", Duration::ZERO, Some(Throttled::ByCrowd));
    assert_eq!(scene.log(), [heaviest]);
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_tenant_that_hang_leave_places_for_others() {
    let scene = Scene::new(1_000);
    let mut hanging = Vec::new();
    for number in 0..100 {
        if let Ok(pass) = now(&scene.gate, &lane(), made_up(number)).await {
            hanging.push(pass);
        }
    }
    assert_eq!(hanging.len(), 8, "half of the places");
    let victim = now(&scene.gate, &lane(), B).await;
    assert!(victim.is_ok());
}

#[tokio::test(start_paused = true)]
async fn accounts_of_one_tenant_do_not_fill_the_table_of_lanes() {
    let gate = gate(60);
    let numbered = |number: u8, of: u8| {
        let mut key = [of; 32];
        key[0] = number;
        Lane::Account(Host::default(), key)
    };
    let mut refused = None;
    for number in 0..=255 {
        refused = now(&gate, &numbered(number, 1), A).await.err();
    }
    let share = Throttled::ByShare {
        what: "accounts and hosts that are asked",
        used: 128,
        most: MOST_LANES,
    };
    assert_eq!(refused, Some(share));
    for number in 0..50 {
        assert!(
            now(&gate, &numbered(number, 2), B).await.is_ok(),
            "{number}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_credential_asks_for_the_tenant_that_had_least() {
    let gate = gate(60);
    let tenants = [Tenant::new("a"), Tenant::new("b")];
    let lightest = || gate.lightest(&lane(), &tenants, Priority::Mount).cloned();
    for _ in 0..2 {
        drop(now(&gate, &lane(), A).await.unwrap());
    }
    assert_eq!(lightest(), Some(Tenant::new("b")));
    for _ in 0..3 {
        drop(now(&gate, &lane(), B).await.unwrap());
    }
    assert_eq!(lightest(), Some(Tenant::new("a")));
}

#[tokio::test(start_paused = true)]
async fn what_is_turned_away_is_counted_by_its_reason() {
    let scene = flooded(1).await;
    drop(now(&scene.gate, &lane(), B).await);
    scene.gate.block(&account(1), Some(SECOND * 60));
    drop(now(&scene.gate, &account(1), B).await);
    assert_eq!(scene.gate.turned_away(), [1, 1, 0, 0]);
}

/// Ten namespaces with so many made-up tokens each, refused one after the other, and a
/// budget of sixty of which what they may have is spent.
async fn refused_in_ten_namespaces(tokens: u8) -> Scene {
    let scene = Scene::new(60);
    let refused = scene.ending(Outcome::Refused);
    for name in ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"] {
        for number in 0..tokens {
            refused.stranger("made up", Who(name, number));
        }
    }
    pass(SECOND).await;
    scene
}

/// How long each of these waited that were called one after the other, so far apart.
async fn waits(
    scene: &Scene,
    name: &'static str,
    tenant: &'static str,
    calls: u8,
) -> Vec<Duration> {
    const APART: Duration = Duration::from_secs(4);
    let mut waits = Vec::new();
    for number in 0..calls {
        let begun = scene.start.elapsed();
        scene.stranger(name, Who(tenant, number));
        pass(APART).await;
        let log = scene.log();
        let (_, at, error) = log.iter().rfind(|(whose, ..)| *whose == name).unwrap();
        assert_eq!(*error, None);
        waits.push(at.saturating_sub(begun));
    }
    waits
}

#[tokio::test(start_paused = true)]
async fn new_tokens_of_a_known_namespace_wait_for_no_made_up_ones_of_ten() {
    let scene = refused_in_ten_namespaces(200).await;
    let answered = scene.ending(Outcome::Answered);
    let waits = waits(&answered, "new", "victim", 60).await;
    // Whatever of the last minute they had more than others.
    assert!(waits.iter().all(Duration::is_zero), "{waits:?}");
    let made_up = scene
        .names()
        .iter()
        .filter(|name| **name == "made up")
        .count();
    // The others have all that is left of it.
    assert!(made_up >= 45 + 4 * 60 - 60 - 8, "{made_up}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_was_never_seen_waits_for_no_made_up_tokens() {
    let scene = refused_in_ten_namespaces(200).await;
    let (answered, refused) = (
        scene.ending(Outcome::Answered),
        scene.ending(Outcome::Refused),
    );
    for name in ["v0", "v1", "v2", "v3"] {
        let waits = waits(&answered, name, name, 1).await;
        assert_eq!(waits, [Duration::ZERO], "{name}");
    }
    // One that was mended after a refusal is before those who had more of them, once
    // what is kept for others is there again.
    waits(&refused, "wrong", "w", 1).await;
    let waits = waits(&answered, "mended", "w", 1).await;
    assert!(waits[0] <= SECOND * 4, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn refused_namespaces_keep_an_eighth_beside_those_that_take_all() {
    let scene = refused_in_ten_namespaces(200).await;
    let answered = scene.ending(Outcome::Answered);
    let before = scene.log().len();
    for name in ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9"] {
        for number in 0..20 {
            answered.mount("known", Who(name, number));
        }
    }
    // What they had in the first minute counts until its end.
    pass(SECOND * 180).await;
    let log = scene.log();
    let of = |name: &'static str, from: u32| {
        let late = log[before..]
            .iter()
            .filter(move |(_, at, _)| *at > SECOND * from);
        late.filter(move |(whose, ..)| *whose == name).count()
    };
    assert_eq!(of("made up", 120), 8);
    assert!((52..=53).contains(&of("known", 120)));
}

#[tokio::test(start_paused = true)]
async fn polls_go_before_tokens_that_are_refused() {
    let scene = refused_in_ten_namespaces(200).await;
    // They wait for what is kept for mounts, and no longer.
    for number in 0..5 {
        scene.poll("poll", Who("victim", number));
    }
    pass(SECOND * 5).await;
    let names = scene.names();
    let polls = names.iter().filter(|name| **name == "poll").count();
    assert_eq!(polls, 5, "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_long_ago_is_forgotten_with_all_that_is_known_of_it() {
    let scene = refused_in_ten_namespaces(20).await;
    pass(HOUR * 2).await;
    scene.gate.sweep();
    assert_eq!(scene.gate.0.lock().lanes(), 0);
    let site = scene.gate.0.lock().places(&Host::default());
    assert_eq!(site, 0, "the host is forgotten");
}
