//! Licences, banned crates and sources of everything that is built, read from `cargo metadata` and `Cargo.lock`.
//!
//! Why this is a test and what it leaves out (advisories): `docs/adr/0007-no-cargo-deny.md`.

#[path = "licences/expression.rs"]
mod expression;
#[path = "licences/lock.rs"]
mod lock;

use std::path::Path;
use std::process::Command;

use expression::satisfied;
use lock::{Package, packages};

/// Licences that a binary under Apache-2.0 may carry along with no more than a notice.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Unicode-3.0",
    "Zlib",
];

/// A crate that must not be there, or only below the named ones.
struct Ban {
    name: &'static str,
    /// The only crates that may depend on it.
    only_below: &'static [&'static str],
    reason: &'static str,
}

const BANS: &[Ban] = &[
    Ban { name: "openssl", only_below: &[], reason: "a C library that must match the machine" },
    Ban { name: "openssl-sys", only_below: &[], reason: "a C library that must match the machine" },
    Ban { name: "native-tls", only_below: &[], reason: "it is openssl on Linux" },
    Ban { name: "async-std", only_below: &[], reason: "a second async runtime" },
    Ban {
        name: "rand",
        only_below: &["proptest", "rand_xorshift", "raft", "tower", "tempfile"],
        reason: "randomness is an argument; ids are drawn with getrandom in the shell",
    },
    Ban {
        name: "protobuf",
        only_below: &["raft", "raft-proto", "protobuf-build", "protobuf-codegen", "caudal-broker"],
        reason: "RUSTSEC-2024-0437: only configuration changes that the broker itself encoded may reach its decoder",
    },
    Ban { name: "fxhash", only_below: &["raft"], reason: "RUSTSEC-2025-0057: no longer maintained" },
    Ban {
        name: "prost-build",
        only_below: &["tonic-prost-build"],
        reason: "it asks for a protoc on the machine",
    },
];

/// Crates of which there is one version, because their types meet at borders.
const SINGLE: &[&str] = &["bytes", "prost", "tonic", "tokio", "http", "hyper", "raft"];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

fn locked() -> Vec<Package> {
    packages(&std::fs::read_to_string(root().join("Cargo.lock")).expect("there is a Cargo.lock"))
}

/// Packages from elsewhere than crates.io and this workspace.
fn foreign(packages: &[Package]) -> Vec<String> {
    let strange = packages.iter().filter(|p| match &p.source {
        Some(source) => source != REGISTRY,
        None => !p.name.starts_with("caudal"),
    });
    strange.map(|p| format!("{} {} comes from {:?}", p.name, p.version, p.source)).collect()
}

/// Banned crates that are there, and second versions of crates that must have one.
fn banned(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for ban in BANS {
        for package in packages.iter().filter(|p| p.dependencies.iter().any(|d| d == ban.name)) {
            if !ban.only_below.contains(&package.name.as_str()) {
                found.push(format!("{} depends on {}: {}", package.name, ban.name, ban.reason));
            }
        }
    }
    for name in SINGLE {
        let versions: Vec<&str> =
            packages.iter().filter(|p| p.name == *name).map(|p| p.version.as_str()).collect();
        if versions.len() > 1 {
            found.push(format!("{name} is there as {}: one version only", versions.join(" and ")));
        }
    }
    found
}

/// Packages with no licence, or one that is not allowed: name and licence of each.
fn unlicensed(metadata: &serde_json::Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let bad = packages.iter().filter(|p| !p["license"].as_str().is_some_and(|text| satisfied(text, ALLOWED)));
    bad.map(|p| format!("{} {}: licence {}", p["name"], p["version"], p["license"])).collect()
}

fn metadata() -> serde_json::Value {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let run = |extra: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", &host]).args(extra);
        cargo.current_dir(root()).output().expect("cargo runs")
    };
    // What is built is there already; another platform's part of it may not be.
    let mut output = run(&["--offline"]);
    if !output.status.success() {
        output = run(&[]);
    }
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_licence_is_allowed() {
    let metadata = metadata();
    assert!(metadata["packages"].as_array().is_some_and(|p| p.len() > 50), "too few packages: {metadata}");
    none(&unlicensed(&metadata));
}

#[test]
fn every_crate_comes_from_the_registry_or_from_here() {
    none(&foreign(&locked()));
}

#[test]
fn no_banned_crate_is_built() {
    none(&banned(&locked()));
}

#[test]
fn the_checks_can_fail() {
    let package = |name: &str, source: Option<&str>, dependencies: &[&str]| Package {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        source: source.map(str::to_owned),
        dependencies: dependencies.iter().map(|d| (*d).to_owned()).collect(),
    };
    assert_eq!(foreign(&[package("a", Some("git+https://a.b/c"), &[])]).len(), 1);
    assert_eq!(foreign(&[package("a", None, &[])]).len(), 1);
    assert_eq!(foreign(&[package("caudal-x", None, &[]), package("a", Some(REGISTRY), &[])]).len(), 0);
    assert_eq!(banned(&[package("a", None, &["protobuf", "openssl"])]).len(), 2);
    assert_eq!(banned(&[package("raft", None, &["protobuf", "fxhash"])]).len(), 0);
    assert_eq!(banned(&[package("prost", None, &[]), package("prost", None, &[])]).len(), 1);
    let crates = serde_json::json!({"packages": [
        {"name": "a", "version": "1.0.0", "license": "GPL-3.0-only"},
        {"name": "b", "version": "1.0.0", "license": null},
        {"name": "c", "version": "1.0.0", "license": "MIT/Apache-2.0"},
    ]});
    assert_eq!(unlicensed(&crates).len(), 2);
}
