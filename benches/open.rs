//! Messages opened per second on one core, against the bare X25519 agreement of
//! the same library in the same run; and 1,000 secrets on two cores against one.
//!
//! `cargo bench --bench open`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark of known data"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use phase_csi_provider::phase::opener;
use phase_csi_provider::quota::{Allowance, Pool, Tenant};

#[path = "recorded/mod.rs"]
mod recorded;

use recorded::{Recorded, all, recording};

const ROUNDS: usize = 9;

fn main() {
    let recording = recording();
    bare_against_whole(&recording);
    two_cores_against_one(&recording);
    small_beside_large(&recording);
}

fn bare_against_whole(recorded: &Recorded) {
    let keys = (recorded.keys)();
    let messages: Vec<&str> = recorded
        .rows
        .iter()
        .flat_map(|row| ["key", "value"].map(|field| row[field].as_str().unwrap()))
        .collect();
    let private = PrivateKey::from_private_key(&X25519, &recorded.private).unwrap();
    let publics: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| base16ct::mixed::decode_vec(message.split(':').nth(2).unwrap()).unwrap())
        .collect();
    let open = || {
        messages
            .iter()
            .for_each(|message| drop(black_box(keys.open(message).unwrap())))
    };
    let bare = || {
        for public in &publics {
            let peer = UnparsedPublicKey::new(&X25519, public);
            black_box(agree(&private, peer, (), |shared| Ok(shared[0])).unwrap());
        }
    };
    let remembering = (recorded.keys)().with(Arc::default());
    let again = || {
        messages
            .iter()
            .for_each(|message| drop(black_box(remembering.open(message).unwrap())))
    };
    again();
    // Side by side, in turns, so that a busy machine slows both.
    let (mut whole, mut alone, mut agreed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        whole.push(timed(20, &open));
        alone.push(timed(20, &bare));
        agreed.push(timed(20, &again));
    }
    let count = messages.len() as f64 * 20.0;
    let [whole, alone, agreed] = [whole, alone, agreed].map(|times| median(times).as_secs_f64());
    println!(
        "opened on one core          {:>9.0} messages/s",
        count / whole
    );
    println!(
        "bare X25519 on one core     {:>9.0} agreements/s",
        count / alone
    );
    println!(
        "ratio                       {:>9.2} (to reach: 0.85)",
        alone / whole
    );
    println!(
        "the same opened again       {:>9.0} messages/s, {:.0} times as many\n",
        count / agreed,
        whole / agreed
    );
}

/// Work that has so many cores.
fn on_cores(cores: usize) -> Allowance {
    let pool = Pool::new(cores, Duration::from_secs(3_600));
    Allowance {
        job: pool.job(&Tenant::new("bench")),
        ..Allowance::alone()
    }
}

/// Another piece of work on the same cores.
fn again(work: &Allowance) -> Allowance {
    Allowance {
        job: work.job.clone(),
        ..Allowance::alone()
    }
}

fn two_cores_against_one(recorded: &Recorded) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let environment = recorded.environment(1000);
    let open = |work: &Allowance| {
        let begun = Instant::now();
        let work = again(work);
        runtime
            .block_on(opener::open(&work, all(&environment)))
            .unwrap();
        begun.elapsed()
    };
    let (one, two) = (on_cores(1), on_cores(2));
    open(&two);
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ones.push(open(&one));
        twos.push(open(&two));
    }
    let (one, two) = (median(ones), median(twos));
    println!(
        "1,000 secrets on one core   {:>9.1} ms",
        one.as_secs_f64() * 1e3
    );
    println!(
        "1,000 secrets on two cores  {:>9.1} ms",
        two.as_secs_f64() * 1e3
    );
    println!(
        "ratio                       {:>9.2} (to reach: 1.6)\n",
        one.as_secs_f64() / two.as_secs_f64()
    );
}

/// A mount of 10 secrets that begins while ten of 1,000 are being opened.
fn small_beside_large(recorded: &Recorded) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (large, small) = (recorded.environment(1000), recorded.environment(10));
    let work = on_cores(2);
    let (mut waits, mut larges) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (wait, whole) = runtime.block_on(async {
            let begun = Instant::now();
            let many: Vec<_> = (0..10)
                .map(|_| {
                    let (work, rows) = (again(&work), all(&large));
                    tokio::spawn(async move { opener::open(&work, rows).await.map(drop) })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(5)).await;
            let asked = Instant::now();
            opener::open(&again(&work), all(&small)).await.unwrap();
            let wait = asked.elapsed();
            for one in many {
                one.await.unwrap().unwrap();
            }
            (wait, begun.elapsed())
        });
        waits.push(wait);
        larges.push(whole);
    }
    let (wait, whole) = (median(waits), median(larges));
    println!(
        "ten mounts of 1,000 beside  {:>9.1} ms until all are open",
        whole.as_secs_f64() * 1e3
    );
    println!(
        "one mount of 10 among them  {:>9.1} ms until it is open",
        wait.as_secs_f64() * 1e3
    );
    println!(
        "share of their time         {:>9.2}",
        wait.as_secs_f64() / whole.as_secs_f64()
    );
}

fn timed(times: usize, work: &dyn Fn()) -> Duration {
    let begun = Instant::now();
    for _ in 0..times {
        work();
    }
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
