//! Fills values in, targets before those who refer to them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::Error;
use super::environment::Secret;
use super::gather::{Edge, Node};
use super::resolve::Problem;

/// As deep as the server itself goes.
pub(super) const DEEPEST: usize = 25;
/// No answer can be larger than the driver's receive limit; far less is sane.
const LARGEST: usize = 4 * 1024 * 1024;

/// References that cannot be resolved: whose, where in its value, why.
pub(super) type Problems = Vec<(usize, Range<usize>, Problem)>;

/// The value of every node, and what could not be resolved. A value in a
/// circle stays whole, as it is stored.
pub(super) fn fill_in(nodes: &[Node]) -> Result<(Vec<SecretString>, Problems), Error> {
    let Order {
        nodes: order,
        circular,
    } = targets_first(nodes);
    let mut values: Vec<Option<SecretString>> = (0..nodes.len()).map(|_| None).collect();
    let mut depths = vec![0; nodes.len()];
    let mut problems = Vec::new();
    for node in order {
        let Node { secret, edges, .. } = &nodes[node];
        if circular.contains(&node) {
            values[node] = Some(secret.value.clone());
            problems.extend(circle(nodes, node, &circular));
            continue;
        }
        let targets = edges.iter().filter_map(|edge| edge.target.as_ref().ok());
        depths[node] = targets.map(|&target| depths[target] + 1).max().unwrap_or(0);
        if depths[node] > DEEPEST {
            return Err(Error::Reference {
                reference: "a reference".to_owned(),
                key: secret.key.clone(),
                folder: secret.folder.clone(),
                problem: Box::new(Problem::Deep),
            });
        }
        for edge in edges {
            if let Err(problem) = &edge.target {
                problems.push((node, edge.place.clone(), problem.clone()));
            }
        }
        values[node] = Some(replaced(secret, edges, &values)?);
    }
    problems.sort_by_key(|(node, place, _)| (*node, place.start));
    let values = values.into_iter().map(Option::unwrap_or_default);
    Ok((values.collect(), problems))
}

/// The first reference of a node that keeps it in its circle.
fn circle(
    nodes: &[Node],
    node: usize,
    circular: &HashSet<usize>,
) -> Option<(usize, Range<usize>, Problem)> {
    let closes = |edge: &&Edge| edge.target.as_ref().is_ok_and(|to| circular.contains(to));
    let edge = nodes[node].edges.iter().find(closes)?;
    Some((node, edge.place.clone(), Problem::Circle))
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
        for &target in edges.iter().filter_map(|edge| edge.target.as_ref().ok()) {
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
        edges.filter_map(|edge| edge.target.as_ref().ok().copied())
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

/// The value with each resolvable reference replaced; the new text is not
/// searched for references again.
fn replaced(
    secret: &Secret,
    edges: &[Edge],
    values: &[Option<SecretString>],
) -> Result<SecretString, Error> {
    let raw = secret.value.expose_secret();
    let resolved = |edge: &Edge| {
        let target = *edge.target.as_ref().ok()?;
        Some(values[target].as_ref()?.expose_secret())
    };
    let added: usize = edges.iter().filter_map(resolved).map(str::len).sum();
    if raw.len() + added > LARGEST {
        return Err(Error::LargeValue {
            key: secret.key.clone(),
            folder: secret.folder.clone(),
            most: LARGEST,
        });
    }
    // Reserved in full, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(raw.len() + added));
    let mut at = 0;
    for edge in edges {
        if let Some(value) = resolved(edge) {
            text.push_str(&raw[at..edge.place.start]);
            text.push_str(value);
            at = edge.place.end;
        }
    }
    text.push_str(&raw[at..]);
    Ok(SecretString::from(Box::<str>::from(text.as_str())))
}
