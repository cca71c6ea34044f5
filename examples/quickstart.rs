//! The main job on one machine: a Phase emulator, the provider, and the
//! driver's call played by hand. `cargo run --example quickstart`

#![allow(clippy::print_stdout, reason = "showing is what this program is for")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use hyper_util::rt::TokioIo;
use phase_csi_provider::provider::grpc::csi_driver_provider_client::CsiDriverProviderClient;
use phase_csi_provider::provider::grpc::{MountRequest, MountResponse};
use phase_csi_provider::serve::{self, ServeArgs};
use phase_emulator::{Emulator, Options, Seed};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    serve: ServeArgs,
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("phase.sock");

    println!("1. A Phase server of your own: the emulator, end-to-end encrypted.");
    let emulator = Emulator::start(Options::new(Seed::demo())).await?;
    println!("   {}\n", emulator.url());

    println!("2. The provider, on a socket as the DaemonSet serves it.");
    let (stop, stopped) = oneshot::channel::<()>();
    let endpoint = format!("unix://{}", socket.display());
    let flags = [
        "serve",
        "--http-listen",
        "off",
        "--endpoint",
        &endpoint,
        "--phase-host",
        &emulator.url(),
        "--mount-deadline",
        "5s",
        "--poll-interval",
        "5s",
    ];
    let provider = tokio::spawn(serve::run(Args::parse_from(flags).serve, async {
        // An error means that the sender is gone, which is as good a sign.
        let _ = stopped.await;
    }));
    let mut driver = connect(&socket).await?;
    println!("   {endpoint}\n");

    println!("3. The driver mounts a volume of this class:");
    println!(
        "     phaseApp: keyspace.cloud\n     phaseAppEnv: production\n     recursive: \"true\"\n"
    );
    let token = emulator
        .control()
        .token("demo")
        .ok_or("the demo has a token")?;
    let first = mount(&mut driver, &token, "web-0", "production").await?;
    show(&first);
    mount(&mut driver, &token, "web-1", "production").await?;
    let asked = emulator.control().requests();
    println!(
        "   A second pod of the class: {} requests to Phase in all.\n",
        asked.tokens + asked.secrets
    );

    println!(
        "4. Somebody changes API_KEY in Phase; a republish after the next poll (5 s) brings it:"
    );
    emulator.control().put_secret(
        "keyspace.cloud",
        "production",
        "/",
        "API_KEY",
        "ak_live_9876543210",
    )?;
    let second = changed(&mut driver, &token, &first).await?;
    show_changes(&first, &second);

    println!("5. Phase goes away. Pods live and start on what the node remembers:");
    emulator.stop().await;
    for pod in ["web-0", "web-2"] {
        let answer = mount(&mut driver, &token, pod, "production").await?;
        println!("   {pod}: {} files", answer.files.len());
    }
    println!("   What it does not remember fails, and says why:");
    match mount(&mut driver, &token, "web-3", "development").await {
        Ok(_) => return Err("nothing is remembered of development".into()),
        Err(status) => println!("   {:?}: {}\n", status.code(), status.message()),
    }

    drop(stop);
    provider.await??;
    println!(
        "6. Stopped: the socket is {}.",
        if socket.exists() {
            "still there"
        } else {
            "gone"
        }
    );
    Ok(())
}

async fn connect(socket: &Path) -> Result<CsiDriverProviderClient<Channel>> {
    for _ in 0..100 {
        if socket.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let socket = socket.to_owned();
    let connector = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok(CsiDriverProviderClient::new(channel))
}

/// Republished until something is different, for a minute at most.
async fn changed(
    driver: &mut CsiDriverProviderClient<Channel>,
    token: &str,
    before: &MountResponse,
) -> Result<MountResponse> {
    for _ in 0..60 {
        let answer = mount(driver, token, "web-0", "production").await?;
        if answer.object_version != before.object_version {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err("a change comes within a poll and a republish".into())
}

/// What the driver sends for a pod.
async fn mount(
    driver: &mut CsiDriverProviderClient<Channel>,
    token: &str,
    pod: &str,
    environment: &str,
) -> std::result::Result<MountResponse, Status> {
    let attributes = serde_json::json!({
        "csi.storage.k8s.io/pod.name": pod,
        "csi.storage.k8s.io/pod.namespace": "default",
        "csi.storage.k8s.io/pod.uid": format!("uid-{pod}"),
        "csi.storage.k8s.io/serviceAccount.name": "web",
        "secretProviderClass": "keyspace-cloud",
        "phaseApp": "keyspace.cloud",
        "phaseAppEnv": environment,
        "recursive": "true",
    });
    let request = MountRequest {
        attributes: attributes.to_string(),
        secrets: serde_json::json!({ "token": token }).to_string(),
        target_path: format!(
            "/var/lib/kubelet/pods/uid-{pod}/volumes/kubernetes.io~csi/keys/mount"
        ),
        permission: "420".to_owned(),
        current_object_version: Vec::new(),
    };
    Ok(driver.mount(request).await?.into_inner())
}

fn show(response: &MountResponse) {
    println!(
        "   {:<22} {:<6} {:<34} value (the demo's own)",
        "file", "mode", "version"
    );
    for (file, version) in response.files.iter().zip(&response.object_version) {
        let value = String::from_utf8_lossy(&file.contents);
        let line: String = value.replace('\n', "⏎").chars().take(40).collect();
        println!(
            "   {:<22} {:<6} {:<34} {line}",
            file.path,
            format!("{:04o}", file.mode),
            version.version
        );
    }
    println!();
}

fn show_changes(before: &MountResponse, after: &MountResponse) {
    for (old, new) in before.object_version.iter().zip(&after.object_version) {
        if old.version != new.version {
            println!(
                "   {}: version {} is now {}",
                new.id, old.version, new.version
            );
        }
    }
    let unchanged = after
        .object_version
        .iter()
        .filter(|version| before.object_version.contains(version));
    println!("   {} other files keep their version\n", unchanged.count());
}
