//! Compiles the `.proto` files without `protoc`.

use std::path::PathBuf;

const FILES: [&str; 7] = ["cluster", "error", "fetch", "metadata", "produce", "record", "topic"];

const PEER: &str = "caudal/peer/v1/peer.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = FILES.iter().map(|name| format!("caudal/v1/{name}.proto")).collect();
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    // Apart from the descriptors: what brokers say to each other is no part of the API.
    println!("cargo:rerun-if-changed={PEER}");
    tonic_prost_build::configure().bytes(".").compile_fds(protox::compile([PEER], ["."])?)?;
    Ok(())
}
