//! Secrets stay secret: after everything else, at the highest log level. Every value
//! of the suite has the word `canary` in it, and every token is known.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use rustix::process::Signal;

use crate::cluster::{PROVIDER, client, folder, kubectl, metrics, processes, rolled_out, signal};
use crate::phase::Phase;
use crate::team::Team;

const WORD: &str = "canary";

/// What must not be found: the word that all values share, as it is and in the three
/// forms that base64 gives it; each token whole, and its parts.
async fn canaries() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [WORD, "Y2FuYXJ5", "NhbmFye", "jYW5hcn"]
        .map(|text| text.as_bytes().to_vec())
        .into();
    let tokens = Phase::shared().all_tokens().await;
    for (_, token) in tokens.as_object().unwrap() {
        // The kind and the version are no secret; the public key is none either.
        let parts: Vec<_> = token.as_str().unwrap().split(':').collect();
        all.extend([2, 4, 5].map(|part| parts[part].as_bytes().to_vec()));
    }
    assert!(all.len() >= 10 && all.iter().all(|text| text.len() >= 6));
    all
}

/// Fails if any canary is in there.
fn search(place: &str, bytes: &[u8], canaries: &[Vec<u8>]) {
    for canary in canaries {
        let found = bytes
            .windows(canary.len())
            .position(|window| window == canary);
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(200)..(at + 40).min(bytes.len())];
            panic!("{place}: {:?}", String::from_utf8_lossy(around));
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).map(|found| found.flatten().collect::<Vec<_>>());
    let entries = entries.unwrap_or_default();
    let paths = entries.into_iter().map(|entry| entry.path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test]
async fn no_log_of_any_program_has_a_secret() {
    // Something has just been said, whatever ran before.
    let team = Team::new("logged", &[("KEY", "canary-logged")]).await;
    team.usual_class().await;
    team.pod("web").await.ready().await;
    let canaries = canaries().await;
    let mut read = 0;
    for file in files(Path::new("/var/log/pods"))
        .into_iter()
        .chain(files(&folder("RUN").join("log")))
    {
        let text = file.to_string_lossy().into_owned();
        let Ok(bytes) = std::fs::read(&file) else {
            continue; // of a pod that has just gone
        };
        read += usize::from(text.contains(PROVIDER) && !bytes.is_empty());
        search(&text, &bytes, &canaries);
    }
    assert!(read > 0, "the provider's log is among them");
}

#[tokio::test]
async fn no_event_record_or_metric_has_a_secret() {
    let canaries = canaries().await;
    let events: Api<Event> = Api::all(client().await);
    let events = events.list(&ListParams::default()).await.unwrap();
    assert!(!events.items.is_empty());
    search("events", &serde_json::to_vec(&events).unwrap(), &canaries);
    let records = kubectl([
        "get",
        "secretproviderclasspodstatuses",
        "--all-namespaces",
        "--output=json",
    ])
    .await;
    search("records", records.as_bytes(), &canaries);
    search("metrics", metrics().await.as_bytes(), &canaries);
}

#[tokio::test]
async fn the_state_directory_shows_neither_values_nor_names_nor_hosts() {
    let mut canaries = canaries().await;
    canaries.extend(
        [
            "KEY",
            "DB_PASSWORD",
            "shop",
            "Production",
            "10.96.0.20",
            "https://",
        ]
        .map(|text| text.as_bytes().to_vec()),
    );
    let kept = files(Path::new("/var/lib/phase-csi-provider"));
    assert!(!kept.is_empty(), "something is kept");
    for file in kept {
        let bytes = std::fs::read(&file).unwrap();
        // What `strings` would show: bytes of a cipher make no words of six letters.
        search(
            &file.to_string_lossy(),
            &bytes,
            &canaries
                .iter()
                .filter(|text| text.len() > 3)
                .cloned()
                .collect::<Vec<_>>(),
        );
        search(
            "a file's name",
            file.to_string_lossy().as_bytes(),
            &canaries[4..],
        );
    }
}

#[tokio::test]
async fn the_process_shows_nothing_and_leaves_no_core() {
    let canaries = canaries().await;
    let process = PathBuf::from(format!("/proc/{}", processes(PROVIDER)[0].as_raw_nonzero()));
    for name in [
        "cmdline",
        "environ",
        "maps",
        "status",
        "limits",
        "mountinfo",
        "stat",
        "comm",
        "wchan",
        "syscall",
    ] {
        if let Ok(bytes) = std::fs::read(process.join(name)) {
            search(name, &bytes, &canaries);
        }
    }
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let core: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(
        core,
        ["0", "0"],
        "neither the soft limit nor the hard one lets it dump"
    );
    let root = process.join("root");
    let before: Vec<_> = files(&root.join("tmp"));
    signal(PROVIDER, Signal::ABORT).await;
    rolled_out(PROVIDER).await;
    let now = PathBuf::from(format!(
        "/proc/{}/root",
        processes(PROVIDER)[0].as_raw_nonzero()
    ));
    let cores: Vec<_> = std::fs::read_dir(&now)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with("core"))
        .collect();
    assert!(cores.is_empty(), "{cores:?}");
    assert_eq!(files(&now.join("tmp")), before);
}
