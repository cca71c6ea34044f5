//! Generates the provider contract's types; needs no `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/provider.proto");
    let files = protox::compile(["proto/provider.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // The messages carry tokens and plaintext: they must not be printable.
        .skip_debug(["."])
        .compile_fds(files)?;
    Ok(())
}
