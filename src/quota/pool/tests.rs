#![allow(clippy::unwrap_used)]

use std::sync::mpsc;

use futures_util::future::join_all;
use tokio::task::yield_now;

use super::*;

const LONG: Duration = Duration::from_secs(3_600);

fn tenant(name: &str) -> Tenant {
    Tenant::new(name)
}

/// Uses a processor for so long.
fn burn(time: Duration) {
    let begun = processor_time();
    while processor_time() - begun < time {
        std::hint::spin_loop();
    }
}

/// Free threads, and who waits.
fn idle(pool: &Pool) -> (usize, usize) {
    let state = pool.0.lock();
    (state.free, state.waiting)
}

/// Work in chunks that ends when it is told to; how many chunks it did.
fn chunks(turn: &Turn, most: usize) -> (usize, Option<Stopped>) {
    for done in 0..most {
        if let Err(stopped) = turn.checkpoint() {
            return (done, Some(stopped));
        }
        burn(SLICE);
    }
    (most, None)
}

#[tokio::test]
async fn it_brings_what_the_work_brings_and_knows_what_it_used() {
    let pool = Pool::new(1, LONG);
    let job = pool.job(&tenant("a"));
    let answer = job.run(|_| {
        burn(Duration::from_millis(5));
        7
    });
    assert_eq!(answer.await, Ok(7));
    assert!(job.spent() >= Duration::from_millis(5));
    assert_eq!(pool.waiting(), 0);
}

#[tokio::test]
async fn a_job_ends_when_its_time_is_used_up() {
    let limit = Duration::from_millis(20);
    let job = Pool::new(1, limit).job(&tenant("a"));
    let (done, stopped) = job.run(|turn| chunks(turn, 1_000)).await.unwrap();
    assert_eq!(stopped, Some(Stopped::TooLong { limit }));
    assert!(done < 100, "{done} chunks of {SLICE:?}");
    let next = job.run(|_| ()).await;
    assert_eq!(
        next,
        Err(Stopped::TooLong { limit }),
        "nor does it begin again"
    );
}

#[tokio::test]
async fn work_ends_when_nobody_waits_for_it() {
    let pool = Pool::new(1, LONG);
    let (sender, done) = mpsc::channel();
    let (begins, begun) = oneshot::channel();
    let job = pool.job(&tenant("a"));
    let work = tokio::spawn(async move {
        job.run(move |turn| {
            let _ = begins.send(());
            let _ = sender.send(chunks(turn, usize::MAX));
        })
        .await
    });
    begun.await.unwrap();
    work.abort();
    let ended = spawn_blocking(move || done.recv().unwrap()).await.unwrap();
    assert_eq!(ended.1, Some(Stopped::Ended));
    let other = pool.job(&tenant("b"));
    assert_eq!(other.run(|_| 1).await, Ok(1), "the thread is free again");
}

#[tokio::test]
async fn whoever_goes_away_while_waiting_costs_nothing() {
    let pool = Pool::new(1, LONG);
    let (go, wait) = mpsc::channel::<()>();
    let job = pool.job(&tenant("a"));
    let first = tokio::spawn(async move { job.run(move |_| wait.recv()).await });
    while pool.0.lock().free > 0 {
        yield_now().await;
    }
    let waiting = pool.job(&tenant("b"));
    let gone = tokio::spawn(async move { waiting.run(|_| ()).await });
    while pool.waiting() == 0 {
        yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    first.await.unwrap().unwrap().unwrap();
    assert_eq!(pool.job(&tenant("c")).run(|_| 3).await, Ok(3));
    assert_eq!(idle(&pool), (1, 0));
}

/// A newcomer waits for about one slice, not for all that others have in line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_of_little_work_goes_before_one_of_much() {
    let pool = Pool::new(1, LONG);
    let heavy = |_| {
        let job = pool.job(&tenant("heavy"));
        tokio::spawn(async move { job.run(|turn| chunks(turn, 50)).await })
    };
    let heavies: Vec<_> = (0..8).map(heavy).collect();
    while pool.waiting() < 7 {
        yield_now().await;
    }
    let light = pool.job(&tenant("light"));
    light.run(|_| ()).await.unwrap();
    let used = pool.0.lock().accounts[&tenant("heavy")].spent;
    assert!(
        used < 100 * SLICE,
        "before the others ended: {used:?} of {:?}",
        400 * SLICE
    );
    for heavy in join_all(heavies).await {
        assert_eq!(heavy.unwrap().unwrap(), (50, None));
    }
    assert!(pool.0.lock().accounts.is_empty(), "nothing stays behind");
}

/// Two that always have work get equal shares, though one has eight times the jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_share_evenly_whatever_the_number_of_their_jobs() {
    let pool = Pool::new(1, LONG);
    let (go, wait) = mpsc::channel::<()>();
    let holder = pool.job(&tenant("holder"));
    let holder = tokio::spawn(async move { holder.run(move |_| wait.recv()).await });
    while pool.0.lock().free > 0 {
        yield_now().await;
    }
    let start = |name: &'static str, jobs: usize| {
        (0..jobs)
            .map(|_| {
                let job = pool.job(&tenant(name));
                tokio::spawn(async move { job.run(|turn| chunks(turn, 40)).await })
            })
            .collect::<Vec<_>>()
    };
    let (many, one) = (start("many", 8), start("one", 1));
    while pool.waiting() < 9 {
        yield_now().await;
    }
    go.send(()).unwrap();
    holder.await.unwrap().unwrap().unwrap();
    join_all(one).await;
    let used = pool.0.lock().accounts[&tenant("many")].spent;
    assert!(
        (20 * SLICE..80 * SLICE).contains(&used),
        "about as much as the other's {:?}: {used:?}",
        40 * SLICE
    );
    join_all(many).await;
}

#[tokio::test]
async fn how_many_wait_is_bounded() {
    let pool = Pool::new(1, LONG);
    let (go, wait) = mpsc::channel::<()>();
    let job = pool.job(&tenant("a"));
    let first = tokio::spawn(async move { job.run(move |_| wait.recv()).await });
    while pool.0.lock().free > 0 {
        yield_now().await;
    }
    let waiting: Vec<_> = (0..MAX_WAITING)
        .map(|_| match pool.0.enter(&tenant("b")).unwrap() {
            Entered::Later(waits) => waits,
            Entered::Now(_) => panic!("there is no thread"),
        })
        .collect();
    let error = pool.job(&tenant("c")).run(|_| ()).await.unwrap_err();
    assert_eq!(error.cause(), Cause::Busy);
    assert_eq!(
        error.to_string(),
        "too much work at once: 2048 mounts wait for a processor already: retry is automatic; if this stays, raise the provider's share of processors"
    );
    drop(waiting);
    go.send(()).unwrap();
    first.await.unwrap().unwrap().unwrap();
    assert_eq!(idle(&pool), (1, 0));
}

#[test]
fn each_reason_is_one_clear_line() {
    let limit = Duration::from_secs(20);
    let error = Stopped::TooLong { limit };
    assert_eq!(error.cause(), Cause::TooLarge);
    assert_eq!(
        error.to_string(),
        "processor time: at most 20 s for one class, and it needs more: select fewer secrets, use fewer references and templates, or make two classes"
    );
    assert_eq!(Stopped::Ended.to_string(), "nobody waits for it any more");
}
