//! What nobody may read anywhere.

use phase_csi_cluster::{Node, eventually, secret};
use serde_json::json;

const VALUE: &str = "canary-in-a-value-7f3a";
const NEW_VALUE: &str = "canary-in-a-new-value-91bc";

#[tokio::test]
async fn no_value_and_no_token_is_in_any_log_event_or_record() {
    let node = Node::with(
        "quiet",
        vec![secret("/", "KEY", VALUE), secret("/", "REF", "see ${KEY}")],
    )
    .start()
    .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    node.phase.set("/", "KEY", NEW_VALUE);
    pod.republish_until("the new value", |volume| {
        (volume.text("KEY")? == NEW_VALUE).then_some(())
    })
    .await;
    node.phase.revoke_token();
    eventually("a refusal in the provider's log", async || {
        pod.publish().await.unwrap();
        node.provider
            .output()
            .contains("mount refused")
            .then_some(())
    })
    .await;
    let token = node.phase.token();
    let parts = token.split(':').filter(|part| part.len() > 20);
    let told = [
        node.provider.output(),
        node.driver.output(),
        node.namespace.readable().await,
    ];
    assert!(told.iter().all(|text| !text.is_empty()));
    for forbidden in parts.chain([VALUE, NEW_VALUE]) {
        for (text, place) in told
            .iter()
            .zip(["provider", "driver", "events and records"])
        {
            assert!(!text.contains(forbidden), "{place}: {forbidden}");
        }
    }
}
