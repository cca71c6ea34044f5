//! Random sequences of mounts, changes, faults and restarts against a simple oracle.
//!
//! A case is a plan of steps (`steps`) that a node does on a clock of its own
//! (`world`, `ear`). What was true in Phase at each instant, what Phase said and what the
//! node said is written down (`history`) and judged at the end (`oracle`,
//! `requests`) by rules that know nothing of how the node remembers:
//!
//! 1. Every value was readable by that very token when it was true.
//! 2. In fine weather it is not older than a poll and a half; a new volume's not
//!    older than its class's `maxStale`; an existing one's was true some time.
//! 3. All values of one answer were true together.
//! 4. What Phase was seen to take away is not answered again.
//! 5. An error is one clear line without secrets, never a defect, always in time;
//!    and there is none where Phase and the secrets were there all the time.
//! 6. A warm mount waits for nothing; polls and mounts explain every request; none
//!    is beyond the budget.
//! 7. No volume goes back to an older value.
//! 8. A right that was lost without a word in the tokens answer is noticed in time, by
//!    probes that are rare; what nothing has changed is not read again; and a firewall's
//!    refusals take nothing away (they count as no answer in all of these).
//!
//! What it allows where things race is told at the constants of `oracle`.
//!
//! It notices, each within a thousand cases or so, when one breaks the node so that
//!
//! - the token is left out of an entry's name;
//! - `maxStale` is ignored, or every volume counts as existing;
//! - nothing is dropped when Phase refuses a token;
//! - an environment that is not listed any more is kept for outages;
//! - rows of an older moment stay beside newer ones;
//! - a change in an environment that is only referred to is not looked for;
//! - a new volume is answered without a recent proof, or polls do not probe.
//!
//! `RANDOM_CASES` says how many cases to run in place of the constant, and
//! `RANDOM_SHRINKS` how often to try to make a failing plan shorter.

mod ear;
mod history;
mod oracle;
mod requests;
mod steps;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::steps::{Plan, Step};

/// In all four tests together. Without optimisation a case takes 70 ms, spread over
/// everything, so `cargo test` runs some of those that `cargo test --release` runs.
const CASES: u32 = if cfg!(debug_assertions) {
    1_000
} else {
    10_000
};

/// Runs one case and judges it.
fn case(plan: &Plan) -> Result<(), TestCaseError> {
    // The jitter of a case is the same each time, so that a failure can be shrunk.
    fastrand::seed(7);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let history = runtime.block_on(world::run(plan));
    drop(runtime);
    oracle::judge(&history, plan).map_err(TestCaseError::fail)
}

/// The same cases each time, others for each quarter.
fn quarter(number: u8) {
    let of = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let cases = of("RANDOM_CASES").unwrap_or(CASES) / 4;
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: of("RANDOM_SHRINKS").unwrap_or(2_000),
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[number; 32]);
    let run = TestRunner::new_with_rng(config, rng).run(&steps::plan(), |plan| case(&plan));
    if let Err(TestError::Fail(why, plan)) = run {
        panic!("{why}\n{}", told(&plan));
    }
    run.unwrap();
}

/// A plan as steps to read.
fn told(Plan { budget, steps }: &Plan) -> String {
    let steps = steps.iter().filter(|step| !matches!(step, Step::Nothing));
    let steps = steps.map(|step| format!("  {step:?}\n"));
    format!("budget {budget}\n{}", steps.collect::<String>())
}

#[test]
fn whatever_happens_an_answer_is_a_truth_that_may_be_told_first_quarter() {
    quarter(1);
}

#[test]
fn whatever_happens_an_answer_is_a_truth_that_may_be_told_second_quarter() {
    quarter(2);
}

#[test]
fn whatever_happens_an_answer_is_a_truth_that_may_be_told_third_quarter() {
    quarter(3);
}

#[test]
fn whatever_happens_an_answer_is_a_truth_that_may_be_told_fourth_quarter() {
    quarter(4);
}

#[test]
fn a_lie_on_disk_is_found_out_after_a_restart() {
    use crate::support::model::{Sky, Weather};
    use std::time::Duration;
    let mount = |class| Step::Mount {
        token: 0,
        class,
        pod: 0,
        seconds: 90,
        aside: false,
    };
    let steps = vec![
        Step::Sky(Sky {
            tokens: Weather::Fine,
            secrets: Weather::WrongKey,
        }),
        mount(0),
        Step::Sky(Sky {
            tokens: Weather::Fine,
            secrets: Weather::Fine,
        }),
        mount(4),
        Step::Restart {
            reboots: false,
            wall_seconds: 0,
            away: Duration::from_secs(200),
        },
        Step::Access {
            account: 0,
            environment: 1,
            may_read: true,
        },
        Step::Wait(Duration::ZERO),
        Step::Delete { slot: 1 },
        Step::Wait(Duration::ZERO),
        mount(5),
        Step::Wait(Duration::ZERO),
        Step::Wait(Duration::ZERO),
    ];
    case(&Plan { budget: 60, steps }).unwrap();
}
