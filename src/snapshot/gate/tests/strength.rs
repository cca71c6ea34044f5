//! How many requests at once a host is given, as it bears them.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::super::limit::{FEWEST, FIRST, MOST};
use super::*;

const SERVICE: Duration = Duration::from_millis(20);

/// A server with so many workers, each of which needs [`SERVICE`] for a request; of
/// every hundred so many fail.
struct Server {
    workers: Semaphore,
    fails: AtomicUsize,
    under_way: AtomicUsize,
    answered: AtomicUsize,
}

impl Server {
    fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            workers: Semaphore::new(workers),
            fails: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
        })
    }

    async fn serve(&self, latency: Duration) -> Outcome {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let worker = self.workers.acquire().await.unwrap();
        sleep(SERVICE).await;
        drop(worker);
        sleep(latency).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        match number % 100 < self.fails.load(Ordering::Relaxed) {
            true => Outcome::Overloaded,
            false => Outcome::Answered,
        }
    }
}

/// Tokens of one tenant that ask one after the other, all at once, and the way to the
/// server takes so long.
fn load(gate: &Gate, server: &Arc<Server>, latency: Duration) {
    for number in 0..100 {
        let (gate, server) = (gate.clone(), Arc::clone(server));
        tokio::spawn(async move {
            let lane = Lane::Account(Host::default(), [number; 32]);
            let asker = Who("t", number).asker();
            loop {
                let deadline = Deadline::after(HOUR);
                let admitted = gate.admit(&lane, &asker, Priority::Mount, deadline);
                let Ok(pass) = admitted.await else { return };
                pass.ended(server.serve(latency).await);
            }
        });
    }
}

fn places(gate: &Gate) -> usize {
    gate.0.lock().places(&Host::default())
}

/// How many are under way on the average of some seconds.
async fn under_way(server: &Server) -> usize {
    let mut sum = 0;
    for _ in 0..200 {
        sleep(SERVICE).await;
        sum += server.under_way.load(Ordering::Relaxed);
    }
    sum / 200
}

#[tokio::test(start_paused = true)]
async fn a_fast_server_soon_has_all_that_it_bears() {
    let (gate, server) = (gate(1_000_000), Server::new(1_000));
    let begun = Instant::now();
    load(&gate, &server, Duration::ZERO);
    while server.answered.load(Ordering::Relaxed) < 400 {
        sleep(SERVICE / 4).await;
    }
    let took = begun.elapsed();
    assert!(took <= SERVICE * 15, "400 requests took {took:?}");
    assert_eq!(places(&gate), MOST);
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_has_about_as_many_as_it_has_workers_for() {
    for workers in [4, 8] {
        let (gate, server) = (gate(1_000_000), Server::new(workers));
        load(&gate, &server, Duration::ZERO);
        sleep(SECOND * 10).await;
        let most = under_way(&server).await;
        assert!(most >= workers, "{workers} workers are idle with {most}");
        assert!(most <= workers * 3, "{most} for {workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_far_away_is_not_a_slow_one() {
    let (gate, server) = (gate(1_000_000), Server::new(1_000));
    load(&gate, &server, SERVICE * 20);
    sleep(SECOND * 30).await;
    assert_eq!(places(&gate), MOST);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_becomes_slow_whatever_is_asked_of_it_is_taken_as_it_is() {
    let (gate, server) = (gate(1_000_000), Server::new(1_000));
    load(&gate, &server, Duration::ZERO);
    sleep(SECOND).await;
    // From now on each answer takes five times as long.
    let slow = Server::new(1_000);
    let other = gate.clone();
    load(&other, &slow, SERVICE * 4);
    server.workers.close();
    sleep(SECOND * 20).await;
    assert!(places(&gate) > FIRST, "{}", places(&gate));
}

#[tokio::test(start_paused = true)]
async fn errors_halve_it_down_to_the_fewest_and_it_comes_back() {
    let (gate, server) = (gate(1_000_000), Server::new(1_000));
    load(&gate, &server, Duration::ZERO);
    sleep(SECOND).await;
    server.fails.store(100, Ordering::Relaxed);
    sleep(SECOND).await;
    assert_eq!(places(&gate), FEWEST);
    server.fails.store(0, Ordering::Relaxed);
    sleep(SECOND * 20).await;
    assert_eq!(places(&gate), MOST);
}

#[tokio::test(start_paused = true)]
async fn without_need_it_does_not_grow() {
    let gate = gate(1_000_000);
    for _ in 0..1_000 {
        let pass = now(&gate, &lane(), A).await.unwrap();
        sleep(SERVICE).await;
        pass.ended(Outcome::Answered);
    }
    assert_eq!(places(&gate), FIRST);
}
