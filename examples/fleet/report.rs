//! What was measured, as tables that a document can hold.

use std::time::Duration;

use crate::phase::{Count, Limits};
use crate::row::{Row, Spread};

/// All tables.
pub(crate) fn tables(rows: &[Row]) {
    println!("Nothing changes: requests a minute as Phase sees them.\n");
    println!(
        "| limit | nodes | tokens | refused | secrets | refused | most in one minute: tokens | secrets | stale answers | failed | confirmed ago: half | all |"
    );
    println!("|{}", " ---: |".repeat(12));
    rows.iter().for_each(quiet);
    println!(
        "\nOne secret changes: time until volumes have the new value, the slowest of all changes (requests are the average of a change).\n"
    );
    println!(
        "| limit | nodes | changes | 50 % | 99 % | 100 % | tokens | refused | secrets | refused | failed |"
    );
    println!("|{}", " ---: |".repeat(11));
    rows.iter().for_each(changes);
    println!("\nAll nodes start all their pods within a minute: time until volumes are mounted.\n");
    println!(
        "| limit | nodes | 50 % | 99 % | 100 % | tokens | refused | secrets | refused | failed mounts |"
    );
    println!("|{}", " ---: |".repeat(10));
    rows.iter().for_each(roll_out);
    println!();
}

fn quiet(row: &Row) {
    let quiet = &row.quiet;
    let minutes = quiet.took.as_secs_f64() / 60.0;
    let each = |count: Count| {
        let rate = |n: usize| n as f64 / minutes;
        format!("{:.0} | {:.0}", rate(count.accepted), rate(count.refused))
    };
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.1} % | {} | {} | {} |",
        row.plan.limits,
        row.plan.nodes,
        each(quiet.asked.tokens),
        each(quiet.asked.secrets),
        quiet.busiest.tokens.all(),
        quiet.busiest.secrets.all(),
        quiet.stale_percent(),
        quiet.failed,
        length(quiet.age(50)),
        length(quiet.age(100)),
    );
}

fn changes(row: &Row) {
    let all = &row.changes;
    let time = |percent| slowest(all, percent).map_or_else(String::new, |one| until(one, percent));
    let sum = |of: fn(&Spread) -> usize| all.iter().map(of).sum::<usize>() / all.len().max(1);
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.plan.limits,
        row.plan.nodes,
        all.len(),
        time(50),
        time(99),
        time(100),
        sum(|one| one.asked.tokens.accepted),
        sum(|one| one.asked.tokens.refused),
        sum(|one| one.asked.secrets.accepted),
        sum(|one| one.asked.secrets.refused),
        sum(|one| one.failed),
    );
}

fn roll_out(row: &Row) {
    let spread = &row.rollout;
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.plan.limits,
        row.plan.nodes,
        until(spread, 50),
        until(spread, 99),
        until(spread, 100),
        spread.asked.tokens.accepted,
        spread.asked.tokens.refused,
        spread.asked.secrets.accepted,
        spread.asked.secrets.refused,
        spread.failed,
    );
}

/// The change that took longest to come to so many hundredths of the volumes.
pub(crate) fn slowest(all: &[Spread], percent: usize) -> Option<&Spread> {
    all.iter()
        .max_by_key(|one| one.until(percent).unwrap_or(Duration::MAX))
}

/// The time, or how many had it when nobody waited any longer.
fn until(spread: &Spread, percent: usize) -> String {
    match spread.until(percent) {
        Some(time) => length(time),
        None => format!(
            "{:.0} % after {}",
            spread.percent().floor(),
            length(spread.took)
        ),
    }
}

/// In seconds, or minutes where that says enough.
pub(crate) fn length(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..180 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

/// How a sentence names a limit.
pub(crate) fn limit(limits: Limits) -> String {
    match limits {
        Limits {
            tokens: None,
            secrets: None,
        } => "no limit".to_owned(),
        limits => format!("a limit of {limits} a minute"),
    }
}
