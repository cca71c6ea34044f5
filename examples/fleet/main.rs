//! Many nodes behind one address and with one token: what Phase's limits do to them.
//!
//! The nodes' own code, on a clock that jumps, against a model of Phase's limits.
//! `cargo run --release --example fleet`

#![allow(clippy::print_stdout, reason = "showing is what this program is for")]

mod node;
mod phase;
mod progress;
mod report;
mod row;
mod verdict;

use std::error::Error;
use std::time::Duration;

use clap::Parser;

use crate::phase::Limits;
use crate::progress::Progress;
use crate::row::Plan;

/// How many nodes.
const SIZES: [usize; 5] = [10, 100, 200, 1_000, 5_000];
/// About as much as a minute of real time simulates.
const NODE_MINUTES: u64 = 100_000;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What Phase's limits do to many nodes behind one address and with one token.
#[derive(Parser)]
struct Args {
    /// How many nodes, one row each: 10,100.
    #[arg(long, value_delimiter = ',')]
    nodes: Vec<usize>,
    /// The longest, in minutes, that a roll-out or a change is waited for [default: 100;
    /// fewer for many nodes, so that the end is lived to see].
    #[arg(long)]
    minutes: Option<u64>,
    /// How long nothing changes, in minutes.
    #[arg(long, default_value_t = 10)]
    quiet: u64,
    /// How often each node asks for change, in seconds.
    #[arg(long, default_value_t = 60)]
    poll_interval: u64,
    /// How many changes; none follows one that took very long.
    #[arg(long, default_value_t = 3)]
    changes: usize,
    /// Requests a minute: none, 120 for both endpoints, 120/240 for tokens and secrets.
    #[arg(long, value_delimiter = ',')]
    limit: Vec<Limits>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut rows = Vec::new();
    for (nodes, limits) in args.rows() {
        let mut progress = Progress::new(format!("{nodes} nodes, {}", report::limit(limits)));
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let plan = Plan {
            nodes,
            limits,
            poll: Duration::from_secs(args.poll_interval),
            most: minutes(args.minutes.unwrap_or_else(|| patience(nodes))),
            quiet: minutes(args.quiet),
            changes: args.changes,
        };
        rows.push(row::simulate(plan, &mut progress)?);
    }
    report::tables(&rows);
    verdict::tell(&rows);
    Ok(())
}

/// How many minutes are waited for if nobody says.
fn patience(nodes: usize) -> u64 {
    (NODE_MINUTES / nodes.max(1) as u64).clamp(10, 100)
}

impl Args {
    /// Those that were asked for; by default every size under the limit of Cloud's free
    /// plan, and one size under others.
    fn rows(&self) -> Vec<(usize, Limits)> {
        let one = |limit| Limits {
            tokens: limit,
            secrets: limit,
        };
        let free = one(Some(120));
        if self.nodes.is_empty() && self.limit.is_empty() {
            let sizes = SIZES.map(|nodes| (nodes, free));
            let limits = [one(Some(240)), one(None)];
            return sizes
                .into_iter()
                .chain(limits.map(|limits| (1_000, limits)))
                .collect();
        }
        let nodes = if self.nodes.is_empty() {
            &SIZES[..]
        } else {
            &self.nodes
        };
        let limits = if self.limit.is_empty() {
            &[free][..]
        } else {
            &self.limit
        };
        let rows = limits
            .iter()
            .flat_map(|limit| nodes.iter().map(|nodes| (*nodes, *limit)));
        rows.collect()
    }
}
