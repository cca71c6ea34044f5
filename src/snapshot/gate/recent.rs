//! Who was admitted how often in the last minute.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::Asker;

/// The admissions of the last minute, by asker; the newest [`MOST`] of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    admissions: VecDeque<(Instant, Asker)>,
    counts: HashMap<Asker, u32>,
}

/// How many admissions are remembered.
const MOST: usize = 1024;
/// For how long.
const MINUTE: Duration = Duration::from_secs(60);

impl Recent {
    /// How often the asker was admitted.
    pub(super) fn count(&self, asker: &Asker) -> u32 {
        self.counts.get(asker).copied().unwrap_or_default()
    }

    /// Remembers an admission; they come in the order of time.
    pub(super) fn add(&mut self, at: Instant, asker: Asker) {
        self.expire(at);
        if self.admissions.len() == MOST {
            self.drop_oldest();
        }
        self.admissions.push_back((at, asker));
        *self.counts.entry(asker).or_default() += 1;
    }

    /// Forgets what is a minute old.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((at, _)) = self.admissions.front()
            && *at + MINUTE <= now
        {
            self.drop_oldest();
        }
    }

    /// Forgets the newest admission of an asker: it came to nothing.
    pub(super) fn undo(&mut self, asker: &Asker) {
        let newest = self.admissions.iter().rposition(|(_, of)| of == asker);
        if let Some(newest) = newest {
            self.admissions.remove(newest);
            self.decrease(asker);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, asker)) = self.admissions.pop_front() {
            self.decrease(&asker);
        }
    }

    fn decrease(&mut self, asker: &Asker) {
        if let Some(count) = self.counts.get_mut(asker) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Asker = [1; 16];
    const B: Asker = [2; 16];

    #[test]
    fn admissions_count_for_a_minute() {
        let now = Instant::now();
        let mut recent = Recent::default();
        recent.add(now, A);
        recent.add(now + Duration::from_secs(1), A);
        recent.expire(now + MINUTE - Duration::from_nanos(1));
        assert_eq!((recent.count(&A), recent.count(&B)), (2, 0));
        recent.expire(now + MINUTE);
        assert_eq!(recent.count(&A), 1);
    }

    #[test]
    fn an_admission_that_came_to_nothing_does_not_count() {
        let now = Instant::now();
        let mut recent = Recent::default();
        recent.add(now, A);
        recent.add(now, B);
        recent.undo(&A);
        recent.undo(&A);
        assert_eq!((recent.count(&A), recent.count(&B)), (0, 1));
    }

    #[test]
    fn beyond_the_limit_the_oldest_is_forgotten() {
        let now = Instant::now();
        let mut recent = Recent::default();
        recent.add(now, A);
        (0..MOST).for_each(|_| recent.add(now, B));
        assert_eq!(recent.admissions.len(), MOST);
        assert_eq!((recent.count(&A), recent.count(&B)), (0, 1024));
        assert_eq!(recent.counts.len(), 1);
    }
}
