//! Fills values in, targets before those who refer to them.
//!
//! First it is counted how long every value becomes: a few small values can refer to a
//! large one so often that no memory would do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::environment::Secret;
use super::gather::{Edge, Node};
use super::resolve::{BadReference, BadReferences, Problem};
use super::selection::clipped;
use super::{Error, OnReferenceError};
use crate::quota::{Meter, Turn};

/// As deep as the server itself goes.
pub(super) const DEEPEST: usize = 25;
/// No answer can be larger than the driver's receive limit; far less is sane.
const LARGEST: u64 = 4 << 20;
/// All values with references of one class, once they are resolved.
const LARGEST_SUM: u64 = 16 << 20;

/// Secrets whose references are resolved.
pub(super) struct Resolved {
    /// The secrets, in the order given.
    pub(super) secrets: Vec<Arc<Secret>>,
    /// References whose text was kept.
    pub(super) kept: BadReferences,
}

/// The first `wanted` secrets of all nodes, with their references replaced. A value in a
/// circle stays whole, as it is stored.
pub(super) fn fill_in(
    mut nodes: Vec<Node>,
    wanted: usize,
    mode: OnReferenceError,
    memory: &Meter,
    turn: &Turn,
) -> Result<Resolved, Error> {
    let Order {
        nodes: order,
        circular,
    } = targets_first(&nodes);
    let order: Vec<_> = order
        .into_iter()
        .filter(|node| !circular.contains(node))
        .collect();
    deep(&nodes, &order)?;
    let kept = bad(&nodes, &circular);
    if mode == OnReferenceError::Fail && kept.count > 0 {
        return Err(Error::References(kept));
    }
    let lengths = lengths(&nodes, &order)?;
    let sum = lengths
        .values()
        .fold(0, |sum: u64, &length| sum.saturating_add(length));
    if sum > LARGEST_SUM {
        return Err(Error::LargeSum {
            bytes: sum,
            most: LARGEST_SUM,
        });
    }
    memory.take(sum)?;
    for node in order {
        turn.checkpoint()?;
        if let Some(&length) = lengths.get(&node) {
            let value = replaced(&nodes, node, length as usize);
            nodes[node].value = Some(value);
        }
    }
    let secrets = nodes.into_iter().take(wanted);
    Ok(Resolved {
        secrets: secrets.map(|node| Arc::new(node.resolved())).collect(),
        kept,
    })
}

/// No chain of references may be too long.
fn deep(nodes: &[Node], order: &[usize]) -> Result<(), Error> {
    let mut depths = vec![0; nodes.len()];
    for &node in order {
        let Node { secret, edges, .. } = &nodes[node];
        let targets = edges.iter().filter_map(Edge::target);
        depths[node] = targets.map(|target| depths[target] + 1).max().unwrap_or(0);
        if depths[node] > DEEPEST {
            let deep = BadReference {
                reference: "a reference".to_owned(),
                key: clipped(&secret.key),
                folder: secret.folder.clone(),
                problem: Problem::Deep,
            };
            return Err(Error::References(BadReferences {
                first: vec![deep],
                count: 1,
            }));
        }
    }
    Ok(())
}

/// The references that lead nowhere, and of each value in a circle the first that keeps
/// it there.
fn bad(nodes: &[Node], circular: &HashSet<usize>) -> BadReferences {
    let mut all = BadReferences::default();
    let mut add = |secret: &Secret, edge: &Edge, problem: &Problem| {
        all.count += 1;
        if all.first.len() < BadReferences::SHOWN {
            let text = &secret.value.expose_secret()[edge.place.clone()];
            all.first
                .push(BadReference::new(text, secret, problem.clone()));
        }
    };
    for (number, Node { secret, edges, .. }) in nodes.iter().enumerate() {
        if circular.contains(&number) {
            let closes = |edge: &&Edge| edge.target().is_some_and(|to| circular.contains(&to));
            if let Some(edge) = edges.iter().find(closes) {
                add(secret, edge, &Problem::Circle);
            }
            continue;
        }
        for edge in edges {
            if let Err(problem) = &edge.target {
                add(secret, edge, problem);
            }
        }
    }
    all
}

/// How long the values become that change; of all others nothing is said.
fn lengths(nodes: &[Node], order: &[usize]) -> Result<HashMap<usize, u64>, Error> {
    let mut lengths: HashMap<usize, u64> = HashMap::new();
    for &node in order {
        let Node { secret, edges, .. } = &nodes[node];
        let raw = |node: usize| nodes[node].secret.value.expose_secret().len() as u64;
        let mut length = raw(node);
        let mut changes = false;
        for edge in edges {
            if let Some(target) = edge.target() {
                changes = true;
                let of = lengths.get(&target).copied();
                length = (length - edge.place.len() as u64)
                    .saturating_add(of.unwrap_or_else(|| raw(target)));
            }
        }
        if length > LARGEST && changes {
            return Err(Error::LargeValue {
                key: clipped(&secret.key),
                folder: secret.folder.clone(),
                most: LARGEST,
            });
        }
        if changes {
            lengths.insert(node, length);
        }
    }
    Ok(lengths)
}

/// All nodes, each after those it refers to, save for those in a circle.
struct Order {
    nodes: Vec<usize>,
    circular: HashSet<usize>,
}

fn targets_first(nodes: &[Node]) -> Order {
    let mut referrers = vec![Vec::new(); nodes.len()];
    let mut waiting = vec![0; nodes.len()];
    for (node, Node { edges, .. }) in nodes.iter().enumerate() {
        for target in edges.iter().filter_map(Edge::target) {
            referrers[target].push(node);
            waiting[node] += 1;
        }
    }
    let mut order = Vec::with_capacity(nodes.len());
    let free = (0..nodes.len())
        .filter(|&node| waiting[node] == 0)
        .collect();
    settle(&referrers, &mut waiting, &mut order, free);
    let left: Vec<_> = (0..nodes.len()).filter(|&node| waiting[node] > 0).collect();
    let circular = in_circles(nodes, &left);
    // Circles keep their stored text, so whoever refers to them can go on.
    for &node in &circular {
        waiting[node] = 0;
    }
    settle(&referrers, &mut waiting, &mut order, circular.clone());
    Order {
        nodes: order,
        circular: circular.into_iter().collect(),
    }
}

/// Moves every node that waits for nothing any more into the order.
fn settle(
    referrers: &[Vec<usize>],
    waiting: &mut [usize],
    order: &mut Vec<usize>,
    mut free: Vec<usize>,
) {
    while let Some(node) = free.pop() {
        order.push(node);
        for &referrer in &referrers[node] {
            if waiting[referrer] > 0 {
                waiting[referrer] -= 1;
                if waiting[referrer] == 0 {
                    free.push(referrer);
                }
            }
        }
    }
}

/// Of nodes that lead into a circle, those that a circle also leads to.
fn in_circles(nodes: &[Node], left: &[usize]) -> Vec<usize> {
    let mut referred: HashMap<usize, usize> = left.iter().map(|&node| (node, 0)).collect();
    let targets = |node: usize| {
        let edges = nodes[node].edges.iter();
        edges.filter_map(Edge::target)
    };
    for &node in left {
        for target in targets(node) {
            if let Some(count) = referred.get_mut(&target) {
                *count += 1;
            }
        }
    }
    let mut free: Vec<_> = left
        .iter()
        .copied()
        .filter(|node| referred[node] == 0)
        .collect();
    while let Some(node) = free.pop() {
        referred.remove(&node);
        for target in targets(node) {
            if let Some(count) = referred.get_mut(&target) {
                *count -= 1;
                if *count == 0 {
                    free.push(target);
                }
            }
        }
    }
    let mut circular: Vec<_> = referred.into_keys().collect();
    circular.sort_unstable();
    circular
}

/// The value of a node with each resolvable reference replaced; the new text is not
/// searched for references again.
fn replaced(nodes: &[Node], node: usize, length: usize) -> SecretString {
    let Node { secret, edges, .. } = &nodes[node];
    let raw = secret.value.expose_secret();
    // Reserved in full, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut at = 0;
    for edge in edges {
        if let Some(target) = edge.target() {
            text.push_str(&raw[at..edge.place.start]);
            text.push_str(nodes[target].shown().expose_secret());
            at = edge.place.end;
        }
    }
    text.push_str(&raw[at..]);
    SecretString::from(Box::<str>::from(text.as_str()))
}
