//! A program that runs for the length of a test.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::PATIENCE;

/// A running program with its output in a file; it is killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its output is appended to `log`.
    pub(crate) fn start(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        variables: &[(&str, &OsStr)],
        log: &Path,
    ) -> Self {
        let output = appended(log);
        let child = Command::new(program)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop (SIGTERM) and waits until it has; whether it exited with success.
    pub async fn stop(&mut self) -> bool {
        let pid = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        rustix::process::kill_process(pid.expect("it runs"), rustix::process::Signal::TERM)
            .unwrap();
        self.child.wait().await.unwrap().success()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The time that processors have spent on it.
    ///
    /// # Panics
    /// When it has ended.
    pub fn processor_time(&self) -> Duration {
        processor_time(self.child.id().expect("it runs"))
    }

    /// Its memory that is in use, and the most that ever was, in MiB.
    ///
    /// # Panics
    /// When it has ended.
    pub fn memory(&self) -> (f64, f64) {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
            kilobytes.parse::<f64>().unwrap() / 1024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Where it serves health and metrics; none before it does.
    pub fn http(&self) -> Option<String> {
        let output = self.output();
        let mut lines = output.lines().rev();
        let line = lines.find(|line| line.contains("serving health and metrics"))?;
        let (_, rest) = line.split_once("\"address\":\"")?;
        Some(rest.split('"').next()?.to_owned())
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

/// The body of an HTTP answer; none while nobody answers.
pub async fn http_get(address: &str, path: &str) -> Option<String> {
    http(address, "GET", path, "").await.map(|(_, body)| body)
}

/// Status and body of an HTTP answer; none while nobody answers. The body of the
/// request is JSON.
pub async fn http(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    };
    timeout(PATIENCE, asked).await.ok()?
}

/// Runs a program to its end in a folder, with no other variables than these.
pub(crate) async fn run(
    folder: &Path,
    program: &Path,
    arguments: &[&str],
    variables: &[(&str, &OsStr)],
) -> Result<String, String> {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let output = timeout(PATIENCE, child.unwrap().wait_with_output()).await;
    let output = output.map_err(|_| "it hangs".to_owned())?.unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8(output.stdout).unwrap())
}

fn appended(log: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap()
}

/// The processor time that a process has spent.
///
/// # Panics
/// When there is none of this id.
#[must_use]
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let spent = fields.split(' ').skip(11).take(2);
    let ticks: u64 = spent.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    let a_second = rustix::param::clock_ticks_per_second();
    Duration::from_millis(ticks * 1_000 / a_second)
}
