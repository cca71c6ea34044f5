//! Which programs the suite runs.

use std::env;
use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::PATIENCE;
use crate::process::run;

/// The programs and folders that `tests/cluster/run` hands over in the environment.
#[derive(Clone)]
pub struct Programs {
    /// The CSI driver: `CSI_DRIVER`.
    pub driver: PathBuf,
    /// Which line of drivers it belongs to: `CSI_DRIVER_LINE`, `1.5` or `1.6`.
    pub line: Line,
    /// Our release binary: `PROVIDER_BIN`.
    pub provider: PathBuf,
    /// The API server's administrator: `KUBECONFIG`.
    pub kubeconfig: PathBuf,
    /// Where all state goes: `SUITE_DIR`, removed by `run`.
    pub folder: PathBuf,
}

/// A line of drivers, by how it rotates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Line {
    /// Up to 1.5.6: a loop of its own, and events on the pod.
    UpTo15,
    /// 1.6: kubelet publishes again, and failures are kept from it.
    From16,
}

impl Programs {
    /// Reads the environment.
    ///
    /// # Panics
    /// When the suite runs without `tests/cluster/run`.
    pub fn from_environment() -> Self {
        let line = match variable("CSI_DRIVER_LINE").to_str() {
            Some("1.5") => Line::UpTo15,
            Some("1.6") => Line::From16,
            other => panic!("CSI_DRIVER_LINE is {other:?}, neither 1.5 nor 1.6"),
        };
        Self {
            driver: variable("CSI_DRIVER"),
            line,
            provider: variable("PROVIDER_BIN"),
            kubeconfig: variable("KUBECONFIG"),
            folder: variable("SUITE_DIR"),
        }
    }

    /// A client of the API server, as its administrator.
    pub async fn client(&self) -> Client {
        client_of(&self.kubeconfig).await
    }
}

/// A client of the API server that a file names.
pub(crate) async fn client_of(kubeconfig: &Path) -> Client {
    let mut config = config_of(kubeconfig).await;
    config.read_timeout = Some(PATIENCE);
    Client::try_from(config).unwrap()
}

/// A client that waits as long as it takes and asks once: for whoever hands on.
pub(crate) async fn plain_client_of(kubeconfig: &Path) -> Client {
    let mut config = config_of(kubeconfig).await;
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

async fn config_of(kubeconfig: &Path) -> Config {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap()
}

/// Runs a command line in a folder, as somebody at a shell with the suite's programs
/// whose home it is; what it prints, or its complaint.
pub(crate) async fn shell(
    command: &str,
    folder: &Path,
    kubeconfig: &Path,
) -> Result<String, String> {
    let provider = variable("PROVIDER_BIN");
    let own = provider.parent().expect("a file").to_owned();
    let path = env::join_paths([variable("BIN"), own, "/usr/bin".into(), "/bin".into()]);
    run(
        folder,
        Path::new("/bin/sh"),
        &["-c", command],
        &[
            ("PATH", &path.unwrap()),
            ("HOME", folder.as_os_str()),
            ("KUBECONFIG", kubeconfig.as_os_str()),
        ],
    )
    .await
}

pub(crate) fn variable(name: &str) -> PathBuf {
    let value = env::var_os(name);
    value
        .unwrap_or_else(|| panic!("{name} is not set: start the suite with tests/cluster/run"))
        .into()
}
