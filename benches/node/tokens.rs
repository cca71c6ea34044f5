//! Tokens that the node has not seen before: each asks Phase for itself.

use std::time::{Duration, Instant};

use crate::node::{Node, Volume};
use crate::requests;
use crate::{ROUNDS, median, mib, ms, ratio, row};

/// Of the backend.
const LATENCY: Duration = Duration::from_millis(20);
/// Tokens at once.
const AT_ONCE: usize = 200;
/// So much that no mount waits for its turn in the budget of a minute.
const BUDGET: &str = "1000000";
/// How long after the last mount memory is looked at again.
const LATER: Duration = Duration::from_secs(300);

/// Time, processor time and memory of many different tokens. State is kept, as in the
/// chart.
pub(crate) async fn many(is_quick: bool) {
    for (secrets, wall, processor) in [(10, "0.3 s", "1.2 ms"), (50, "0.6 s", "3.5 ms")] {
        let state = tempfile::tempdir().unwrap();
        let flags = ["--request-budget", BUDGET, "--state-dir"];
        let flags = [&flags[..], &[state.path().to_str().unwrap()]].concat();
        let rest = if is_quick { 0 } else { 1_700 };
        let tokens = 1 + 2 * AT_ONCE + rest;
        let node = Node::of_many(secrets, tokens, &flags).await;
        let idle = node.usage().await;
        row("memory before the first mount", &mib(idle.memory), "10 MiB");
        node.mount_all(&Volume::of_tokens(0..1)).await;

        let volumes = Volume::of_tokens(1..1 + AT_ONCE);
        let before = node.usage().await;
        for volume in &volumes {
            node.mount(volume).await.unwrap();
        }
        // What is written later counts, too.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let spent = node.usage().await.since(&before) / AT_ONCE as u32;
        row(
            &format!("processor, a mount of {secrets} secrets with a new token"),
            &ms2(spent),
            processor,
        );

        node.emulator.control().set_latency(LATENCY);
        let volumes = Volume::of_tokens(1 + AT_ONCE..1 + 2 * AT_ONCE);
        let before = node.usage().await;
        let begun = Instant::now();
        node.mount_all(&volumes).await;
        let taken = begun.elapsed();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let spent = node.usage().await.since(&before) / AT_ONCE as u32;
        row(
            &format!("{AT_ONCE} tokens at once, {secrets} secrets, 20 ms latency"),
            &format!("{:.2} s", taken.as_secs_f64()),
            wall,
        );
        row("  processor, each of them", &ms2(spent), processor);

        node.emulator.control().set_latency(Duration::ZERO);
        node.mount_all(&Volume::of_tokens(1 + 2 * AT_ONCE..tokens))
            .await;
        let full = node.usage().await.memory;
        row(&format!("memory after {tokens} tokens"), &mib(full), "");
        if !is_quick && secrets == 10 {
            tokio::time::sleep(LATER).await;
            let later = node.usage().await.memory;
            row("  300 s later", &mib(later), "2 times idle");
            row(
                "  against idle",
                &format!("{:.1} times", later as f64 / idle.memory as f64),
                "2 times",
            );
        }
    }
}

/// The first mount of a process, against two bare requests one after the other over a
/// connection that is kept.
pub(crate) async fn fresh() {
    for (secrets, first_goal, ratio_goal) in
        [(10, "4 ms", "1.10 times"), (50, "6 ms", "1.15 times")]
    {
        let mut firsts = Vec::new();
        for _ in 0..ROUNDS {
            let node = Node::start(secrets, &[]).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            firsts.push(first(&node, "t0").await);
        }
        row(
            &format!("first mount of a process, {secrets} secrets, no latency"),
            &ms(median(firsts)),
            first_goal,
        );

        let (mut firsts, mut colds, mut bares) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let node = Node::start(secrets, &["--request-budget", BUDGET]).await;
            node.emulator.control().set_latency(2 * LATENCY);
            tokio::time::sleep(Duration::from_millis(300)).await;
            firsts.push(first(&node, "t0").await);
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            requests::two(&node.emulator, "t0", &http).await;
            for token in 1..4 {
                colds.push(first(&node, &format!("t{}", token + round)).await);
                bares.push(requests::two(&node.emulator, "t0", &http).await);
            }
        }
        let (first, cold, bare) = (median(firsts), median(colds), median(bares));
        row(
            &format!("cold mount, {secrets} secrets, 40 ms latency, against two requests"),
            &ratio(cold, bare),
            ratio_goal,
        );
        row(
            "  the first mount of a process",
            &ratio(first, bare),
            ratio_goal,
        );
        row(
            "  first mount; later cold mount; two requests",
            &format!("{}; {}; {}", ms(first), ms(cold), ms(bare)),
            "",
        );
    }
}

async fn first(node: &Node, token: &str) -> Duration {
    let request = node.request(&Volume::of_one_class(token, 1)[0]);
    let begun = Instant::now();
    node.ask(&request).await.unwrap();
    begun.elapsed()
}

fn ms2(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
