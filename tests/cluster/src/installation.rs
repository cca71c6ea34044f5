//! Where a node's programs lie and how they are started.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::process::Process;
use crate::programs::Programs;

/// A node's folder and the command lines of its programs.
pub(crate) struct Installation {
    pub(crate) programs: Programs,
    pub(crate) node: String,
    pub(crate) folder: PathBuf,
    /// Address of the driver's metrics.
    pub(crate) metrics: String,
    pub(crate) provider: ProviderOptions,
    pub(crate) driver_arguments: Vec<String>,
    phase_url: String,
}

/// What a test may choose of the provider.
pub(crate) struct ProviderOptions {
    /// Its filter of `:authority` is off.
    pub(crate) raw_authority: bool,
    /// How often it asks Phase for changes.
    pub(crate) poll_interval: Duration,
    /// It has a state folder.
    pub(crate) keeps_state: bool,
    /// How old an answer it gives to a new volume, if not the usual.
    pub(crate) max_stale: Option<&'static str>,
}

impl Default for ProviderOptions {
    /// It looks for changes so often that no test has to wait for one.
    fn default() -> Self {
        Self {
            raw_authority: false,
            poll_interval: Duration::from_millis(250),
            keeps_state: false,
            max_stale: None,
        }
    }
}

impl Installation {
    /// Makes the folder of a node.
    pub(crate) fn prepare(programs: Programs, node: &str, phase_url: String) -> Self {
        let folder = programs.folder.join(node);
        for name in ["providers", "empty", "pods"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        Self {
            programs,
            node: node.to_owned(),
            folder,
            metrics: metrics_address(),
            provider: ProviderOptions::default(),
            driver_arguments: Vec::new(),
            phase_url,
        }
    }

    pub(crate) fn driver_socket(&self) -> PathBuf {
        self.folder.join("csi.sock")
    }

    pub(crate) fn provider_socket(&self) -> PathBuf {
        self.folder.join("providers/phase.sock")
    }

    /// Where the provider keeps what outlives it, if it does.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The driver with rotation on, as verbose as its documentation goes.
    pub(crate) fn start_driver(&self) -> Process {
        let folder = self.folder.display();
        let mut arguments = vec![
            format!("--endpoint=unix://{folder}/csi.sock"),
            format!("--nodeid={}", self.node),
            format!("--provider-volume={folder}/providers"),
            format!("--additional-provider-volume-paths={folder}/empty"),
            format!("--metrics-addr={}", self.metrics),
            "--enable-secret-rotation=true".to_owned(),
            "--rotation-poll-interval=1s".to_owned(),
            "-v=5".to_owned(),
        ];
        arguments.extend(self.driver_arguments.iter().cloned());
        let variables = [("KUBECONFIG", self.programs.kubeconfig.as_os_str())];
        Process::start(
            &self.programs.driver,
            arguments,
            &variables,
            &self.folder.join("driver.log"),
        )
    }

    /// Our release binary, telling everything it ever tells.
    pub(crate) fn start_provider(&self) -> Process {
        self.start_provider_into("provider.log")
    }

    /// The same again on the same socket, with a log of its own.
    pub(crate) fn start_second_provider(&self) -> Process {
        self.start_provider_into("second-provider.log")
    }

    fn start_provider_into(&self, log: &str) -> Process {
        let raw_authority = self.provider.raw_authority;
        let switch = OsStr::new(if raw_authority { "true" } else { "false" });
        let variables = [
            ("PHASE_CSI_LOG_LEVEL", OsStr::new("trace")),
            ("PHASE_CSI_TEST_ONLY_RAW_AUTHORITY", switch),
        ];
        Process::start(
            &self.programs.provider,
            self.provider_arguments(),
            &variables,
            &self.folder.join(log),
        )
    }

    fn provider_arguments(&self) -> Vec<String> {
        let poll_interval = self.provider.poll_interval.as_millis();
        let mut arguments = vec![
            "serve".to_owned(),
            format!("--endpoint=unix://{}", self.provider_socket().display()),
            format!("--phase-host={}", self.phase_url),
            "--mount-deadline=30s".to_owned(),
            // Nodes share this machine's ports.
            "--http-listen=127.0.0.1:0".to_owned(),
            format!("--test-only-poll-interval={poll_interval}ms"),
            // The suite's polls alone are more than the usual budget.
            "--request-budget=6000".to_owned(),
        ];
        if self.provider.keeps_state {
            let folder = self.state_folder();
            make_private(&folder);
            arguments.push(format!("--state-dir={}", folder.display()));
        }
        if let Some(time) = self.provider.max_stale {
            arguments.push(format!("--max-stale={time}"));
        }
        arguments
    }
}

/// Makes a folder for root alone, unless it is there.
fn make_private(folder: &Path) {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).unwrap();
}

/// An address of its own: below the ports that the kernel gives away, in a
/// network that belongs to the suite alone.
fn metrics_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    format!("127.0.0.1:{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
