//! Texts that several readers of a class need: counted before they are read.

use std::collections::BTreeMap;

use super::mistake::{Mistake, Problem};
use crate::phase::environment::Tag;

/// How many bytes names and texts may have together. An object has 1.5 MiB at most in etcd;
/// a class of 2,000 entries has some 100 kB.
const MOST_BYTES: usize = 1 << 20;
/// How many there may be, known or not; each takes some 50 bytes more here.
const MOST_PARAMETERS: usize = 30_000;
/// How many tags an entry may name.
const MOST_TAGS: usize = 64;

/// The parameters, if they are not too many or too long: nothing of them is looked at before.
pub(super) fn counted<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<BTreeMap<&'a str, &'a str>, Box<Mistake>> {
    let (mut values, mut bytes, mut longest) = (BTreeMap::new(), 0, ("", 0));
    for (name, value) in parameters {
        let own = name.len() + value.len();
        bytes += own;
        if own >= longest.1 {
            longest = (name, own);
        }
        if bytes <= MOST_BYTES && values.len() <= MOST_PARAMETERS {
            values.insert(name, value);
        }
    }
    let (what, count) = ("parameters", values.len());
    let problem = if bytes > MOST_BYTES {
        let most = MOST_BYTES;
        Problem::Much { what, bytes, most }
    } else if count > MOST_PARAMETERS {
        Problem::Crowd {
            most: MOST_PARAMETERS,
        }
    } else {
        return Ok(values);
    };
    Err(Box::new(Mistake::new(longest.0, problem)))
}

/// What is said of a text that should have tags in it.
const fn no_tags(name: &'static str) -> Problem {
    Problem::Empty {
        name,
        remedy: "name a tag between its commas, or leave it out to select all secrets",
    }
}

/// The tags in the text of a field of this name. An empty text means all secrets, as it
/// does in a `PhaseSecret`; nobody means that by commas alone.
///
/// # Errors
/// Too many, counted before they are read; or none between commas.
pub(super) fn tags(name: &'static str, text: &str) -> Result<Vec<Tag>, Box<Problem>> {
    let tags = || text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    let (count, what, most) = (tags().count(), "tags", MOST_TAGS);
    if count > most {
        return Err(Box::new(Problem::Many { count, what, most }));
    }
    if count == 0 && !text.trim().is_empty() {
        return Err(Box::new(no_tags(name)));
    }
    Ok(tags().map(Tag::parse).collect())
}

/// Three octal digits, with or without one or more zeros before them. Zero is
/// refused: the driver would write a file that nobody can read.
pub(super) fn octal(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits)?;
    (text.len() >= 3 && (1..=0o777).contains(&mode)).then_some(mode)
}
