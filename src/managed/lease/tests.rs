//! The policy on a paused clock, against an API server that is a lock and a number.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;
use crate::snapshot::lock;

/// What becomes of the requests of one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weather {
    Fine,
    /// Answered with an error.
    Failing,
    /// Never answered, and nothing is done.
    Hanging,
    /// Done, but never answered.
    Lossy,
    /// Done late, whether or not anybody still waits.
    Slow(Duration),
}

/// The API server: one Lease.
#[derive(Default)]
struct Server {
    lease: Mutex<Option<Value>>,
    version: AtomicU64,
    asked: AtomicU64,
}

impl Server {
    fn answer(&self, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        let mut lease = lock(&self.lease);
        let mut new = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let refused = |code: StatusCode| {
            let reason = code.canonical_reason().map(|text| text.replace(' ', ""));
            let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "message": "", "reason": reason});
            (code, status)
        };
        match (method, &*lease) {
            (&Method::GET, Some(lease)) => return (StatusCode::OK, lease.clone()),
            (&Method::GET | &Method::PUT, None) => return refused(StatusCode::NOT_FOUND),
            (&Method::PUT, Some(lease))
                if lease["metadata"]["resourceVersion"] != new["metadata"]["resourceVersion"] =>
            {
                return refused(StatusCode::CONFLICT);
            }
            (&Method::POST, Some(_)) => return refused(StatusCode::CONFLICT),
            _ => {}
        }
        let version = self.version.fetch_add(1, Ordering::SeqCst);
        new["metadata"]["resourceVersion"] = version.to_string().into();
        *lease = Some(new.clone());
        (StatusCode::OK, new)
    }
}

/// One replica, and whether it works.
struct Replica {
    weather: Arc<Mutex<Weather>>,
    task: tokio::task::JoinHandle<()>,
    /// How often it has begun to work.
    begun: Arc<AtomicU64>,
}

/// Nobody else works at the same time.
struct Working(Arc<AtomicI32>);

impl Working {
    fn begin(workers: &Arc<AtomicI32>) -> Self {
        let others = workers.fetch_add(1, Ordering::SeqCst);
        assert_eq!(others, 0, "two work at once");
        Self(Arc::clone(workers))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Replica {
    fn start(name: &str, server: &Arc<Server>, workers: &Arc<AtomicI32>) -> Self {
        let weather = Arc::new(Mutex::new(Weather::Fine));
        let election = Election::new(client(server, &weather), "phase", name, health());
        let begun = Arc::new(AtomicU64::default());
        let (workers, counted) = (Arc::clone(workers), Arc::clone(&begun));
        let work = move || {
            let (workers, counted) = (Arc::clone(&workers), Arc::clone(&counted));
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                let _working = Working::begin(&workers);
                std::future::pending::<()>().await;
            }
        };
        let task = tokio::spawn(async move { election.lead(work).await });
        Self {
            weather,
            task,
            begun,
        }
    }

    fn weather(&self, weather: Weather) {
        *lock(&self.weather) = weather;
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }
}

fn health() -> Arc<Health> {
    Arc::new(Health::new(Arc::default()))
}

fn client(server: &Arc<Server>, weather: &Arc<Mutex<Weather>>) -> Client {
    let (server, weather) = (Arc::clone(server), Arc::clone(weather));
    let service = service_fn(move |request: Request<Body>| {
        let (server, weather) = (Arc::clone(&server), *lock(&weather));
        async move {
            server.asked.fetch_add(1, Ordering::SeqCst);
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            let done = |server: &Server| server.answer(&head.method, &body);
            let (status, answer) = match weather {
                Weather::Fine => done(&server),
                Weather::Failing => (StatusCode::INTERNAL_SERVER_ERROR, json!({})),
                Weather::Hanging => std::future::pending().await,
                Weather::Lossy => {
                    done(&server);
                    std::future::pending().await
                }
                Weather::Slow(time) => {
                    let later = async move {
                        sleep(time).await;
                        server.answer(&head.method, &body)
                    };
                    tokio::spawn(later).await?
                }
            };
            let answer = Response::builder()
                .status(status)
                .body(Body::from(answer.to_string().into_bytes()))?;
            Ok::<_, tower::BoxError>(answer)
        }
    });
    Client::new(service, "phase")
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_renew_stops_before_another_may_begin() {
    let hidden = [Weather::Failing, Weather::Hanging];
    for weather in hidden {
        let (server, workers) = (Arc::default(), Arc::default());
        let first = Replica::start("first", &server, &workers);
        sleep(Duration::from_secs(5)).await;
        assert_eq!((first.begun(), workers.load(Ordering::SeqCst)), (1, 1));
        first.weather(weather);
        let asked = server.asked.load(Ordering::SeqCst);
        // It was renewed two seconds ago at most.
        sleep(LASTS.saturating_sub(Duration::from_secs(1))).await;
        assert_eq!(workers.load(Ordering::SeqCst), 0, "{weather:?}");
        sleep(Duration::from_secs(60)).await;
        let asked = server.asked.load(Ordering::SeqCst) - asked;
        assert!(asked <= 45, "{asked} requests in 69 s of {weather:?}");
        first.weather(Weather::Fine);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(
            (first.begun(), workers.load(Ordering::SeqCst)),
            (2, 1),
            "its own, at once"
        );
        first.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_within_fifteen_seconds_and_not_before_ten() {
    for round in 0..20 {
        fastrand::seed(round);
        let (server, workers) = (Arc::default(), Arc::default());
        let first = Replica::start("first", &server, &workers);
        sleep(Duration::from_secs(3)).await;
        let second = Replica::start("second", &server, &workers);
        sleep(Duration::from_millis(4_000 + round * 97)).await;
        assert_eq!((first.begun(), second.begun()), (1, 0));
        first.task.abort();
        sleep(LASTS.saturating_sub(RETRY + Duration::from_millis(500))).await;
        assert_eq!(second.begun(), 0, "it may still live");
        sleep(Duration::from_millis(7_500)).await;
        assert_eq!(second.begun(), 1, "fifteen seconds after");
        second.task.abort();
    }
}

/// Each replica has weather of its own, which changes at any moment.
#[tokio::test(start_paused = true)]
async fn in_no_weather_do_two_work_at_once() {
    for seed in 0..40 {
        fastrand::seed(seed);
        let (server, workers) = (Arc::<Server>::default(), Arc::default());
        let names = ["first", "second", "third"];
        let replicas = names.map(|name| Replica::start(name, &server, &workers));
        let random = || match fastrand::u32(..8) {
            0..3 => Weather::Fine,
            3 => Weather::Failing,
            4 => Weather::Hanging,
            5 => Weather::Lossy,
            _ => Weather::Slow(Duration::from_millis(fastrand::u64(..9_000))),
        };
        for _ in 0..40 {
            replicas[fastrand::usize(..3)].weather(random());
            sleep(Duration::from_millis(fastrand::u64(..12_000))).await;
            assert!(
                replicas.iter().all(|replica| !replica.task.is_finished()),
                "seed {seed}"
            );
        }
        for replica in &replicas {
            replica.weather(Weather::Fine);
        }
        sleep(Duration::from_secs(25)).await;
        assert_eq!(
            workers.load(Ordering::SeqCst),
            1,
            "somebody works, seed {seed}"
        );
        let all: u64 = replicas.iter().map(Replica::begun).sum();
        assert!(all > 1, "nothing has happened, seed {seed}");
        for replica in replicas {
            replica.task.abort();
        }
    }
}
