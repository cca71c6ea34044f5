//! A node of many volumes: requests, time, memory and CPU of the real program,
//! side by side with a bare gRPC server that answers the same bytes.
//!
//! `cargo bench --bench node`, or one part of it: `-- burst`, `steady`, `warm`,
//! `memory`, `processor`, `hangs`, `tokens` or `fresh`. `--quick` leaves out the five
//! minutes of `tokens`. `BENCH_PROGRAM` names another program to measure, such as an
//! older build.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark of known data"
)]

mod bare;
mod node;
#[path = "../requests/mod.rs"]
mod requests;
mod tokens;
mod usage;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use phase_emulator::{Endpoint, Fault, FaultKind};

use self::bare::Bare;
use self::node::{Node, Volume};
use self::usage::Usage;

/// Rounds of what is timed; the median counts.
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    if bare::is_asked_for() {
        return bare::serve().await;
    }
    // `cargo bench` hands its own flag over, too.
    let chosen = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let is_chosen = |name: &str| chosen.as_deref().is_none_or(|chosen| chosen == name);
    println!("{:<62} {:>12}   to reach", "what", "measured");
    if is_chosen("burst") {
        burst().await;
    }
    if is_chosen("steady") {
        steady().await;
    }
    if is_chosen("warm") {
        warm().await;
    }
    if is_chosen("memory") {
        memory().await;
    }
    if is_chosen("processor") {
        processor().await;
    }
    if is_chosen("hangs") {
        hangs().await;
    }
    if is_chosen("tokens") {
        let is_quick = std::env::args().any(|word| word == "--quick");
        tokens::many(is_quick).await;
    }
    if is_chosen("fresh") {
        tokens::fresh().await;
    }
}

fn row(what: &str, measured: &str, target: &str) {
    println!("{what:<62} {measured:>12}   {target}");
}

/// Many pods of one class at once, against one.
async fn burst() {
    let node = Node::start(50, &[]).await;
    let volumes = Volume::of_one_class("t0", 200);
    node.mount_all(&volumes).await;
    let requests = node.requests();
    row(
        "requests for 200 mounts at once, one class of 50 secrets",
        &requests.to_string(),
        "2",
    );

    node.emulator
        .control()
        .set_latency(Duration::from_millis(20));
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let tokens = [2 * round + 1, 2 * round + 2].map(|n| format!("t{n}"));
        let begun = Instant::now();
        node.mount(&Volume::of_one_class(&tokens[0], 1)[0])
            .await
            .unwrap();
        one.push(begun.elapsed());
        let begun = Instant::now();
        node.mount_all(&Volume::of_one_class(&tokens[1], 200)).await;
        many.push(begun.elapsed());
    }
    let (one, many) = (median(one), median(many));
    row(
        "200 cold mounts at once at 20 ms latency, against one",
        &ratio(many, one),
        "1.5 times",
    );
    row(
        "  one cold mount; 200 at once",
        &format!("{}; {}", ms(one), ms(many)),
        "",
    );
}

/// Nothing changes, and every volume is republished. The shortest poll interval
/// there is, with republishes as much quicker.
async fn steady() {
    const POLL: Duration = Duration::from_secs(5);
    const INTERVALS: u32 = 8;
    let node = Node::start(50, &["--poll-interval", "5s"]).await;
    let volumes = Volume::of_ten_classes("t0", 110);
    node.mount_all(&volumes).await;
    tokio::time::sleep(POLL).await;
    node.emulator.control().reset_counters();
    let end = Instant::now() + POLL * INTERVALS;
    while Instant::now() < end {
        node.mount_all(&volumes).await;
        tokio::time::sleep(POLL * 75 / 60).await;
    }
    let per_interval = node.requests() as f64 / f64::from(INTERVALS);
    row(
        "requests a poll interval, 110 volumes of 10 classes, one token",
        &format!("{per_interval:.2}"),
        "1",
    );
}

/// One warm mount after the other, ours and the bare server's in turns.
async fn warm() {
    let node = Node::start(50, &[]).await;
    let volume = &Volume::of_one_class("t0", 1)[0];
    let request = node.request(volume);
    let answer = node.ask(&request).await.unwrap();
    let bare = Bare::start(&answer).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(timed(400, || node.ask(&request)).await);
        theirs.push(timed(400, || bare.mount(&request)).await);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    row(
        "warm mount of 50 secrets, against a bare gRPC server",
        &ratio(ours, theirs),
        "1.3 times",
    );
    row(
        "  warm mount; bare server",
        &format!("{}; {}", us(ours / 400), us(theirs / 400)),
        "",
    );
}

async fn memory() {
    let node = Node::start(50, &[]).await;
    let idle = node.usage().await.memory;
    row("memory, idle", &mib(idle), "12 MiB");
    let volumes = Volume::of_ten_classes("t0", 110);
    node.mount_all(&volumes).await;
    let full = node.usage().await.memory;
    row("memory, 110 volumes of 50 secrets", &mib(full), "20 MiB");
    let mut mounted = volumes.len();
    let mut first = 0;
    while mounted < 10_000 {
        node.mount_all(&volumes).await;
        mounted += volumes.len();
        if first == 0 && mounted >= 1_000 {
            first = node.usage().await.memory;
        }
    }
    let last = node.usage().await.memory;
    let growth = (last as f64 / first as f64 - 1.0) * 100.0;
    row(
        "memory, growth from mount 1,000 to mount 10,000",
        &format!("{growth:.1} %"),
        "1 %",
    );
}

/// Time on a processor, of the whole process.
async fn processor() {
    let node = Node::start(50, &[]).await;
    let volumes = Volume::of_ten_classes("t0", 110);
    node.mount_all(&volumes).await;
    let before = node.usage().await;
    for _ in 0..40 {
        for volume in &volumes {
            node.mount(volume).await.unwrap();
        }
    }
    let spent = node.usage().await.since(&before) / 40;
    let share = spent.as_secs_f64() / 75.0 * 100.0;
    row(
        "processor, 110 volumes republished every 75 s",
        &format!("{share:.3} %"),
        "0.1 % of a core",
    );

    let node = Node::start(10, &[]).await;
    let volume = &Volume::of_one_class("t0", 1)[0];
    let request = node.request(volume);
    let answer = node.ask(&request).await.unwrap();
    let bare = Bare::start(&answer).await;
    let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..10 {
        let before = node.usage().await;
        timed(1_000, || node.ask(&request)).await;
        ours += node.usage().await.since(&before);
        let before = bare.usage().await;
        timed(1_000, || bare.mount(&request)).await;
        theirs += bare.usage().await.since(&before);
    }
    row(
        "processor, 1,000 warm mounts of 10 secrets, against bare",
        &ratio(ours, theirs),
        "2 times",
    );
    row(
        "  1,000 warm mounts; bare server",
        &format!("{}; {}", ms(ours / 10), ms(theirs / 10)),
        "",
    );
}

async fn hangs() {
    let node = Node::start(50, &["--poll-interval", "5s"]).await;
    node.mount(&Volume::of_one_class("t0", 1)[0]).await.unwrap();
    let stall = Fault::always(FaultKind::Stall);
    node.emulator.control().set_fault(stall.on(Endpoint::Any));
    // So long that what is remembered does not count for what there is.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let begun = Instant::now();
    let known = node.mount(&Volume::of_one_class("t0", 2)[1]).await;
    row(
        "backend hangs: a new mount with remembered data",
        &ms(begun.elapsed()),
        "5 s",
    );
    assert!(known.is_ok(), "{known:?}", known = known.map(drop));
    let begun = Instant::now();
    let error = node.mount(&Volume::of_one_class("t1", 1)[0]).await;
    let error = error.map(drop).unwrap_err();
    row(
        "backend hangs: a new mount without",
        &ms(begun.elapsed()),
        "an error before 90 s",
    );
    row(
        "  its code",
        &format!("{:?}", error.code()),
        "none of the five",
    );
}

async fn timed<F: Future>(count: usize, work: impl Fn() -> F) -> Duration {
    let begun = Instant::now();
    for _ in 0..count {
        work().await;
    }
    begun.elapsed()
}

impl Node {
    async fn mount_all(&self, volumes: &[Volume]) {
        for mounted in join_all(volumes.iter().map(|volume| self.mount(volume))).await {
            assert_eq!(mounted.unwrap().files.len(), self.secrets);
        }
    }

    async fn usage(&self) -> Usage {
        usage::settled(self.id()).await
    }
}

impl Bare {
    async fn usage(&self) -> Usage {
        usage::settled(self.id()).await
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ratio(one: Duration, other: Duration) -> String {
    format!("{:.2} times", one.as_secs_f64() / other.as_secs_f64())
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn us(time: Duration) -> String {
    format!("{:.0} us", time.as_secs_f64() * 1e6)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
