//! One row of the tables: a fleet of one size under one limit.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::node::Fleet;
use crate::phase::{Counts, Limits, Phase};
use crate::progress::Progress;

/// Within this time all nodes start all their pods.
const START: Duration = Duration::from_secs(60);
/// How long a fleet lives under its limit before anything is counted.
pub(crate) const SETTLE: Duration = Duration::from_secs(10 * 60);
/// After a change that took so long, no other is made: it says enough.
const LONG: Duration = Duration::from_secs(20 * 60);
/// Between two looks at how far things are.
const LOOK: Duration = Duration::from_secs(1);

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) limits: Limits,
    /// How often each node asks for change.
    pub(crate) poll: Duration,
    /// The longest that a roll-out or a change is waited for.
    pub(crate) most: Duration,
    /// How long nothing changes.
    pub(crate) quiet: Duration,
    pub(crate) changes: usize,
}

/// What became of it.
pub(crate) struct Row {
    pub(crate) plan: Plan,
    pub(crate) rollout: Spread,
    pub(crate) quiet: Quiet,
    pub(crate) changes: Vec<Spread>,
}

/// How something came to all volumes.
pub(crate) struct Spread {
    /// How long after the start volumes had it, sorted.
    pub(crate) times: Vec<Duration>,
    /// How many volumes there are.
    pub(crate) volumes: usize,
    /// For how long it was waited.
    pub(crate) took: Duration,
    /// What Phase was asked meanwhile.
    pub(crate) asked: Counts,
    /// Mounts and republishes that failed meanwhile.
    pub(crate) failed: usize,
}

/// A time in which nothing changes.
pub(crate) struct Quiet {
    pub(crate) took: Duration,
    pub(crate) asked: Counts,
    /// The busiest minute, each number for itself.
    pub(crate) busiest: Counts,
    pub(crate) answers: u64,
    /// Those of them that Phase did not confirm in time.
    pub(crate) stale: u64,
    pub(crate) failed: usize,
    /// How long ago Phase confirmed what a node has, sorted.
    pub(crate) ages: Vec<Duration>,
}

/// Simulates it: once from nothing under the limit, and once as a fleet that has grown
/// slowly enough for the limit never to have mattered.
pub(crate) fn simulate(plan: Plan, progress: &mut Progress) -> Result<Row> {
    let rollout = on_its_own_clock(roll_out(plan, progress))?;
    let (quiet, changes) = on_its_own_clock(live(plan, progress))?;
    Ok(Row {
        plan,
        rollout,
        quiet,
        changes,
    })
}

/// On one thread, and a clock that jumps to the next thing that happens.
fn on_its_own_clock<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    fastrand::seed(7);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()?;
    runtime.block_on(work)
}

async fn roll_out(plan: Plan, progress: &mut Progress) -> Result<Spread> {
    let phase = Phase::new()?;
    phase.limit(plan.limits);
    let fleet = Fleet::start(&phase, plan.nodes, plan.poll, START)?;
    let begun = Begun::now(&fleet);
    Ok(begun.wait_for(0, plan.most, "roll-out", progress).await)
}

async fn live(plan: Plan, progress: &mut Progress) -> Result<(Quiet, Vec<Spread>)> {
    let phase = Phase::new()?;
    let fleet = Fleet::start(&phase, plan.nodes, plan.poll, START)?;
    sleep(START * 2).await;
    phase.limit(plan.limits);
    sleep(SETTLE).await;
    let quiet = quiet(&fleet, plan.quiet, progress).await;
    let mut changes = Vec::new();
    for number in 1..=plan.changes {
        phase.change(number)?;
        let begun = Begun::now(&fleet);
        let what = format!("change {number}");
        let change = begun.wait_for(number, plan.most, &what, progress).await;
        let is_long = change.took >= LONG;
        changes.push(change);
        if is_long {
            break;
        }
    }
    Ok((quiet, changes))
}

/// The start of something that comes to all volumes.
struct Begun<'a> {
    fleet: &'a Fleet,
    at: Instant,
    asked: Counts,
    failed: usize,
}

impl<'a> Begun<'a> {
    fn now(fleet: &'a Fleet) -> Self {
        Self {
            fleet,
            at: Instant::now(),
            asked: fleet.phase.counts(),
            failed: fleet.board.failed(),
        }
    }

    async fn wait_for(
        &self,
        number: usize,
        most: Duration,
        what: &str,
        progress: &mut Progress,
    ) -> Spread {
        let board = &self.fleet.board;
        let volumes = self.fleet.volumes();
        while board.arrived(number) < volumes && self.at.elapsed() < most {
            sleep(LOOK).await;
            progress.show(what, self.at.elapsed(), board.arrived(number), volumes);
        }
        let arrivals = board.arrivals(number).into_iter();
        Spread {
            times: arrivals.map(|at| at - self.at).collect(),
            volumes,
            took: self.at.elapsed(),
            asked: self.fleet.phase.counts() - self.asked,
            failed: board.failed() - self.failed,
        }
    }
}

async fn quiet(fleet: &Fleet, length: Duration, progress: &mut Progress) -> Quiet {
    let begun = Begun::now(fleet);
    let (answers, stale) = answers(fleet);
    let mut busiest = Counts::default();
    let mut before = begun.asked;
    while begun.at.elapsed() < length {
        sleep(Duration::from_secs(60)).await;
        let now = fleet.phase.counts();
        busiest = busiest.max(now - before);
        before = now;
        progress.show("nothing changes", begun.at.elapsed(), 1, 1);
    }
    let after = self::answers(fleet);
    let ages = fleet.figures();
    let mut ages: Vec<_> = ages.iter().filter_map(|figures| figures.oldest).collect();
    ages.sort_unstable();
    Quiet {
        took: begun.at.elapsed(),
        asked: fleet.phase.counts() - begun.asked,
        busiest,
        answers: after.0 - answers,
        stale: after.1 - stale,
        failed: fleet.board.failed() - begun.failed,
        ages,
    }
}

/// All answers of all nodes so far, and those of them that Phase did not confirm.
fn answers(fleet: &Fleet) -> (u64, u64) {
    let figures = fleet.figures().into_iter();
    figures.fold((0, 0), |(all, stale), figures| {
        let confirmed = figures.from_backend + figures.from_disk + figures.from_memory;
        (all + confirmed + figures.stale, stale + figures.stale)
    })
}

impl Spread {
    /// How long it took until so many hundredths of all volumes had it.
    pub(crate) fn until(&self, percent: usize) -> Option<Duration> {
        let needed = (self.volumes * percent).div_ceil(100);
        self.times.get(needed.checked_sub(1)?).copied()
    }

    /// How many hundredths of the volumes have it.
    pub(crate) fn percent(&self) -> f64 {
        100.0 * self.times.len() as f64 / self.volumes as f64
    }
}

impl Row {
    /// Whether Phase refuses more than a hundredth of what the fleet asks for while
    /// nothing changes.
    pub(crate) fn is_refused(&self) -> bool {
        let Counts { tokens, secrets } = self.quiet.asked;
        100 * (tokens.refused + secrets.refused) > tokens.all() + secrets.all()
    }
}

impl Quiet {
    /// How long ago Phase confirmed what the youngest so many hundredths of nodes have.
    pub(crate) fn age(&self, percent: usize) -> Duration {
        let place = (self.ages.len() * percent).div_ceil(100).saturating_sub(1);
        self.ages.get(place).copied().unwrap_or_default()
    }

    pub(crate) fn stale_percent(&self) -> f64 {
        100.0 * self.stale as f64 / self.answers.max(1) as f64
    }
}
