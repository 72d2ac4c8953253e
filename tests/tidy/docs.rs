//! What the documents name must exist: paths, tests behind promises and invariants, reasons of errors.

use std::collections::BTreeSet;

use crate::source::Source;

/// Where a path in a document may begin, beside the document's own folder: the root, and the rooms as one speaks
/// of them (`log/mmap.rs`).
const BEGINNINGS: &[&str] = &["", "broker/src/", "client/src/", "cli/src/", "proto/"];

/// The ends of names that are files when they stand in backticks.
const FILE_ENDS: &[&str] = &[".rs", ".md", ".toml", ".proto", ".sh", ".py"];

/// Every path that a document names and that is not there.
pub(crate) fn missing_paths(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    // The samples of this very test name pages that must not exist.
    for source in sources.iter().filter(|s| !s.path.starts_with("tests/tidy")) {
        let document = source.path == "README.md" || source.path == "CHANGELOG.md" || in_docs(source);
        for (at, line) in source.text.lines().enumerate() {
            let mut names = if document { ticked(line) } else { Vec::new() };
            names.extend(if document { linked(line) } else { pages(line) });
            for name in names.into_iter().filter(|name| !exists(sources, &source.path, name)) {
                found.push(format!("{}:{}: there is no {name}", source.path, at + 1));
            }
        }
    }
    found
}

fn in_docs(source: &Source) -> bool {
    source.path.starts_with("docs/") && source.path.ends_with(".md")
}

/// Paths in backticks: of one word, and either in a folder of the root or with the end of a file.
fn ticked(line: &str) -> Vec<String> {
    let words = line.split('`').skip(1).step_by(2).map(|word| word.split("::").next().unwrap_or(word));
    let paths = words.filter(|word| word.contains('/') || FILE_ENDS.iter().any(|end| word.ends_with(end)));
    let roots = [
        "proto/",
        "client/",
        "cli/",
        "broker/",
        "tests/",
        "benches/",
        "config/",
        "docs/",
        "examples/",
        ".ci/",
    ];
    let plain = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
    let known = |word: &&str| {
        roots.iter().any(|root| word.starts_with(root))
            || FILE_ENDS.iter().any(|end| word.ends_with(end) && *word != *end)
    };
    paths.filter(plain).filter(known).map(str::to_owned).collect()
}

/// The targets of links that lead into the repository.
fn linked(line: &str) -> Vec<String> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    inside.map(|target| target.split('#').next().unwrap_or(target).to_owned()).collect()
}

/// Pages of `docs/` named in code and configuration.
fn pages(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("docs/") {
        let rest = &line[at..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"/._-".contains(c)).unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches('.');
        if name.ends_with(".md") && !line[..at].ends_with(['/', '.']) {
            names.push(name.to_owned());
        }
    }
    names
}

fn exists(sources: &[Source], from: &str, name: &str) -> bool {
    let name = name.trim_end_matches('/').trim_start_matches("./");
    let mut folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut rest = name;
    while let Some(up) = rest.strip_prefix("../") {
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
        rest = up;
    }
    let beside = if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") };
    let there = |path: &str| {
        sources
            .iter()
            .any(|s| s.path == path || s.path.strip_prefix(path).is_some_and(|more| more.starts_with('/')))
    };
    there(&beside) || BEGINNINGS.iter().any(|beginning| there(&format!("{beginning}{name}")))
}

/// Every proof in a document (`path::test`, or a script of `tests/faults/` or `examples/`) that is not there.
pub(crate) fn missing_proofs(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| in_docs(s)) {
        for (at, line) in source.text.lines().enumerate() {
            for (path, test) in proofs(line) {
                let file = sources.iter().find(|s| s.path == path);
                if !file.is_some_and(|file| test.is_empty() || is_test(file, &test)) {
                    found.push(format!("{}:{}: there is no test {path}::{test}", source.path, at + 1));
                }
            }
        }
    }
    found
}

/// The proofs that a line names: file and test, or a script and nothing.
fn proofs(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for word in line.split('`').skip(1).step_by(2) {
        if let Some((path, test)) = word.split_once(".rs::") {
            found.push((format!("{path}.rs"), test.to_owned()));
        } else if (word.starts_with("tests/faults/") || word.starts_with("examples/")) && word.contains('.') {
            // With its arguments, perhaps.
            let script = word.split(' ').next().unwrap_or(word);
            found.push((script.to_owned(), String::new()));
        }
    }
    found
}

/// Whether the file has a function of this name that the test runner runs.
fn is_test(file: &Source, name: &str) -> bool {
    let function = format!("fn {name}(");
    let Some(at) = file.code.find(&function) else { return false };
    // What lies between the function and the end of the one before: its attributes.
    let before = &file.code[..at];
    let attributes = &before[before.rfind(['}', ';']).map_or(0, |end| end + 1)..];
    attributes.contains("#[test]") || attributes.contains("::test")
}

/// The promises and invariants, one numbered heading or item each, that name no proof.
pub(crate) fn unproven(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(page) = sources.iter().find(|s| s.path == "docs/GUARANTEES.md") {
        let parts: Vec<&str> = page.text.split("\n## ").skip(1).filter(|part| numbered(part)).collect();
        found.extend(without_proof(&page.path, &parts, 10));
    }
    if let Some(page) = sources.iter().find(|s| s.path == "docs/ARCHITECTURE.md") {
        let list = page.text.split("\n## Invariants\n").nth(1).unwrap_or_default();
        let list = list.split("\n## ").next().unwrap_or_default();
        let parts: Vec<&str> = list.split("\n\n").filter(|part| numbered(part)).collect();
        found.extend(without_proof(&page.path, &parts, 10));
    }
    found
}

fn numbered(part: &str) -> bool {
    part.trim_start().starts_with(|c: char| c.is_ascii_digit())
}

fn without_proof(path: &str, parts: &[&str], least: usize) -> Vec<String> {
    let bare = parts.iter().filter(|part| part.lines().all(|line| proofs(line).is_empty()));
    let mut found: Vec<String> = bare
        .map(|part| {
            format!("{path}: no test is named for: {}", part.trim().lines().next().unwrap_or_default())
        })
        .collect();
    if parts.len() < least {
        found.push(format!("{path}: {} numbered parts, {least} at least", parts.len()));
    }
    found
}

/// Reasons of `error.proto` that `docs/ERRORS.md` does not explain, and explained ones that do not exist.
pub(crate) fn unexplained(sources: &[Source]) -> Vec<String> {
    let text = |path: &str| sources.iter().find(|s| s.path == path).map_or("", |s| s.text.as_str());
    let proto = text("proto/caudal/v1/error.proto");
    let body =
        proto.split("enum Reason {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    let values =
        body.lines().filter(|line| !line.trim().starts_with("//")).filter_map(|line| line.split_once(" = "));
    let reasons: BTreeSet<&str> =
        values.map(|(name, _)| name.trim()).filter(|name| *name != "REASON_UNSPECIFIED").collect();
    let rows =
        text("docs/ERRORS.md").lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let explained: BTreeSet<&str> = rows.collect();
    let mut found: Vec<String> =
        reasons.difference(&explained).map(|name| format!("docs/ERRORS.md: no word on {name}")).collect();
    found.extend(explained.difference(&reasons).map(|name| format!("docs/ERRORS.md: {name} is no reason")));
    if reasons.is_empty() {
        found.push("proto/caudal/v1/error.proto: no reasons found".to_owned());
    }
    found
}
