//! Environments that somebody read a moment ago: whoever comes next need not read them
//! again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::lock;
use crate::phase::environment::Table;

/// How many are kept.
const MOST: usize = 16;

/// How many bytes they may take.
const MOST_BYTES: u64 = 20 << 20;

/// The environments that were read last, whatever credential they are of: each is found
/// only by who has its rows. What comes to be too much is dropped.
#[derive(Default)]
pub(super) struct Tables(Mutex<VecDeque<Kept>>);

struct Kept {
    table: Arc<Table>,
    bytes: u64,
    /// Whether it was used since order was kept last.
    is_used: bool,
}

impl Tables {
    /// Keeps a table that is used now and takes so many bytes, unless that is too much.
    pub(super) fn keep(&self, table: &Arc<Table>, bytes: u64) {
        if bytes > MOST_BYTES {
            return;
        }
        let mut kept = lock(&self.0);
        kept.retain(|kept| !Arc::ptr_eq(&kept.table, table));
        kept.push_back(Kept {
            table: Arc::clone(table),
            bytes,
            is_used: true,
        });
        let all = |kept: &VecDeque<Kept>| kept.iter().map(|kept| kept.bytes).sum::<u64>();
        while kept.len() > MOST || all(&kept) > MOST_BYTES {
            kept.pop_front();
        }
    }

    /// Drops what nobody used since the last time.
    pub(super) fn sweep(&self) {
        let mut kept = lock(&self.0);
        kept.retain_mut(|kept| std::mem::replace(&mut kept.is_used, false));
        kept.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Arc<Table> {
        Arc::new(Vec::new().into())
    }

    /// Whether somebody keeps it.
    fn is_kept(table: &Arc<Table>) -> bool {
        Arc::strong_count(table) > 1
    }

    #[test]
    fn what_was_used_last_is_kept_within_number_and_bytes() {
        let (tables, many) = (Tables::default(), [(); MOST + 1].map(|()| table()));
        for one in &many[..MOST] {
            tables.keep(one, 1);
        }
        tables.keep(&many[0], 1);
        tables.keep(&many[MOST], 1);
        assert!(is_kept(&many[0]), "it was used again");
        assert!(!is_kept(&many[1]));
        tables.keep(&many[1], MOST_BYTES);
        let kept = many.iter().filter(|one| is_kept(one)).count();
        assert_eq!((kept, is_kept(&many[1])), (1, true), "it takes all bytes");
        let large = table();
        tables.keep(&large, MOST_BYTES + 1);
        assert!(!is_kept(&large) && is_kept(&many[1]), "it takes too many");
    }

    #[test]
    fn what_nobody_uses_goes() {
        let (tables, used, left) = (Tables::default(), table(), table());
        tables.keep(&used, 1);
        tables.keep(&left, 1);
        tables.sweep();
        assert!(is_kept(&left), "it was just read");
        tables.keep(&used, 1);
        tables.sweep();
        assert!(is_kept(&used) && !is_kept(&left));
        tables.sweep();
        assert!(!is_kept(&used));
    }
}
