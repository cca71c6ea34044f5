//! How many requests a node may have made.

use std::time::Duration;

use super::history::{Heard, History, Said, Time};
use super::steps::{ENVIRONMENTS, Plan, TOKENS};
use crate::snapshot::POLL;

/// A token that nobody mounts with is polled for six minutes, to the end of a pause.
const POLLED: Duration = Duration::from_secs(6 * 60 + 70);

/// How long one poll and the last question of a mount may be on their way in bad
/// weather: each of three questions may wait a minute for its place and then take 90 s.
const UNDER_WAY: Duration = Duration::from_secs(3 * 150);

/// A poll looks somewhat before five minutes are over whether rows may still be read.
const PROBE: Duration = Duration::from_secs(150);

/// What nobody used for longer may have been forgotten.
const UNUSED: Duration = Duration::from_secs(20 * 60);

/// As many attempts has a question.
const ATTEMPTS: usize = 4;

/// Rule 6: requests that polls and mounts explain, within the budget.
pub(super) fn judge(history: &History, plan: &Plan) -> Result<(), String> {
    for life in 0..history.lives.len() {
        for token in 0..TOKENS.len() {
            are_explained(history, life, token)?;
            for environment in 0..ENVIRONMENTS.len() {
                let of = (token, environment);
                are_probes_rare(history, life, of)?;
                are_reads_explained(history, life, of)?;
            }
        }
        are_within_budget(history, life, plan.budget)?;
    }
    Ok(())
}

/// When a life began, and when the next did.
fn span(history: &History, life: usize) -> (Time, Time) {
    let next = history.lives.get(life + 1);
    (
        history.lives[life].at,
        next.map_or(Time::MAX, |next| next.at),
    )
}

fn heard_in(history: &History, life: usize) -> impl Iterator<Item = &Heard> {
    let (first, next) = span(history, life);
    let heard = history.heard.iter();
    heard.filter(move |heard| first <= heard.asked && heard.asked < next)
}

/// Each request follows a mount, and there are not too many.
fn are_explained(history: &History, life: usize, token: usize) -> Result<(), String> {
    let mounts = || {
        let mounts = history.mounts.iter();
        mounts.filter(|mount| mount.life == life && mount.token == token)
    };
    let tokens = heard_in(history, life).filter(|heard| heard.token == token);
    let tokens = tokens.filter(|heard| heard.environment.is_none());
    let (mut count, mut last) = (0, Time::ZERO);
    for heard in tokens {
        let calm = history.is_fine(heard.asked.saturating_sub(UNDER_WAY), heard.asked);
        let most = if calm { POLLED } else { POLLED + UNDER_WAY };
        if !mounts().any(|one| one.begin <= heard.asked && heard.asked <= one.begin + most) {
            return Err(format!("nobody mounted, but token {token} asks: {heard:?}"));
        }
        (count, last) = (count + 1, heard.asked);
    }
    let lasted = last.saturating_sub(history.lives[life].at).as_secs();
    let polls = usize::try_from(lasted / (POLL.as_secs() * 9 / 10)).unwrap() + 2;
    let attempts = if history.is_fine(Time::ZERO, last) {
        1
    } else {
        ATTEMPTS
    };
    // Each mount may begin anew, three times at most, when Phase changes meanwhile.
    let most = attempts * (polls + 4 * mounts().count());
    match count <= most {
        true => Ok(()),
        false => Err(format!(
            "token {token} asks {count} times, {most} are explained"
        )),
    }
}

/// The answers of Phase about one environment, in the order in which they were asked for.
fn told(history: &History, life: usize, (token, environment): (usize, usize)) -> Vec<&Heard> {
    let heard = heard_in(history, life).filter(|heard| {
        (heard.token, heard.environment) == (token, Some(environment)) && heard.said == Said::Yes
    });
    let mut heard: Vec<_> = heard.collect();
    heard.sort_by_key(|heard| heard.asked);
    heard
}

/// What was proven is proven again after some minutes only.
fn are_probes_rare(history: &History, life: usize, of: (usize, usize)) -> Result<(), String> {
    let told = told(history, life, of);
    let mut pairs = told.windows(2).filter(|pair| pair[1].is_probe);
    match pairs.find(|pair| pair[1].asked < pair[0].told + PROBE) {
        Some(pair) => Err(format!("proven again too soon: {pair:?}")),
        None => Ok(()),
    }
}

/// What nothing has changed is not read again, unless it was lost, lay unused for long or
/// is not as new as a day.
fn are_reads_explained(history: &History, life: usize, of: (usize, usize)) -> Result<(), String> {
    let told = told(history, life, of);
    let reads: Vec<_> = told.iter().filter(|heard| !heard.is_probe).collect();
    for pair in reads.windows(2) {
        let [first, second] = [pair[0], pair[1]];
        let is_soon = second.asked - first.told < UNUSED;
        let before = first.asked.saturating_sub(UNDER_WAY);
        let is_same = history.between(before, second.told).count() == 1;
        if is_soon && is_same && history.is_fine(before, second.told) {
            return Err(format!("read again for nothing: {pair:?}"));
        }
    }
    Ok(())
}

/// A full bucket and what flows in within a minute, for each lane.
fn are_within_budget(history: &History, life: usize, budget: u32) -> Result<(), String> {
    let lane = |heard: &Heard| heard.environment.map(|_| TOKENS[heard.token].1);
    let mut heard: Vec<_> = heard_in(history, life).collect();
    heard.sort_by_key(|heard| heard.asked);
    for (place, first) in heard.iter().enumerate() {
        let minute = heard[place..].iter();
        let minute = minute.take_while(|other| other.asked < first.asked + POLL);
        let count = minute.filter(|other| lane(other) == lane(first)).count();
        if count > 2 * budget as usize {
            return Err(format!("{count} requests in the minute after {first:?}"));
        }
    }
    Ok(())
}
