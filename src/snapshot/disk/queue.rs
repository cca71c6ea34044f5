//! What is to be written, at most one job a key: the latest counts.

use std::collections::HashMap;

use super::format::{Image, Mark};
use super::moment::Moment;
use super::seal::DiskKey;

/// What is to be done with one key's files, in this order.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) key: DiskKey,
    /// Remove them first.
    pub(super) forget: bool,
    /// The image and when it was confirmed.
    pub(super) image: Option<(Image, Moment)>,
    /// The mark and when it was made.
    pub(super) mark: Option<(Mark, Moment)>,
}

/// Jobs by name.
#[derive(Default)]
pub(super) struct Queue {
    jobs: HashMap<String, (u64, Job)>,
    /// The jobs that were taken and are neither done nor put back.
    under_way: Vec<(u64, Job)>,
    /// Of the newest job.
    ticket: u64,
    /// Up to which ticket every job was tried.
    finished: u64,
    /// Nobody adds any more.
    closed: bool,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Job {
    pub(super) const fn new(key: DiskKey) -> Self {
        Self {
            key,
            forget: false,
            image: None,
            mark: None,
        }
    }

    /// This and what came after it, in one.
    fn then(self, later: Self) -> Self {
        if later.forget {
            return later;
        }
        let image = later.image.or(self.image);
        let fits = |(mark, _): &(Mark, Moment)| match &image {
            Some((image, _)) => mark.image == image.id,
            None => true,
        };
        let mark = [later.mark, self.mark].into_iter().flatten().find(fits);
        Self {
            image,
            mark,
            ..self
        }
    }

    fn bytes(&self) -> u64 {
        self.image.as_ref().map_or(0, |(image, _)| image.length())
    }
}

impl Queue {
    /// Adds a job after what waits for the same key. Removals always fit.
    pub(super) fn push(&mut self, job: Job, files: usize, bytes: u64) -> Result<u64, Full> {
        let name = job.key.name();
        let others = self.jobs.iter().filter(|(other, _)| *other != name);
        let (count, waiting) = others.fold((0, 0), |(count, bytes), (_, (_, job))| {
            (count + 1, bytes + job.bytes())
        });
        let whole = waiting + job.bytes();
        if !job.forget && (count >= files || whole > bytes) {
            return Err(Full);
        }
        self.ticket += 1;
        let name = name.to_owned();
        let (ticket, job) = match self.jobs.remove(&name) {
            Some((ticket, earlier)) => (ticket, earlier.then(job)),
            None => (self.ticket, job),
        };
        self.jobs.insert(name, (ticket, job));
        Ok(self.ticket)
    }

    /// The next jobs that were added up to this ticket: so many at most, and none once they
    /// take so many bytes. Removals overtake, and are not held up by others.
    pub(super) fn take(&mut self, until: u64, most: usize, bytes: u64) -> Vec<Job> {
        let (mut taken, mut whole) = (Vec::new(), 0_u64);
        let removes = self.next(until).is_some_and(|job| job.forget);
        while taken.len() < most
            && (taken.is_empty() || whole < bytes)
            && self.next(until).is_some_and(|job| job.forget == removes)
            && let Some(job) = self.take_one(until)
        {
            whole = whole.saturating_add(job.bytes());
            taken.push(job);
        }
        taken
    }

    fn take_one(&mut self, until: u64) -> Option<Job> {
        let name = self.next(until)?.key.name().to_owned();
        let (ticket, job) = self.jobs.remove(&name)?;
        self.under_way.push((ticket, job.clone()));
        Some(job)
    }

    fn next(&self, until: u64) -> Option<&Job> {
        let old = self.jobs.values().filter(|(ticket, _)| *ticket <= until);
        let first = old.min_by_key(|(ticket, job)| (!job.forget, *ticket));
        first.map(|(_, job)| job)
    }

    /// The jobs that were taken are done, as far as they are not put back.
    pub(super) fn done(&mut self) {
        self.under_way.clear();
    }

    /// What is left of a job that was taken is to be tried again.
    pub(super) fn put_back(&mut self, rest: Job) {
        let is_other = |(_, job): &(u64, Job)| job.key.name() != rest.key.name();
        self.under_way.retain(is_other);
        self.ticket += 1;
        let name = rest.key.name().to_owned();
        let waiting = match self.jobs.remove(&name) {
            // Whoever waits for the later one waits until that was tried.
            Some((ticket, later)) => (ticket, rest.then(later)),
            None => (self.ticket, rest),
        };
        self.jobs.insert(name, waiting);
    }

    /// Of the newest job.
    pub(super) const fn ticket(&self) -> u64 {
        self.ticket
    }

    /// A ticket that only a round of trying finishes which begins after this.
    pub(super) const fn fence(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    /// Nobody adds any more.
    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Every job up to this ticket was tried.
    pub(super) const fn finish(&mut self, until: u64) {
        self.finished = until;
    }

    /// Whether every job up to this ticket was tried, and that was told.
    pub(super) const fn finished(&self, until: u64) -> bool {
        self.finished >= until
    }

    /// Whether every job of a key up to this ticket was tried.
    pub(super) fn settled(&self, until: u64, name: &str) -> bool {
        let jobs = self.jobs.values().chain(&self.under_way);
        let mut jobs = jobs.filter(|(_, job)| name == job.key.name());
        jobs.all(|(ticket, _)| *ticket > until)
    }

    /// Whether a key's files are to be removed, and still may be there.
    pub(super) fn forgets(&self, name: &str) -> bool {
        let under_way = self.under_way.iter();
        let under_way = under_way.filter(|(_, job)| job.key.name() == name);
        let mut jobs = self.jobs.get(name).into_iter().chain(under_way);
        jobs.any(|(_, job)| job.forget)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::*;

    const NOW: Moment = Moment {
        boot: [0; 16],
        boottime_ms: 0,
        wall_ms: 0,
    };

    fn key(number: u8) -> DiskKey {
        DiskKey::derive(&[number; 32], "host")
    }

    fn save(number: u8, id: u8) -> Job {
        let image = Image {
            id: [id; 16],
            tokens: Bytes::from_static(b"tokens"),
            environments: Vec::new(),
            pins: Vec::new(),
        };
        Job {
            image: Some((image, NOW)),
            ..mark(number, id)
        }
    }

    fn mark(number: u8, id: u8) -> Job {
        let mark = Mark {
            image: [id; 16],
            confirmed: NOW,
            volumes: Vec::new(),
        };
        Job {
            mark: Some((mark, NOW)),
            ..Job::new(key(number))
        }
    }

    fn forget(number: u8) -> Job {
        Job {
            forget: true,
            ..Job::new(key(number))
        }
    }

    fn queue(jobs: impl IntoIterator<Item = Job>) -> Queue {
        let mut queue = Queue::default();
        for job in jobs {
            queue.push(job, 100, 10_000).unwrap();
        }
        queue
    }

    /// What a job does: whether it removes, and the ids that it writes.
    fn shape(job: &Job) -> (bool, Option<u8>, Option<u8>) {
        let image = job.image.as_ref().map(|(image, _)| image.id[0]);
        let mark = job.mark.as_ref().map(|(mark, _)| mark.image[0]);
        (job.forget, image, mark)
    }

    #[test]
    fn the_latest_of_a_key_counts() {
        let cases = [
            (vec![save(1, 1), save(1, 2)], (false, Some(2), Some(2))),
            (vec![save(1, 1), mark(1, 1)], (false, Some(1), Some(1))),
            (vec![mark(1, 1), save(1, 2)], (false, Some(2), Some(2))),
            // A late mark of the image before: it would say nothing about the new one.
            (vec![save(1, 2), mark(1, 1)], (false, Some(2), Some(2))),
            (vec![save(1, 1), forget(1)], (true, None, None)),
            (vec![forget(1), save(1, 2)], (true, Some(2), Some(2))),
            (
                vec![save(1, 1), forget(1), mark(1, 1)],
                (true, None, Some(1)),
            ),
        ];
        for (number, (jobs, expected)) in cases.into_iter().enumerate() {
            let mut queue = queue(jobs);
            let job = queue.take_one(queue.ticket()).unwrap();
            assert_eq!(shape(&job), expected, "case {number}");
            assert!(queue.take_one(queue.ticket()).is_none());
        }
    }

    #[test]
    fn removals_overtake_and_others_keep_their_turn() {
        let mut queue = queue([save(1, 1), save(2, 1), forget(3), save(1, 2)]);
        let mut names = Vec::new();
        while let Some(job) = queue.take_one(queue.ticket()) {
            names.push(job.key.name().to_owned());
        }
        assert_eq!(names, [3, 1, 2].map(|number| key(number).name().to_owned()));
    }

    #[test]
    fn several_are_taken_together_but_removals_apart() {
        let names = |jobs: &[Job]| -> Vec<String> {
            jobs.iter().map(|job| job.key.name().to_owned()).collect()
        };
        let expected = |numbers: &[u8]| -> Vec<String> {
            let keys = numbers.iter().map(|&number| key(number));
            keys.map(|key| key.name().to_owned()).collect()
        };
        let size = save(1, 1).bytes();
        let jobs = || [save(1, 1), save(2, 1), save(3, 1), forget(4), forget(5)];
        for (most, bytes, rounds) in [
            (10, u64::MAX, vec![vec![4, 5], vec![1, 2, 3]]),
            (2, u64::MAX, vec![vec![4, 5], vec![1, 2], vec![3]]),
            (10, size + 1, vec![vec![4, 5], vec![1, 2], vec![3]]),
            (10, 0, vec![vec![4], vec![5], vec![1], vec![2], vec![3]]),
        ] {
            let mut queue = queue(jobs());
            let until = queue.ticket();
            for round in rounds {
                let taken = queue.take(until, most, bytes);
                assert_eq!(
                    names(&taken),
                    expected(&round),
                    "{most} jobs, {bytes} bytes"
                );
                for name in names(&taken) {
                    assert!(!queue.settled(until, &name), "it is under way");
                }
                queue.done();
            }
            assert!(queue.take(until, most, bytes).is_empty());
        }
    }

    #[test]
    fn what_failed_is_put_back_under_what_came_meanwhile() {
        for (later, expected) in [
            (save(1, 2), (true, Some(2), Some(2))),
            (mark(1, 1), (true, Some(1), Some(1))),
            (forget(1), (true, None, None)),
        ] {
            let mut queue = queue([forget(1), save(1, 1)]);
            let until = queue.ticket();
            let job = queue.take_one(until).unwrap();
            let newest = queue.push(later, 100, 10_000).unwrap();
            let name = key(1).name().to_owned();
            assert!(!queue.settled(until, &name) && queue.forgets(&name));
            queue.put_back(job);
            assert!(queue.settled(until, &name), "it was tried");
            assert!(!queue.settled(newest, &name), "the later one was not");
            assert!(queue.take_one(until).is_none(), "it is not tried twice");
            let job = queue.take_one(queue.ticket()).unwrap();
            assert_eq!(shape(&job), expected);
        }
    }

    #[test]
    fn a_job_under_way_is_waited_for() {
        let mut queue = queue([forget(1), save(2, 1)]);
        let until = queue.ticket();
        queue.take_one(until).unwrap();
        let (first, second) = (key(1), key(2));
        assert!(queue.forgets(first.name()) && !queue.settled(until, first.name()));
        queue.done();
        assert!(!queue.forgets(first.name()) && queue.settled(until, first.name()));
        assert!(!queue.settled(until, second.name()));
    }

    #[test]
    fn it_is_bounded_by_keys_and_bytes_but_for_removals() {
        let size = save(1, 1).bytes();
        let mut queue = Queue::default();
        assert_eq!(queue.push(save(1, 1), 1, size - 1), Err(Full));
        assert_eq!(queue.push(save(1, 1), 1, size), Ok(1));
        assert_eq!(queue.push(save(1, 2), 1, size), Ok(2), "in its place");
        assert_eq!(queue.push(mark(2, 1), 1, size), Err(Full));
        assert_eq!(queue.push(save(2, 1), 2, size), Err(Full));
        assert_eq!(queue.push(forget(2), 1, size), Ok(3));
    }
}
