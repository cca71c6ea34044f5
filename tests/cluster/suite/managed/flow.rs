//! The first hour of a user, with `kubectl` and the commands of the page alone.

use k8s_openapi::api::apps::v1::Deployment;
use phase_csi_cluster::{Controller, eventually, secret};

const PAGE: &str = include_str!("../../../../docs/managed-secrets.md");
const EXAMPLE: &str = include_str!("../../../../daemonset/examples/phasesecret.yaml");

#[tokio::test]
async fn the_pages_commands_lead_from_a_token_to_a_restarted_deployment() {
    let secrets = vec![secret("/", "DB_HOST", "canary-host")];
    let mut controller = Controller::start("managed-flow", secrets).await;
    let run = async |command: &str| {
        let said = controller.kubectl(command).await;
        said.unwrap_or_else(|error| panic!("{command}: {error}"))
    };
    run("kubectl delete secret phase-service-token").await;
    let folder = controller.folder();
    // A file ends with a new line.
    let token = format!("{}\n", controller.phase.token());
    std::fs::write(folder.join("token.txt"), token).unwrap();
    let examples = folder.join("daemonset/examples");
    std::fs::create_dir_all(&examples).unwrap();
    let example = EXAMPLE.replace("namespace: default", "namespace: managed-flow");
    std::fs::write(examples.join("phasesecret.yaml"), example).unwrap();
    let commands = commands();
    assert_eq!(commands.len(), 4, "{commands:?}");
    let mut said = String::new();
    for command in &commands {
        said = run(command).await;
    }

    // What is seen at a glance, also by the short name.
    let short = run("kubectl get phs").await;
    let table: Vec<Vec<_>> = short
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        table[0],
        ["NAME", "APP", "ENVIRONMENT", "SYNCED", "REASON", "AGE"]
    );
    assert_eq!(
        table[1][..5],
        ["shop", "shop", "Production", "True", "Synced"]
    );
    assert!(
        said.starts_with("NAME   APP    ENVIRONMENT   SYNCED   REASON   AGE\n"),
        "{said}"
    );

    // Who may read it does, and nobody else, and nothing else.
    run("kubectl create serviceaccount stranger").await;
    let shop = controller.account("shop").await;
    let stranger = controller.account("stranger").await;
    let get = |account: &str, what: &str| {
        format!(
            "kubectl --kubeconfig {account} get {what} -o 'jsonpath={{.data.DB_HOST}}' | base64 -d"
        )
    };
    assert_eq!(run(&get(&shop, "secret/shop")).await, "canary-host");
    for (account, what) in [
        (&shop, "secret/phase-service-token"),
        (&shop, "secrets"),
        (&stranger, "secret/shop"),
    ] {
        let command = format!("kubectl --kubeconfig {account} get {what}");
        let refused = controller.kubectl(&command).await.unwrap_err();
        assert!(
            refused.contains("Forbidden")
                && refused.contains("system:serviceaccount:managed-flow:"),
            "{refused}"
        );
    }

    // A change arrives, and the annotated Deployment restarts once, whoever looks again.
    let generation = async || {
        let deployments = controller.namespace.api::<Deployment>();
        deployments
            .get("shop")
            .await
            .unwrap()
            .metadata
            .generation
            .unwrap()
    };
    assert_eq!(generation().await, 1);
    controller.phase.set("/", "DB_HOST", "canary-moved");
    eventually("the change", async || {
        (run(&get(&shop, "secret/shop")).await == "canary-moved").then_some(())
    })
    .await;
    eventually("the restart", async || {
        (generation().await == 2).then_some(())
    })
    .await;
    let told = eventually("the event of the restart", async || {
        let told = run("kubectl describe phasesecret shop").await;
        told.contains("Redeployed").then_some(told)
    })
    .await;
    for text in [
        "Reason:                Synced",
        "every Secret holds what Phase has",
        "1 workloads",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
    run("kubectl delete secret phase-service-token").await;
    controller.synced("shop", "TokenMissing").await;
    let told = run("kubectl describe phasesecret shop").await;
    let next = "Secret managed-flow/phase-service-token does not exist: create it with the service token under the key token";
    assert!(told.contains(next), "the next step: {told}");
    run(&commands[0]).await;
    controller.synced("shop", "Synced").await;
    controller.restart(0).await;
    controller.phase.set("/", "MORE", "canary-more");
    controller.shows("shop", "MORE", "canary-more").await;
    let deployments = controller.namespace.api::<Deployment>();
    let generation = eventually("the next restart", async || {
        let found = deployments.get("shop").await.unwrap();
        let generation = found.metadata.generation.unwrap();
        (generation > 2).then_some(generation)
    })
    .await;
    assert_eq!(generation, 3, "one for each change");
}

/// What the page says after the installation: token, resource, wait, look.
fn commands() -> Vec<String> {
    let (_, start) = PAGE.split_once("\n## Start\n").unwrap();
    let start = start.split("\n## ").next().unwrap();
    let block = start
        .split("```sh\n")
        .find(|block| block.contains("create secret"));
    let block = block.unwrap().split("```").next().unwrap();
    block.lines().map(str::to_owned).collect()
}
