//! The open connections of a listener: so many and no more, divided fairly among peers.
//!
//! Whoever comes when all places are taken gets one: that of a connection of the peer
//! that holds most, and of these the oldest that has not said what it wants. So a peer
//! that floods a listener throws out itself.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{AbortHandle, JoinSet};

/// How many connections may be open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of all peers together.
    pub(crate) total: usize,
    /// Of one peer.
    pub(crate) per_peer: usize,
    /// Whether a connection that has said what it wants may be ended for another one.
    pub(crate) ends_served: bool,
}

/// The open connections, and the tasks that serve them. Dropped, all end.
pub(crate) struct Connections<P> {
    limits: Limits,
    table: Arc<Mutex<Table<P>>>,
    tasks: JoinSet<()>,
}

/// The place of one connection; given back when it is dropped.
pub(crate) struct Place<P> {
    id: u64,
    table: Arc<Mutex<Table<P>>>,
}

/// What became of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It got a free place.
    Free,
    /// It got the place of another, which was ended.
    InPlace,
    /// It was closed: all places are taken by connections that are served.
    Refused,
}

struct Table<P> {
    last: u64,
    /// Oldest first.
    open: Vec<Open<P>>,
}

struct Open<P> {
    id: u64,
    peer: P,
    is_silent: bool,
    /// None while it is being started.
    task: Option<AbortHandle>,
}

impl<P: Copy + Eq + Send + 'static> Connections<P> {
    /// No connections yet.
    #[must_use]
    pub(crate) fn new(limits: Limits) -> Self {
        let table = Table {
            last: 0,
            open: Vec::with_capacity(limits.total),
        };
        Self {
            limits,
            table: Arc::new(Mutex::new(table)),
            tasks: JoinSet::new(),
        }
    }

    /// Serves one more connection of this peer, in a task of its own.
    pub(crate) fn serve<F>(&mut self, peer: P, talk: impl FnOnce(Place<P>) -> F) -> Taken
    where
        F: Future<Output = ()> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        let (taken, id) = {
            let mut table = locked(&self.table);
            let taken = table.make_room(peer, self.limits);
            if taken == Taken::Refused {
                return taken;
            }
            (taken, table.enter(peer))
        };
        let place = Place {
            id,
            table: Arc::clone(&self.table),
        };
        // Not under the lock: a runtime that is ending drops the task, and its place, here.
        let task = self.tasks.spawn(talk(place));
        if let Some(own) = locked(&self.table).find(id) {
            own.task = Some(task);
        }
        taken
    }

    /// How many are open.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        locked(&self.table).open.len()
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl<P> Place<P> {
    /// The connection has said what it wants.
    pub(crate) fn speaks(&self) {
        if let Some(own) = locked(&self.table).find(self.id) {
            own.is_silent = false;
        }
    }
}

impl<P> Drop for Place<P> {
    fn drop(&mut self) {
        let id = self.id;
        locked(&self.table).open.retain(|open| open.id != id);
    }
}

impl<P> Table<P> {
    fn find(&mut self, id: u64) -> Option<&mut Open<P>> {
        self.open.iter_mut().find(|open| open.id == id)
    }
}

impl<P: Copy + Eq> Table<P> {
    fn make_room(&mut self, peer: P, limits: Limits) -> Taken {
        let is_full = self.open.len() >= limits.total;
        if !is_full && self.held_by(peer) < limits.per_peer {
            return Taken::Free;
        }
        let most = match is_full {
            true => self.most(peer),
            false => self.held_by(peer) + 1,
        };
        let Some(leaving) = self.leaving(peer, most, limits) else {
            return Taken::Refused;
        };
        // Out of the table at once; the connection itself ends a moment later.
        if let Some(task) = self.open.remove(leaving).task {
            task.abort();
        }
        Taken::InPlace
    }

    fn enter(&mut self, peer: P) -> u64 {
        self.last += 1;
        self.open.push(Open {
            id: self.last,
            peer,
            is_silent: true,
            task: None,
        });
        self.last
    }

    /// Of the peers that would hold so many: the oldest silent connection, else the oldest.
    fn leaving(&self, comes: P, most: usize, limits: Limits) -> Option<usize> {
        let of_fullest = |open: &&Open<P>| self.with(open.peer, comes) >= most;
        let oldest = |silent: bool| {
            let open = self.open.iter().enumerate();
            let mut open = open.filter(|(_, open)| of_fullest(open));
            let found = open.find(|(_, open)| open.is_silent || !silent);
            found.map(|(at, _)| at)
        };
        oldest(true).or_else(|| limits.ends_served.then(|| oldest(false)).flatten())
    }

    /// The most that any peer would hold if the one that comes were let in.
    fn most(&self, comes: P) -> usize {
        let held = self.open.iter().map(|open| self.with(open.peer, comes));
        held.max().unwrap_or_default()
    }

    fn with(&self, peer: P, comes: P) -> usize {
        self.held_by(peer) + usize::from(peer == comes)
    }

    fn held_by(&self, peer: P) -> usize {
        self.open.iter().filter(|open| open.peer == peer).count()
    }
}

fn locked<P>(table: &Mutex<Table<P>>) -> MutexGuard<'_, Table<P>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    const LIMITS: Limits = Limits {
        total: 4,
        per_peer: 3,
        ends_served: true,
    };

    /// A connection that lasts, speaking or silent; what is gone when it has ended.
    fn open(connections: &mut Connections<u8>, peer: u8, speaks: bool) -> oneshot::Receiver<()> {
        let (gone, ended) = oneshot::channel::<()>();
        connections.serve(peer, |place| {
            if speaks {
                place.speaks();
            }
            async move {
                let _held = (place, gone);
                pending().await
            }
        });
        ended
    }

    async fn are_gone(ended: Vec<oneshot::Receiver<()>>) -> Vec<bool> {
        let mut gone = Vec::new();
        for mut one in ended {
            tokio::task::yield_now().await;
            gone.push(one.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        }
        gone
    }

    #[tokio::test]
    async fn a_peer_above_its_share_ends_its_own_oldest_silent_connection() {
        let mut all = Connections::new(LIMITS);
        let ended = [(1, true), (1, false), (1, false), (1, false)];
        let ended = ended.map(|(peer, speaks)| open(&mut all, peer, speaks));
        assert_eq!(all.len(), 3);
        assert_eq!(are_gone(ended.into()).await, [false, true, false, false]);
    }

    #[tokio::test]
    async fn where_all_places_are_taken_the_fullest_peer_loses_the_oldest() {
        let mut all = Connections::new(LIMITS);
        let ended = [(2, false), (1, true), (1, true), (1, true), (3, false)];
        let ended = ended.map(|(peer, speaks)| open(&mut all, peer, speaks));
        assert_eq!(
            are_gone(ended.into()).await,
            [false, true, false, false, false]
        );
    }

    #[tokio::test]
    async fn among_equal_peers_the_oldest_silent_one_goes() {
        let mut all = Connections::new(LIMITS);
        let ended = [(1, true), (2, true), (3, false), (4, false), (5, false)];
        let ended = ended.map(|(peer, speaks)| open(&mut all, peer, speaks));
        assert_eq!(
            are_gone(ended.into()).await,
            [false, false, true, false, false]
        );
    }

    #[tokio::test]
    async fn served_ones_are_left_where_they_must_not_end() {
        let mut all = Connections::new(Limits {
            total: 2,
            per_peer: 2,
            ends_served: false,
        });
        let kept = [open(&mut all, 1, true), open(&mut all, 1, true)];
        assert_eq!(all.serve(1, |_| pending()), Taken::Refused);
        assert_eq!(are_gone(kept.into()).await, [false, false]);
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_ends() {
        let mut all = Connections::new(LIMITS);
        for _ in 0..20 {
            assert_eq!(
                all.serve(1, |place| async move { drop(place) }),
                Taken::Free
            );
            while all.len() > 0 {
                tokio::task::yield_now().await;
            }
        }
        all.ended().await;
    }
}
