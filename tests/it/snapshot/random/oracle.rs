//! What a node may have said, judged by what was true.
//!
//! Each rule looks at one mount, or at the requests, and at the history alone; none
//! knows how the node remembers.

use std::time::Duration;

use phase_csi_provider::cause::Cause;

use super::history::{Heard, History, Mounted, Said, Time};
use super::steps::{CLASSES, Plan, SLOTS, change_of};
use crate::snapshot::{Files, LATENCY, POLL};

/// How old a view may be that counts for how things are: a poll interval and a
/// half, and 5 s.
const FRESH: Duration = Duration::from_secs(95);

/// Fine weather for so long, and nothing of what was before is left: two polls; a
/// 429 whose wait began at the last moment, with its jitter; a request that was
/// hanging; and the hold after a failure.
const SETTLED: Duration = Duration::from_secs(200);

/// The environments of one moment are fetched one after the other, and Phase has no
/// way to ask for both at once: between the tokens answer and the last of them up to
/// 10 s may pass, and the way of each. What changes within may show one half.
const ONE_MOMENT: Duration = Duration::from_secs(11);

/// The same while answers are slow or fail: each may take a question's whole time.
const ONE_LONG_MOMENT: Duration = Duration::from_secs(300);

/// How old a proof of a right may be, and the way of the question.
const PROVEN: Duration = Duration::from_secs(301);

/// What a mount said, file by file: the change of each, or nothing where there is none.
type Values = Vec<Option<u32>>;

/// The first rule that is broken, and by what.
pub(super) fn judge(history: &History, plan: &Plan) -> Result<(), String> {
    for mount in &history.mounts {
        let judged = judge_mount(history, plan, mount);
        judged.map_err(|why| format!("{why}: {mount:?}"))?;
    }
    super::requests::judge(history, plan)
}

fn judge_mount(history: &History, plan: &Plan, mount: &Mounted) -> Result<(), String> {
    if mount.end > mount.begin + mount.limit {
        return Err("a mount ends before its deadline".to_owned());
    }
    match mount.said.as_ref().unwrap() {
        Err((cause, text)) => {
            is_clear(*cause, text)?;
            is_excused(history, plan, mount)
        }
        Ok(files) => {
            let values = read(mount, files)?;
            was_true(history, mount, &values)?;
            had_the_right(history, plan, mount)?;
            is_not_older_than_before(history, mount, &values)?;
            is_instant_when_warm(history, mount)
        }
    }
}

/// Rule 5: what an error may say.
fn is_clear(cause: Cause, text: &str) -> Result<(), String> {
    let is_line = !text.is_empty() && text.len() < 500 && !text.contains(char::is_control);
    let has_secret = text.contains("canary") || text.contains("pss_");
    match cause != Cause::Internal && is_line && !has_secret {
        true => Ok(()),
        false => Err("an error is one clear line without secrets".to_owned()),
    }
}

/// In fine weather whoever may read what is there gets it.
fn is_excused(history: &History, plan: &Plan, mount: &Mounted) -> Result<(), String> {
    let since = mount.begin.saturating_sub(SETTLED);
    let mut epochs = history.between(since, mount.end);
    let there = epochs.all(|epoch| epoch.truth.files(mount.token, mount.class).is_some());
    // With a small budget a mount may wait too long, and one in a hurry always may.
    let hurries = mount.limit < Duration::from_secs(30) || plan.budget < 60;
    match history.is_fine(since, mount.end) && there && !hurries {
        true => Err("Phase is there and so are the secrets, but the mount fails".to_owned()),
        false => Ok(()),
    }
}

/// The changes that the files came with; there is no file that does not belong here.
fn read(mount: &Mounted, files: &Files) -> Result<Values, String> {
    let class = &CLASSES[mount.class];
    let belongs = |name: &String| class.files.iter().any(|file| file.0 == name);
    if !files.iter().all(|(name, _)| belongs(name)) {
        return Err("an answer has a file that the class does not name".to_owned());
    }
    let value = |name: &str| {
        let file = files.iter().find(|(path, _)| path == name);
        let change = file.map(|(_, text)| change_of(text).ok_or("a file has a value of nobody"));
        change.transpose()
    };
    let values = class.files.iter().map(|file| value(file.0));
    Ok(values.collect::<Result<_, _>>()?)
}

/// Rules 1 to 4: the answer was the truth for this token at one instant, which is
/// not before `since`.
fn was_true(history: &History, mount: &Mounted, values: &Values) -> Result<(), String> {
    let since = oldest(history, mount).max(last_loss(history, mount));
    let mut begins = history
        .between(since, mount.end)
        .map(|epoch| epoch.begin.max(since));
    match begins.any(|at| was_true_about(history, mount, values, at, since)) {
        true => Ok(()),
        false => Err(format!("{values:?} was no truth since {since:?}")),
    }
}

/// Whether each value was true for the token at some instant of the one moment that
/// begins at `at`.
fn was_true_about(
    history: &History,
    mount: &Mounted,
    values: &Values,
    at: Time,
    since: Time,
) -> bool {
    let calm = history.is_fine(
        at.saturating_sub(ONE_LONG_MOMENT),
        at.saturating_add(ONE_LONG_MOMENT),
    );
    let moment = if calm { ONE_MOMENT } else { ONE_LONG_MOMENT };
    let last = mount.end.min(at.saturating_add(moment));
    let files = CLASSES[mount.class].files;
    let was = |(value, &(_, slot, _)): (&Option<u32>, &(_, usize, bool))| {
        history.between(at.max(since), last).any(|epoch| {
            let truth = &epoch.truth;
            truth.is_listed(mount.token, SLOTS[slot].0) && truth.slots[slot] == *value
        })
    };
    values.iter().zip(files).all(was)
}

/// Rule 2: from when on an answer may be.
fn oldest(history: &History, mount: &Mounted) -> Time {
    let before = |age: Duration| mount.begin.saturating_sub(age);
    let life = history.lives[mount.life];
    // A wall clock that was set back while the node was off: nobody can know.
    let set_back = life.set_back;
    if history.is_fine(before(SETTLED), mount.end) {
        return before(FRESH + LATENCY * 2 + set_back);
    }
    if exists(history, mount) {
        return Time::ZERO;
    }
    let stale = CLASSES[mount.class].most_stale();
    match is_known_away(history, mount) {
        true => before(stale + set_back),
        false => before(stale.max(FRESH) + set_back),
    }
}

/// Rule 8: the role could read secrets at an instant that is not longer ago than a new
/// volume's proof may be, or than it takes to look again for one that exists.
fn had_the_right(history: &History, plan: &Plan, mount: &Mounted) -> Result<(), String> {
    let before = |age: Duration| mount.begin.saturating_sub(age);
    let is_fine = history.is_fine(before(PROVEN * 2), mount.end);
    let age = match (is_fine, exists(history, mount)) {
        // Polls may have to wait for the budget.
        (true, true) if plan.budget < 60 => return Ok(()),
        (true, _) => PROVEN,
        // It keeps what it has; and what was proven before a restart is not known after it.
        (false, true) => return Ok(()),
        (false, false) if mount.life > 0 => return Ok(()),
        (false, false) => CLASSES[mount.class].most_stale().max(PROVEN),
    };
    let since = before(age).max(last_loss(history, mount));
    let mut epochs = history.between(since, mount.end);
    match epochs.any(|epoch| epoch.truth.has_right(mount.token)) {
        true => Ok(()),
        false => Err(format!("the right to read was lost before {since:?}")),
    }
}

/// Whether the volume was answered with this token before, in this boot. A node that
/// forgot it takes it for new, which is stricter.
fn exists(history: &History, mount: &Mounted) -> bool {
    let boot = |mount: &Mounted| history.lives[mount.life].boot;
    history.mounts.iter().any(|other| {
        other.end <= mount.begin
            && matches!(other.said, Some(Ok(_)))
            && (other.token, other.pod) == (mount.token, mount.pod)
            && boot(other) == boot(mount)
    })
}

/// Whether four attempts in a row brought nothing: as many as one question has, so
/// at least one question failed, and none since brought anything.
fn is_known_away(history: &History, mount: &Mounted) -> bool {
    let life = history.lives[mount.life].at;
    let of_token = |heard: &&Heard| {
        heard.token == mount.token
            && heard.environment.is_none()
            && heard.asked >= life
            && heard.told < mount.begin
    };
    let heard: Vec<_> = history.heard.iter().filter(of_token).collect();
    let last = heard.iter().rev().take(4);
    heard.len() >= 4 && last.clone().all(|heard| heard.said == Said::Nothing)
}

/// Rule 4: the last instant at which Phase looked and had something against it, and
/// said so before the mount: what was true before must not be answered any more. A
/// mount that is under way when an environment is lost may still end with what it
/// read; when the token itself is refused it may not.
fn last_loss(history: &History, mount: &Mounted) -> Time {
    let losses = history.heard.iter().filter(|heard| {
        let is_refused = heard.said == Said::No && heard.environment.is_none();
        let by = if is_refused { mount.end } else { mount.begin };
        heard.token == mount.token && heard.told < by && denies(history, heard, mount)
    });
    losses.map(|heard| heard.seen).max().unwrap_or_default()
}

fn denies(history: &History, heard: &Heard, mount: &Mounted) -> bool {
    let class = &CLASSES[mount.class];
    // What changed at this very instant may have been seen or not.
    let mut then = history.between(heard.seen, heard.seen);
    match (heard.said, heard.environment) {
        (Said::Nothing, _) | (Said::Yes, Some(_)) => false,
        (Said::No, None) => true,
        (Said::Yes, None) => then.all(|epoch| !epoch.truth.is_open(mount.token, mount.class)),
        (Said::No, Some(environment)) => {
            class.environments.contains(&environment)
                || then.all(|epoch| epoch.truth.revoked[heard.token])
        }
    }
}

/// Rule 7: no volume goes back. After a restart in an outage it may: what lies on
/// disk is what was written last, not what was answered last.
fn is_not_older_than_before(
    history: &History,
    mount: &Mounted,
    values: &Values,
) -> Result<(), String> {
    let name = |mount: &Mounted| (mount.token, mount.class, mount.pod);
    let fine = history.is_fine(mount.begin.saturating_sub(SETTLED), mount.end);
    for other in &history.mounts {
        let is_before = name(other) == name(mount) && other.end <= mount.begin;
        let is_before = is_before && !std::ptr::eq(other, mount);
        let counts = is_before && (fine || other.life == mount.life);
        if let (true, Some(Ok(files))) = (counts, &other.said) {
            let earlier = read(other, files)?;
            let went_back = |(old, new): (&Option<u32>, &Option<u32>)| new.is_some() && old > new;
            if earlier.iter().zip(values).any(went_back) {
                return Err(format!("a volume that had {earlier:?} got {values:?}"));
            }
        }
    }
    Ok(())
}

/// Rule 6: a class that was answered a while ago, in fine weather and without any
/// change since, is answered at once and without any request.
fn is_instant_when_warm(history: &History, mount: &Mounted) -> Result<(), String> {
    let since = mount.begin.saturating_sub(SETTLED);
    let calm = |one: &Mounted| history.is_fine(one.begin.saturating_sub(SETTLED), one.end);
    // Polls go on for six minutes after the last mount.
    let warms = |other: &Mounted| {
        (other.token, other.class, other.life) == (mount.token, mount.class, mount.life)
            && other.end <= mount.begin
            && mount.begin - other.end <= POLL * 5
            && matches!(other.said, Some(Ok(_)))
            && calm(other)
    };
    let is_warm = calm(mount)
        && history.lives[mount.life].at <= since
        && history.between(since, mount.end).count() == 1
        && history
            .mounts
            .iter()
            .any(|other| warms(other) && !std::ptr::eq(other, mount));
    match is_warm && mount.end > mount.begin {
        true => Err("a warm mount waits for something".to_owned()),
        false => Ok(()),
    }
}
