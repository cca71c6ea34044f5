//! Where the limit is, in plain words, of the rows that were measured.

use crate::phase::Limits;
use crate::report::{length, limit, slowest};
use crate::row::{self, Row, Spread};

/// What the rows mean.
pub(crate) fn tell(rows: &[Row]) {
    let Some(rate) = rate(rows) else {
        println!(
            "Phase refused something in every row: how much a node asks by itself is not known."
        );
        rows.iter().for_each(beyond);
        return;
    };
    println!("Where nothing was refused, a node asked for tokens {rate:.2} times a minute.");
    for limits in each_limit(rows) {
        let of_limit = || rows.iter().filter(|row| row.plan.limits == limits);
        if let Some(most) = limits.tokens {
            let nodes = most as f64 / rate;
            println!(
                "\nWith {}, the tokens endpoint is enough for about {nodes:.0} nodes behind one address.",
                limit(limits)
            );
        } else {
            println!("\nWith {}:", limit(limits));
        }
        of_limit().filter(|row| !row.is_refused()).for_each(within);
        of_limit().filter(|row| row.is_refused()).for_each(beyond);
    }
}

/// How often a node asks by itself, in the largest fleet that was not refused.
fn rate(rows: &[Row]) -> Option<f64> {
    let free = rows.iter().filter(|row| !row.is_refused());
    let row = free.max_by_key(|row| row.plan.nodes)?;
    let minutes = row.quiet.took.as_secs_f64() / 60.0;
    Some(row.quiet.asked.tokens.all() as f64 / minutes / row.plan.nodes as f64)
}

fn each_limit(rows: &[Row]) -> Vec<Limits> {
    let mut all = Vec::new();
    for limits in rows.iter().map(|row| row.plan.limits) {
        if !all.contains(&limits) {
            all.push(limits);
        }
    }
    all
}

/// A fleet whose polls were all answered.
fn within(row: &Row) {
    println!(
        "- {} nodes: within it. A change: {}. A roll-out {}.",
        row.plan.nodes,
        reached(&row.changes, 100),
        rolled_out(row),
    );
}

/// A fleet that asks for more than it may.
fn beyond(row: &Row) {
    let (quiet, nodes) = (&row.quiet, row.plan.nodes);
    let minutes = quiet.took.as_secs_f64() / 60.0;
    let a_minute = |requests: usize| requests as f64 / minutes;
    let accepted = a_minute(quiet.asked.tokens.accepted);
    println!(
        "- {nodes} nodes: beyond it. Phase accepts {accepted:.0} polls a minute and refuses {:.0}, so a node's turn comes every {:.1} min on the average.",
        a_minute(quiet.asked.tokens.refused),
        nodes as f64 / accepted.max(f64::MIN_POSITIVE),
    );
    let reached = [50, 99, 100].map(|percent| reached(&row.changes, percent));
    println!("  A change: {}.", reached.join("; "));
    println!(
        "  The daemons go on from memory: {:.0} % of the answers were not confirmed in time (the oldest was {} old after {} under the limit), and {} of {} republishes failed.",
        quiet.stale_percent(),
        length(quiet.age(100)),
        length(row::SETTLE + quiet.took),
        quiet.failed,
        quiet.answers as usize + quiet.failed,
    );
    println!("  A roll-out {}.", rolled_out(row));
}

/// When the slowest of all changes had come to so many volumes.
fn reached(all: &[Spread], percent: usize) -> String {
    let Some(slowest) = slowest(all, percent) else {
        return "there was none".to_owned();
    };
    match slowest.until(percent) {
        Some(time) => format!("{percent} % of the volumes have it after {}", length(time)),
        None => format!(
            "{percent} % do not have it within {} ({:.0} % do)",
            length(slowest.took),
            slowest.percent().floor()
        ),
    }
}

fn rolled_out(row: &Row) -> String {
    let limits = [row.plan.limits.tokens, row.plan.limits.secrets];
    let spread = &row.rollout;
    let took = match spread.until(100) {
        Some(time) => format!("takes {}", length(time)),
        None => format!(
            "is not done after {} ({:.0} % of the volumes are mounted)",
            length(spread.took),
            spread.percent().floor()
        ),
    };
    match limits.into_iter().flatten().min() {
        Some(most) if row.plan.nodes > most => format!(
            "{took}; with every request for it alone it would take {} min",
            (row.plan.nodes - 1) / most
        ),
        _ => took,
    }
}
