//! What every file must be like: documented, short, well named, finished; and where `unsafe` and the clock live.

use crate::source::{Source, has_word};

/// The longest file of code.
const LINES_MAX: usize = 500;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "manager", "common", "misc", "impl", "core", "base", "v2"];

/// Words that say a piece is not done. In two parts, so that this file does not break its own rule.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ig", "nore"),
];

/// The one file with `unsafe`.
const UNSAFE_LIVES_IN: &str = "broker/src/log/mmap.rs";

/// The only files that may read a clock, each with its reason.
pub(crate) const CLOCKS: &[(&str, &str)] = &[
    ("benches/figures/clock.rs", "what the figures measure is time"),
    (
        "broker/src/runtime/clock.rs",
        "the shell's clock: every decision gets its time from here, as an argument",
    ),
    ("cli/src/clock.rs", "the command line's clock: durations of a load and times relative to now"),
    ("client/src/clock.rs", "the SDK's clock: its policy gets its time from here, as an argument"),
];

const CLOCK_CALLS: &[&str] =
    &["Instant::now", "SystemTime::now", "UNIX_EPOCH.elapsed", "Timestamp::now", "Zoned::now"];

/// Every breach of the rules above.
pub(crate) fn breaches(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        name(source, &mut found);
        unfinished(source, &mut found);
        if source.is_rust() {
            documented(source, &mut found);
            at_home(source, &mut found);
        }
        let code = [".rs", ".proto", ".py", ".sh"].iter().any(|end| source.path.ends_with(end));
        let lines = source.text.lines().count();
        if code && lines > LINES_MAX {
            found.push(format!("{}: {lines} lines, {LINES_MAX} at most: split it by noun", source.path));
        }
    }
    found
}

fn name(source: &Source, found: &mut Vec<String>) {
    for part in source.path.split('/') {
        let stem = part.split('.').next().unwrap_or(part);
        if let Some(word) = stem.split(['_', '-']).find(|word| EMPTY_NAMES.contains(word)) {
            found.push(format!("{}: `{word}` says nothing of what is inside", source.path));
        }
    }
}

fn unfinished(source: &Source, found: &mut Vec<String>) {
    for (at, line) in source.text.lines().enumerate() {
        for word in UNFINISHED {
            let there = if word.ends_with('(') || word.starts_with('#') {
                line.contains(word)
            } else {
                has_word(line, word)
            };
            if there && source.path != "docs/STYLE.md" {
                found.push(format!("{}:{}: `{word}`: finish it or write an issue", source.path, at + 1));
            }
        }
    }
}

fn documented(source: &Source, found: &mut Vec<String>) {
    let first = source.text.lines().next().unwrap_or_default();
    if !first.starts_with("//! ") {
        found.push(format!("{}: the first line is not `//!` and what the file is", source.path));
    }
}

fn at_home(source: &Source, found: &mut Vec<String>) {
    if source.path != UNSAFE_LIVES_IN {
        for line in source.lines_with("unsafe") {
            found.push(format!("{}:{line}: `unsafe` lives in {UNSAFE_LIVES_IN} only", source.path));
        }
    }
    if CLOCKS.iter().all(|(home, _)| *home != source.path) {
        for call in CLOCK_CALLS {
            for line in source.lines_with(call) {
                found.push(format!("{}:{line}: `{call}`: take the time as an argument", source.path));
            }
        }
    }
}

#[test]
fn each_rule_can_be_broken() {
    let broken = |path: &str, text: &str| breaches(&[Source::new(path, text)]);
    let one = |path: &str, text: &str, says: &str| {
        let found = broken(path, text);
        assert!(found.len() == 1 && found[0].contains(says), "{path}: {found:?}");
    };
    one("broker/src/a.rs", "fn f() {}", "first line");
    one("broker/src/log_util.rs", "//! A.", "`util`");
    one("broker/src/v2/a.rs", "//! A.", "`v2`");
    one("docs/a.md", concat!("TO", "DO: more"), "finish it");
    one("broker/src/a.rs", concat!("//! A.\n#[ig", "nore]\nfn f() {}"), "finish it");
    one("broker/src/a.rs", concat!("//! A.\nfn f() { todo", "!() }"), "finish it");
    one("broker/src/a.rs", "//! A.\nfn f() { unsafe { g() } }", "`unsafe` lives");
    one("cli/src/a.rs", "//! A.\nlet t = std::time::Instant::now();", "take the time");
    one("broker/src/a.rs", &format!("//! A.\n{}", "\n".repeat(500)), "501 lines");
}

#[test]
fn good_files_pass() {
    let broken = |path: &str, text: &str| breaches(&[Source::new(path, text)]);
    assert!(broken("broker/src/a.rs", "//! A.\n// unsafe Instant::now\nlet s = \"unsafe\";").is_empty());
    assert!(broken("broker/src/log/mmap.rs", "//! A.\nunsafe { map() }").is_empty());
    assert!(broken("broker/src/runtime/clock.rs", "//! A.\nInstant::now()").is_empty());
    assert!(broken("broker/src/a.rs", &format!("//! A.\n{}", "\n".repeat(499))).is_empty());
    assert!(broken("proto/caudal/v1/a.proto", "syntax = \"proto3\";").is_empty());
}
