//! Generates the types of kubelet's, the driver's and a KMS plugin's calls, when the
//! suite is built at all.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = "../../proto/provider.proto";
    let (csi, kms) = ("proto/csi.proto", "proto/kms.proto");
    for file in [csi, kms, provider] {
        println!("cargo::rerun-if-changed={file}");
    }
    if std::env::var_os("CARGO_FEATURE_CLUSTER").is_some() {
        let asked = protox::compile([csi, provider], ["proto", "../../proto"])?;
        tonic_prost_build::configure()
            .build_server(false)
            .compile_fds(asked)?;
        let served = protox::compile([kms], ["proto"])?;
        tonic_prost_build::configure()
            .build_client(false)
            .compile_fds(served)?;
    }
    Ok(())
}
