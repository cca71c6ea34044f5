//! How many requests a node may have made.

use std::time::Duration;

use super::history::{Heard, History, Time};
use super::steps::{Plan, TOKENS};
use crate::snapshot::POLL;

/// A token that nobody mounts with is polled for six minutes, to the end of a pause.
const POLLED: Duration = Duration::from_secs(6 * 60 + 70);

/// How long one poll and the last question of a mount may be on their way in bad
/// weather: each of three questions may wait a minute for its place and then take 90 s.
const UNDER_WAY: Duration = Duration::from_secs(3 * 150);

/// As many attempts has a question.
const ATTEMPTS: usize = 4;

/// Rule 6: requests that polls and mounts explain, within the budget.
pub(super) fn judge(history: &History, plan: &Plan) -> Result<(), String> {
    for life in 0..history.lives.len() {
        for token in 0..TOKENS.len() {
            are_explained(history, life, token)?;
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
