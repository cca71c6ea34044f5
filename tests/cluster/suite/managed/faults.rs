//! An API server that refuses, hangs, forgets or is away: nothing is lost, nothing is
//! written twice, and nobody asks without end.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use phase_csi_cluster::{Asked, Blow, Controller, Fault, eventually, secret};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::named;
use super::writes::Writes;

/// A controller that keeps a Secret for a change of each kind.
struct Kept {
    controller: Controller,
    writes: Writes,
}

impl Kept {
    async fn start(name: &str) -> Self {
        let secrets = vec![secret("/", "KEY", "canary-1")];
        let controller = Controller::start_disturbable(name, secrets).await;
        for resource in ["phase", "drift", "change"] {
            controller.resource(resource, named(resource)).await;
        }
        for resource in ["phase", "drift", "change"] {
            controller.synced(resource, "Synced").await;
        }
        let writes = Writes::count(&controller).await;
        controller.way.as_ref().unwrap().asked();
        Self { controller, writes }
    }

    /// A Secret that goes, a resource that wants another Secret, and news of Phase.
    async fn change(&self) {
        let secrets = self.controller.namespace.api::<Secret>();
        secrets
            .delete("drift", &DeleteParams::default())
            .await
            .unwrap();
        self.controller.resource("change", named("changed")).await;
        self.controller.phase.set("/", "KEY", "canary-2");
    }

    /// All of it has been done, once.
    async fn has_followed(&self) {
        for (resource, secret) in [
            ("phase", "phase"),
            ("drift", "drift"),
            ("change", "changed"),
        ] {
            self.controller.shows(secret, "KEY", "canary-2").await;
            self.controller.synced(resource, "Synced").await;
        }
        // The other resources may still write once more, for a reason: they may have been
        // looked at before the news.
        assert_eq!(self.writes.of("phase"), 1, "one for the news");
        assert!(self.writes.of("drift") <= 2, "{}", self.writes.of("drift"));
        assert!(
            self.writes.of("changed") <= 2,
            "{}",
            self.writes.of("changed")
        );
    }

    /// All requests but those for the Lease, under a fault, while everything changes.
    async fn survives(mut self, fault: Fault, lasts: Duration) {
        let way = self.controller.way();
        way.disturb(|asked| !is_of_lease(asked), fault);
        let begun = Instant::now();
        self.change().await;
        sleep(lasts).await;
        let way = self.controller.way();
        let asked = way.asked();
        way.heal();
        is_patient(&asked, begun);
        assert!(asked.iter().any(|asked| !is_of_lease(asked)));
        self.has_followed().await;
    }
}

fn is_of_lease(asked: &Asked) -> bool {
    asked.path.contains("/leases")
}

fn is_write_of_secret(asked: &Asked) -> bool {
    asked.is_write() && asked.path.contains("/secrets/")
}

/// Each of three resources is looked at every two seconds, which takes eight requests.
fn is_patient(asked: &[Asked], begun: Instant) {
    let most = 40.0 + 12.0 * begun.elapsed().as_secs_f64();
    assert!(
        (asked.len() as f64) < most,
        "{} of {most}: {asked:?}",
        asked.len()
    );
}

#[tokio::test]
async fn an_api_server_that_fails_is_asked_again_and_nothing_is_lost() {
    let kept = Kept::start("managed-500").await;
    kept.survives(Fault::Status(500, None), Duration::from_secs(6))
        .await;
}

#[tokio::test]
async fn an_api_server_that_is_overloaded_is_asked_when_it_says() {
    let kept = Kept::start("managed-429").await;
    let fault = Fault::Status(429, Some(2));
    kept.survives(fault, Duration::from_secs(6)).await;
}

#[tokio::test]
async fn an_api_server_behind_a_broken_balancer_is_asked_again() {
    let kept = Kept::start("managed-503").await;
    kept.survives(Fault::Status(503, None), Duration::from_secs(6))
        .await;
}

#[tokio::test]
async fn conflicts_of_requests_that_meet_pass() {
    let kept = Kept::start("managed-409").await;
    kept.survives(Fault::Status(409, None), Duration::from_secs(6))
        .await;
}

#[tokio::test]
async fn a_slow_api_server_is_waited_for() {
    let kept = Kept::start("managed-slow").await;
    let slow = Fault::Slow(Duration::from_secs(2));
    kept.survives(slow, Duration::from_secs(6)).await;
}

/// Each request has a deadline of twenty seconds.
#[tokio::test]
async fn an_api_server_that_never_answers_is_asked_again() {
    let kept = Kept::start("managed-hangs").await;
    kept.survives(Fault::Hang, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_does_no_harm() {
    let kept = Kept::start("managed-lost").await;
    kept.survives(Fault::Lost, Duration::from_secs(6)).await;
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_where_it_was() {
    let mut kept = Kept::start("managed-cut").await;
    for _ in 0..2 {
        kept.controller.way().strike("", Blow::Cut);
        sleep(Duration::from_millis(300)).await;
    }
    kept.controller.way().strike("", Blow::Cut);
    kept.change().await;
    kept.has_followed().await;
    let asked = kept.controller.way().asked();
    let is_list = |asked: &&Asked| {
        asked.method == "GET"
            && asked.path.contains("/phasesecrets?")
            && !asked.path.contains("watch=true")
    };
    assert_eq!(
        asked.iter().filter(is_list).count(),
        0,
        "nothing is listed anew"
    );
}

#[tokio::test]
async fn what_changes_while_a_watch_is_too_old_is_found() {
    let mut kept = Kept::start("managed-gone").await;
    let way = kept.controller.way();
    way.disturb(
        |asked| asked.path.contains("watch=true"),
        Fault::Status(410, None),
    );
    way.strike("", Blow::Gone);
    let begun = Instant::now();
    kept.change().await;
    sleep(Duration::from_secs(4)).await;
    is_patient(&kept.controller.way().asked(), begun);
    kept.controller.way().heal();
    kept.has_followed().await;
}

/// It takes as long as a watch lasts.
#[tokio::test]
async fn a_watch_that_has_died_silently_is_noticed() {
    let mut kept = Kept::start("managed-frozen").await;
    kept.controller.way().strike("", Blow::Freeze);
    let begun = Instant::now();
    kept.change().await;
    kept.has_followed().await;
    is_patient(&kept.controller.way().asked(), begun);
}

/// What the controller has written itself is no news to it, and a token that several
/// resources share is read once a moment.
#[tokio::test]
async fn a_watch_that_comes_late_makes_nobody_busy() {
    let mut kept = Kept::start("managed-late").await;
    kept.controller.way().strike("/secrets?", Blow::Freeze);
    let begun = Instant::now();
    kept.controller.phase.set("/", "KEY", "canary-2");
    for secret in ["phase", "drift", "change"] {
        kept.controller.shows(secret, "KEY", "canary-2").await;
    }
    sleep(Duration::from_secs(10)).await;
    let asked = kept.controller.way().asked();
    is_patient(&asked, begun);
    let is_of_token = |asked: &&Asked| asked.path.contains("/secrets/phase-service-token");
    let read = asked.iter().filter(is_of_token).count();
    let most = begun.elapsed().as_secs() / 5 + 2;
    assert!(read as u64 <= most, "{read} of {most}");
    let told = asked
        .iter()
        .filter(|asked| asked.path.contains("/status"))
        .count();
    assert!(told <= 6, "{told} statuses for three changes");
    assert_eq!(kept.writes.of("phase"), 1);
}

/// It takes as long as a silent connection is trusted.
#[tokio::test]
async fn a_list_that_is_never_answered_is_asked_for_again() {
    let mut controller =
        Controller::start_disturbable("managed-list", vec![secret("/", "KEY", "canary")]).await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    let is_list =
        |asked: &Asked| asked.path.contains("limit=250") && asked.path.contains("managed-list");
    controller.way().disturb(is_list, Fault::Hang);
    controller.way().asked();
    controller.restart(0).await;
    let begun = Instant::now();
    eventually("the lists", async || {
        let way = controller.way.as_ref().unwrap();
        (way.asked().iter().filter(|asked| is_list(asked)).count() >= 2).then_some(())
    })
    .await;
    controller.way().heal();
    controller.resource("another", named("another")).await;
    controller.synced("another", "Synced").await;
    is_patient(&controller.way().asked(), begun);
}

#[tokio::test]
async fn an_api_server_that_was_away_finds_nothing_lost() {
    let mut kept = Kept::start("managed-no-api").await;
    kept.controller.way().close().await;
    kept.change().await;
    // Longer than a Lease lasts.
    sleep(Duration::from_secs(12)).await;
    kept.controller.way().reopen().await;
    let begun = Instant::now();
    kept.has_followed().await;
    is_patient(&kept.controller.way().asked(), begun);
}

#[tokio::test]
async fn the_status_says_that_the_api_server_is_unavailable_and_then_not() {
    let mut kept = Kept::start("managed-says").await;
    let way = kept.controller.way();
    way.disturb(is_write_of_secret, Fault::Status(500, None));
    kept.controller.phase.set("/", "KEY", "canary-2");
    let message = kept.controller.synced("phase", "ApiUnavailable").await;
    assert!(
        message.contains("refuses Secret managed-says/phase (status 500)"),
        "{message}"
    );
    kept.controller.way().heal();
    kept.controller.synced("phase", "Synced").await;
    let is_of_token = |asked: &Asked| asked.path.contains("/secrets/phase-service-token");
    kept.controller
        .way()
        .disturb(is_of_token, Fault::Status(500, None));
    let message = kept.controller.synced("phase", "ApiUnavailable").await;
    assert!(
        message.contains("while Secret managed-says/phase-service-token was read"),
        "{message}"
    );
    let (is_ready, ..) = kept.controller.condition("phase", "Ready").await.unwrap();
    assert!(is_ready, "its Secret can be used");
    kept.controller.way().heal();
    kept.controller.synced("phase", "Synced").await;
    assert_eq!(kept.writes.of("phase"), 1);
}

#[tokio::test]
async fn a_leader_that_cannot_renew_its_lease_stops_and_leads_again() {
    let mut kept = Kept::start("managed-lease").await;
    let first = eventually("a leader", async || kept.controller.leader().await).await;
    kept.controller.way().disturb(is_of_lease, Fault::Hang);
    kept.controller.add_replica();
    let second = eventually("another leader", async || {
        kept.controller.leader().await.filter(|now| *now != first)
    })
    .await;
    kept.controller.way().asked();
    kept.change().await;
    kept.has_followed().await;
    let asked = kept.controller.way().asked();
    assert!(asked.iter().all(is_of_lease), "{asked:?}");
    kept.controller.way().heal();
    assert!(kept.controller.replicas[second.0].stop().await);
    let third = eventually("the first one again", async || {
        kept.controller.leader().await.filter(|now| *now == first)
    })
    .await;
    assert_eq!(third, first, "it has lived on");
    kept.controller.phase.set("/", "KEY", "canary-3");
    kept.controller.shows("phase", "KEY", "canary-3").await;
    let writes = kept.writes.of("phase");
    assert_eq!(writes, 2, "one for each change");
}

/// Nothing else has the Lease, but it is held for ten seconds by whoever is seen to.
#[tokio::test]
async fn a_leader_that_has_stopped_leads_again_at_once_where_nobody_followed() {
    let mut kept = Kept::start("managed-again").await;
    kept.controller.way().disturb(is_of_lease, Fault::Hang);
    eventually("the end of its work", async || {
        let output = kept.controller.replicas[0].output();
        output
            .contains("another replica may lead now")
            .then_some(())
    })
    .await;
    kept.controller.way().asked();
    kept.change().await;
    sleep(Duration::from_secs(3)).await;
    let asked = kept.controller.way().asked();
    assert!(asked.iter().all(is_of_lease), "{asked:?}");
    kept.controller.way().heal();
    kept.has_followed().await;
    let lease = kept.controller.lease().await.unwrap();
    let changes = lease.spec.unwrap().lease_transitions;
    assert_eq!(changes, Some(1), "its own, taken again");
}

/// Whoever begins to lead looks at what is there, and writes what is other than wished.
#[tokio::test]
async fn a_new_leader_writes_nothing_that_is_as_it_should_be() {
    let secrets = vec![
        secret("/one", "KEY", "canary-1"),
        secret("/two", "KEY", "canary-1"),
    ];
    let mut controller = Controller::start_disturbable("managed-successor", secrets).await;
    for name in ["one", "two", "edited"] {
        let folder = if name == "edited" { "one" } else { name };
        let folder = json!({"phaseAppEnvPath": format!("/{folder}")});
        controller.resource_with(name, named(name), folder).await;
        controller.synced(name, "Synced").await;
    }
    controller.replicas[0].kill().await;
    let secrets = controller.namespace.api::<Secret>();
    let edit = Patch::Merge(json!({"data": {"KEY": null}}));
    let by_hand = PatchParams::default();
    secrets.patch("edited", &by_hand, &edit).await.unwrap();
    controller.phase.set("/two", "KEY", "canary-2");
    controller.way().asked();
    controller.restart(0).await;
    controller.shows("two", "KEY", "canary-2").await;
    controller.shows("edited", "KEY", "canary-1").await;
    sleep(Duration::from_secs(5)).await;
    let asked = controller.way().asked();
    let written = asked.iter().filter(|asked| is_write_of_secret(asked));
    let name = |asked: &Asked| {
        let (_, name) = asked.path.split_once("/secrets/")?;
        Some(name.split('?').next()?.to_owned())
    };
    let mut written: Vec<_> = written.filter_map(name).collect();
    written.sort();
    assert_eq!(written, ["edited", "two"]);
}
