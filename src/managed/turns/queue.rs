//! Who waits for a turn, by namespace.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot::Sender;

/// A turn of a namespace, and who is to have it.
pub(super) type Given<T> = (Arc<str>, Sender<T>);

/// The turns that are left, and who waits for one: no more than there are resources.
pub(super) struct Queue<T> {
    free: usize,
    /// By namespace: how many turns it has now.
    held: HashMap<Arc<str>, usize>,
    /// Namespaces in the order of their turns, with those of each who wait.
    waiting: VecDeque<(Arc<str>, VecDeque<Sender<T>>)>,
}

impl<T> Queue<T> {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            free: at_once,
            held: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Somebody of a namespace waits for a turn. Who has one now?
    #[must_use]
    pub(super) fn waits(&mut self, namespace: &Arc<str>, taker: Sender<T>) -> Vec<Given<T>> {
        let own = self.waiting.iter_mut().find(|(of, _)| of == namespace);
        match own {
            Some((_, takers)) => takers.push_back(taker),
            None => {
                let takers = VecDeque::from([taker]);
                self.waiting.push_back((Arc::clone(namespace), takers));
            }
        }
        self.give()
    }

    /// A turn of a namespace has ended. Who has one now?
    #[must_use]
    pub(super) fn ended(&mut self, namespace: &Arc<str>) -> Vec<Given<T>> {
        self.free += 1;
        if let Some(held) = self.held.get_mut(namespace) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(namespace);
            }
        }
        self.give()
    }

    fn give(&mut self) -> Vec<Given<T>> {
        let mut given = Vec::new();
        while let Some((namespace, mut takers)) = self.next() {
            // Who does not wait any more is passed over.
            let mut waiting = std::iter::from_fn(|| takers.pop_front());
            if let Some(taker) = waiting.find(|taker| !taker.is_closed()) {
                self.free -= 1;
                *self.held.entry(Arc::clone(&namespace)).or_default() += 1;
                given.push((Arc::clone(&namespace), taker));
            }
            if !takers.is_empty() {
                self.waiting.push_back((namespace, takers));
            }
        }
        given
    }

    /// The namespace whose turn it is: the first that holds fewer turns than it leaves to
    /// all others.
    fn next(&mut self) -> Option<(Arc<str>, VecDeque<Sender<T>>)> {
        let may = |namespace| self.held.get(namespace).copied().unwrap_or(0) < self.free;
        let mut waiting = self.waiting.iter();
        let number = waiting.position(|(namespace, _)| may(namespace))?;
        self.waiting.remove(number)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::{Receiver, channel};

    use super::*;

    /// A queue of which nobody gives his turn back.
    struct Scene(Queue<()>);

    impl Scene {
        fn wait(&mut self, namespace: &str) -> Receiver<()> {
            let (taker, taken) = channel();
            hand_out(self.0.waits(&Arc::from(namespace), taker));
            taken
        }

        fn end(&mut self, namespace: &str) {
            hand_out(self.0.ended(&Arc::from(namespace)));
        }
    }

    fn hand_out(given: Vec<Given<()>>) {
        for (_, taker) in given {
            let _ = taker.send(());
        }
    }

    fn has(taken: &mut Receiver<()>) -> bool {
        taken.try_recv().is_ok()
    }

    #[test]
    fn one_namespace_leaves_as_many_turns_as_it_takes() {
        let mut scene = Scene(Queue::new(32));
        let mut many: Vec<_> = (0..300).map(|_| scene.wait("many")).collect();
        let held = many.iter_mut().filter_map(|one| one.try_recv().ok());
        assert_eq!(held.count(), 16);
        assert!(has(&mut scene.wait("other")), "at once");
        // Even beside several that take what they can.
        let mut others = Vec::new();
        for namespace in ["b", "c"] {
            others.extend((0..300).map(|_| scene.wait(namespace)));
        }
        assert!(has(&mut scene.wait("victim")));
    }

    #[test]
    fn namespaces_take_turns_however_many_of_one_wait() {
        let mut scene = Scene(Queue::new(1));
        let _first = scene.wait("many");
        let mut many: Vec<_> = (0..300).map(|_| scene.wait("many")).collect();
        let mut victim = scene.wait("victim");
        scene.end("many");
        assert!(has(&mut many[0]), "it was there before");
        scene.end("many");
        assert!(has(&mut victim), "before all others of the many");
        scene.end("victim");
        assert!(has(&mut many[1]));
    }

    #[test]
    fn who_does_not_wait_any_more_takes_no_turn() {
        let mut scene = Scene(Queue::new(1));
        let mut first = scene.wait("a");
        assert!(has(&mut first));
        drop(scene.wait("a"));
        let mut third = scene.wait("a");
        scene.end("a");
        assert!(has(&mut third));
        scene.end("a");
        let Queue {
            free,
            held,
            waiting,
        } = scene.0;
        assert_eq!((free, held.len(), waiting.len()), (1, 0, 0));
    }
}
