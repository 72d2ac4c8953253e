//! Who may depend on whom among the crates of the workspace.

use std::collections::BTreeSet;

use crate::source::Source;

/// A crate's folder, the crate's name, and the workspace crates that it may depend on.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("proto", "caudal-proto", &[]),
    ("client", "caudal-client", &["caudal-proto"]),
    ("broker", "caudal-broker", &["caudal-proto"]),
    ("cli", "caudal", &["caudal-proto", "caudal-client", "caudal-broker"]),
    ("tests", "caudal-tests", &["caudal-proto", "caudal-client", "caudal-broker", "caudal"]),
    ("benches", "caudal-benches", &["caudal-proto", "caudal-client", "caudal-broker", "caudal"]),
];

/// The only files of `cli/` that may name the broker: `serve` runs it, `log dump|verify` read its files, and the
/// errors of both become exit codes.
const CLI_SEES_BROKER: &[&str] = &["cli/src/serve", "cli/src/log"];

/// Every dependency that points the wrong way.
pub(crate) fn breaches(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.path.ends_with("/Cargo.toml")) {
        let folder = source.path.trim_end_matches("/Cargo.toml");
        let Some((_, name, may)) = CRATES.iter().find(|(f, ..)| *f == folder) else {
            found.push(format!("{}: no rule says what this crate may depend on", source.path));
            continue;
        };
        for other in depends(&source.text) {
            if other != *name && !may.contains(&other.as_str()) {
                found.push(format!("{}: {name} must not depend on {other}", source.path));
            }
        }
    }
    for source in sources.iter().filter(|s| s.path.starts_with("cli/src/")) {
        let allowed = CLI_SEES_BROKER.iter().any(|start| source.path.starts_with(start));
        for line in source.lines_with("caudal_broker").into_iter().filter(|_| !allowed) {
            found.push(format!("{}:{line}: only `serve` and `log` may name the broker", source.path));
        }
    }
    found
}

/// The workspace crates in a manifest's tables of dependencies.
fn depends(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut in_table = false;
    for line in manifest.lines() {
        if let Some(table) = line.trim().strip_prefix('[') {
            in_table = table.trim_end_matches(']').ends_with("dependencies");
            if let Some((_, name)) = table.trim_end_matches(']').split_once("dependencies.") {
                names.insert(name.to_owned());
            }
        } else if in_table {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.insert(line[..end].to_owned());
        }
    }
    names.retain(|name| CRATES.iter().any(|(_, known, _)| known == name));
    names
}

#[test]
fn the_rules_can_be_broken() {
    let broken = |path: &str, text: &str| breaches(&[Source::new(path, text)]).len();
    assert_eq!(broken("client/Cargo.toml", "[dependencies]\ncaudal-broker.workspace = true"), 1);
    assert_eq!(broken("client/Cargo.toml", "[dev-dependencies]\ncaudal-broker = { path = \"x\" }"), 1);
    assert_eq!(broken("broker/Cargo.toml", "[dependencies.caudal-client]\nworkspace = true"), 1);
    assert_eq!(broken("proto/Cargo.toml", "[build-dependencies]\ncaudal-client = \"1\""), 1);
    assert_eq!(broken("spare/Cargo.toml", "[package]"), 1);
    assert_eq!(broken("cli/src/topic.rs", "use caudal_broker::ids::NodeId;"), 1);
    assert_eq!(broken("cli/src/serve.rs", "use caudal_broker::server;"), 0);
    assert_eq!(broken("client/Cargo.toml", "[dependencies]\ncaudal-proto.workspace = true"), 0);
}
