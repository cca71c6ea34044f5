//! Generates the types of kubelet's and the driver's calls, when the suite is built at all.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = "../../proto/provider.proto";
    println!("cargo::rerun-if-changed=proto/csi.proto");
    println!("cargo::rerun-if-changed={provider}");
    if std::env::var_os("CARGO_FEATURE_CLUSTER").is_some() {
        let files = protox::compile(["proto/csi.proto", provider], ["proto", "../../proto"])?;
        tonic_prost_build::configure()
            .build_server(false)
            .compile_fds(files)?;
    }
    Ok(())
}
