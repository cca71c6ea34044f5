//! What somebody finds who reads the daemon's memory: in how many places tokens, keys and
//! values lie in it. Its own and what it has given back, whoever has used it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use phase_csi_provider::phase::primitives::{SecretKey, open_blob, xor};
use phase_emulator::{Emulator, Options, Seed, Tls};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::support::daemon::{Daemon, texts};
use crate::support::{bytes, bytes32};

const VALUE: &str = "canary-of-a-value-in-memory";
/// Longer than what the HTTP/2 library copies into its own buffers.
const LONG: &str = "another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-another-value-in-memory-";

/// How often each of these lies in the memory of a process that it may write.
fn counts(process: u32, wanted: &[&[u8]]) -> Vec<usize> {
    // Memory that is given back to the kernel while it is read: all of it is read again.
    let mut tries = (0..20).map(|_| memory(process));
    let regions = tries.find_map(Result::ok).expect("it holds still once");
    let total: usize = regions.iter().map(Vec::len).sum();
    assert!(total > 1 << 20, "its heap and its stacks were read");
    let count = |wanted: &&[u8]| regions.iter().map(|bytes| occurrences(bytes, wanted)).sum();
    wanted.iter().map(count).collect()
}

fn memory(process: u32) -> std::io::Result<Vec<Vec<u8>>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::open(format!("/proc/{process}/mem"));
    let memory = memory.expect("memory of another process is read: run this test as root");
    let regions = maps.lines().filter(|line| line.contains(" rw"));
    let read = regions.map(|line| {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let at = |hex| u64::from_str_radix(hex, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(at(to) - at(from)).unwrap()];
        memory.read_exact_at(&mut bytes, at(from))?;
        Ok(bytes)
    });
    read.collect()
}

fn occurrences(bytes: &[u8], wanted: &[u8]) -> usize {
    let firsts = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == wanted[0]);
    firsts
        .filter(|(at, _)| bytes[*at..].starts_with(wanted))
        .count()
}

struct Scene {
    phase: Emulator,
    daemon: Daemon,
    _ca: tempfile::NamedTempFile,
}

impl Scene {
    async fn start(tls: Tls, accounts: usize) -> Self {
        let seed = json!({
            "apps": [{"name": "shop", "environments": [{"name": "Production", "secrets": [
                {"key": "SHORT", "value": VALUE}, {"key": "LONG", "value": LONG},
            ]}]}],
            "accounts": (0..accounts).map(|n| json!({"name": format!("a{n}")})).collect::<Value>(),
        });
        let seed = Seed::from_yaml(&seed.to_string()).unwrap();
        let options = Options {
            tls,
            ..Options::new(seed)
        };
        let phase = Emulator::start(options).await.unwrap();
        let ca = tempfile::NamedTempFile::new().unwrap();
        let mut flags = vec!["--request-budget".to_owned(), "1000000".to_owned()];
        flags.extend(["--phase-host".to_owned(), phase.url()]);
        if let Some(pem) = phase.ca_pem() {
            std::fs::write(ca.path(), pem).unwrap();
            flags.extend([
                "--ca-file".to_owned(),
                ca.path().to_str().unwrap().to_owned(),
            ]);
        }
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        Self {
            daemon: Daemon::start(&flags).await,
            phase,
            _ca: ca,
        }
    }

    fn token(&self, account: usize) -> String {
        self.phase.control().token(&format!("a{account}")).unwrap()
    }

    /// Pods mount with a token, as a Secret made of a file holds it.
    async fn mount(&self, account: usize, pods: std::ops::Range<usize>) {
        let token = format!("{}\n", self.token(account));
        for pod in pods {
            let answer = self
                .daemon
                .publish(
                    &token,
                    &json!({"phaseApp": "shop"}),
                    &format!("{account}-{pod}"),
                )
                .await
                .unwrap();
            assert_eq!(texts(&answer)[1].1, VALUE);
        }
    }

    /// The private key of an account.
    async fn private(&self, account: usize) -> SecretKey {
        let token = self.token(account);
        let fields: Vec<_> = token.split(':').collect();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_danger_accept_invalid_certs(true);
        let asked = client
            .build()
            .unwrap()
            .get(format!("{}/service/secrets/tokens/", self.phase.url()));
        let asked = asked.header(
            "authorization",
            format!("Bearer ServiceAccount {}", fields[2]),
        );
        let answer = asked.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let wrapped = bytes(answer["wrapped_key_share"].as_str().unwrap());
        let share = open_blob(&bytes32(fields[5]), Zeroizing::new(wrapped)).unwrap();
        xor(
            &bytes32(fields[4]),
            &bytes32(std::str::from_utf8(&share).unwrap()),
        )
    }
}

/// How often what an account's token and private key consist of lies in the memory.
#[derive(Debug)]
struct Found {
    /// The part that is sent, as text: in the token, and in a header.
    bearer: usize,
    /// The token's other secret parts as text, whichever there is more of.
    text: usize,
    /// Their bytes, whichever there is more of.
    bytes: usize,
    /// The private key's bytes.
    private: usize,
}

impl Scene {
    async fn found(&self, account: usize) -> Found {
        let token = self.token(account);
        let fields: Vec<_> = token.split(':').collect();
        let (share, wrap) = (bytes32(fields[4]), bytes32(fields[5]));
        let private = self.private(account).await;
        let [bearer, share_text, wrap_text] = [2, 4, 5].map(|at: usize| fields[at].as_bytes());
        let wanted = [bearer, share_text, wrap_text, &share, &wrap, &*private];
        let found = counts(self.daemon.id(), &wanted);
        Found {
            bearer: found[0],
            text: found[1].max(found[2]),
            bytes: found[3].max(found[4]),
            private: found[5],
        }
    }
}

fn kinds_of_connections() -> [Tls; 2] {
    [Tls::Off, Tls::SelfSigned { names: Vec::new() }]
}

#[tokio::test]
async fn a_token_lies_in_few_places_however_often_it_is_mounted() {
    for tls in kinds_of_connections() {
        let scene = Scene::start(tls, 1).await;
        scene.mount(0, 0..40).await;
        let few = scene.found(0).await;
        scene.mount(0, 40..240).await;
        let many = scene.found(0).await;
        for found in [&few, &many] {
            // In use: the token and its header. The others lie in what the HTTP
            // libraries have given back, of the last connections.
            assert!((2..=16).contains(&found.bearer), "{found:?}");
            assert!(found.text <= 12, "{found:?}");
            assert!((1..=2).contains(&found.bytes), "{found:?}");
            assert!(found.private <= 1, "{found:?}");
        }
        assert!(many.bearer <= few.bearer + 6, "{few:?}, {many:?}");
        assert!(many.text <= few.text + 6, "{few:?}, {many:?}");
    }
}

#[tokio::test]
async fn of_many_tokens_each_lies_where_it_is_used_and_a_few_in_buffers() {
    const TOKENS: usize = 40;
    for tls in kinds_of_connections() {
        let scene = Scene::start(tls, TOKENS).await;
        for account in 0..TOKENS {
            scene.mount(account, 0..3).await;
        }
        let mut beyond = 0;
        for account in 0..TOKENS {
            let found = scene.found(account).await;
            assert!((1..=2).contains(&found.bytes), "{account}: {found:?}");
            assert!(found.private <= 1, "{account}: {found:?}");
            beyond += found.bearer.saturating_sub(2) + found.text;
        }
        assert!(beyond <= TOKENS, "{beyond} copies beside those in use");
    }
}

#[tokio::test]
async fn values_lie_in_few_places_however_often_they_are_mounted() {
    let scene = Scene::start(Tls::Off, 1).await;
    let found = || counts(scene.daemon.id(), &[LONG.as_bytes()])[0];
    scene.mount(0, 0..40).await;
    let few = found();
    scene.mount(0, 40..240).await;
    let many = found();
    assert!(many <= 2, "{few}, {many}");
}
