//! The controller, which reads everybody's classes at every start.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::support::admin::{Place, Probes};
use crate::support::attacks::aliases;
use crate::support::cluster::Cluster;
use crate::support::daemon::Daemon;
use crate::support::limit::TO_STAY_BELOW;
use crate::support::phase::{self, victim};
use crate::support::scene;

/// Bounds a hang; nothing that passes comes near it.
const SAFETY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn aliases_in_somebodys_mirror_keep_no_other_secret_from_being_written() {
    let _turn = scene::turn().await;
    let emulator = phase::start(&[]).await;
    let token = emulator.control().token(&victim(0)).unwrap();
    let mirror = json!({"phaseApp": "shop", "mirror": "- secretName: copy\n"});
    let classes = [("hostile", in_mirror()), ("shop", mirror)];
    let tokens = [("hostile", token.clone()), ("shop", token)];
    let cluster = Cluster::start(&classes, &tokens).await;
    let flags = ["--phase-host", &emulator.url()];
    let mut controller = Daemon::controller(&flags, &cluster.kubeconfig());
    let probes = Probes::of(Place::Port(controller.admin().await));
    let written = async {
        while cluster.writes("shop/copy") == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let written = timeout(SAFETY, written).await.is_ok();
    // It looks at the hostile class again and again.
    sleep(Duration::from_secs(3)).await;
    let (ended, peak, (_, failed)) = (controller.ended(), controller.peak(), probes.counts());
    let row = format!(
        "{:<42} written: {written}, probes failed: {failed}, {:.1} MiB, ended: {ended:?}",
        "mirror: aliases in the controller",
        peak as f64 / f64::from(1 << 20),
    );
    scene::tell(row.clone());
    assert_eq!(ended, None, "{row}\n{}", controller.last_lines());
    assert!(written, "{row}\n{}", controller.last_lines());
    assert!(peak <= TO_STAY_BELOW && failed == 0, "{row}");
}

/// The bomb of [`aliases`], as a list of Secrets.
fn in_mirror() -> Value {
    let objects = aliases(300_000, 2_000)["objects"]
        .as_str()
        .unwrap()
        .to_owned();
    json!({"phaseApp": "shop", "mirror": objects.replace("secretKey", "secretName")})
}
