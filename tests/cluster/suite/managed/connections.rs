//! The connections to the API server: few, and none is trusted for ever.

use phase_csi_cluster::{Controller, Line, OwnApi, Programs, Tunnel, eventually, secret};

use super::named;

/// A controller whose connections are seen.
struct Seen {
    tunnel: Tunnel,
    controller: Controller,
}

impl Seen {
    async fn prepare(name: &str) -> Self {
        let secrets = vec![secret("/", "KEY", "canary-1")];
        let controller = Controller::defined(name, secrets).await;
        let programs = Programs::from_environment();
        let tunnel = Tunnel::open(&programs, &controller.folder()).await;
        Self { tunnel, controller }
    }

    fn start(&mut self) {
        let kubeconfig = &self.tunnel.kubeconfig;
        self.controller.add_replica_through(kubeconfig);
    }
}

#[tokio::test]
async fn many_secrets_are_written_through_one_connection() {
    const MANY: usize = 64;
    let mut seen = Seen::prepare("managed-connections").await;
    let names: Vec<_> = (0..MANY).map(|number| format!("shop-{number}")).collect();
    for name in &names {
        seen.controller.resource(name, named(name)).await;
    }
    seen.start();
    for name in &names {
        seen.controller.synced(name, "Synced").await;
    }
    // For the Lease, for all watches of the namespace, and for everything else.
    assert_eq!(seen.tunnel.opened(), 3);
}

#[tokio::test]
async fn a_connection_that_is_dead_is_left_for_another() {
    let mut seen = Seen::prepare("managed-dead-connection").await;
    seen.controller.resource("shop", named("shop")).await;
    seen.start();
    seen.controller.synced("shop", "Synced").await;
    let leader = seen.controller.leader().await;
    let opened = seen.tunnel.opened();
    seen.tunnel.die();
    seen.controller.phase.set("/", "KEY", "canary-2");
    seen.controller.resource("another", named("another")).await;
    seen.controller.shows("shop", "KEY", "canary-2").await;
    seen.controller.shows("another", "KEY", "canary-2").await;
    seen.controller.synced("another", "Synced").await;
    eventually("three other connections", async || {
        (seen.tunnel.opened() >= opened + 3).then_some(())
    })
    .await;
    let still = seen.controller.leader().await;
    assert_eq!(still, leader, "the Lease was renewed in time");
}

/// No driver has a part in it, so it runs behind one of the two.
#[tokio::test]
async fn an_api_server_without_http_2_is_asked_over_http_1() {
    if Programs::from_environment().line != Line::From16 {
        return;
    }
    let mut api = OwnApi::prepare("plain", 6447).with("--disable-http2-serving".to_owned());
    api.restart(None).await;
    let secrets = vec![secret("/", "KEY", "canary-1")];
    let controller = Controller::start_at(&api, "managed-plain", secrets, 1).await;
    let names: Vec<_> = (0..8).map(|number| format!("shop-{number}")).collect();
    for name in &names {
        controller.resource(name, named(name)).await;
    }
    controller.phase.set("/", "KEY", "canary-2");
    for name in &names {
        controller.shows(name, "KEY", "canary-2").await;
        controller.synced(name, "Synced").await;
    }
    drop(controller);
    api.stop().await;
}
