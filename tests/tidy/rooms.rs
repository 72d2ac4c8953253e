//! Who may import whom inside `broker/src`: the picture of `docs/ARCHITECTURE.md` as a table.

use crate::source::Source;

/// A room, or a file beside the rooms, and what it may name of the others.
struct Room {
    name: &'static str,
    uses: &'static [&'static str],
    /// Crates and modules that it must not name.
    never: &'static [&'static str],
}

/// What no room of decisions may touch: it would not replay from a seed.
const PURE: &[&str] = &[
    "tokio",
    "tonic",
    "caudal_proto::v1",
    "std::time",
    "std::thread",
    "std::net",
    "std::fs",
    "getrandom",
    "HashMap",
    "HashSet",
    "async",
];

/// What the log must not know: it blocks, and its payloads are opaque.
const BYTES: &[&str] = &[
    "tokio",
    "tonic",
    "raft",
    "protobuf",
    "caudal_proto::v1",
    "std::time",
    "std::net",
    "getrandom",
    "async",
];

const ROOMS: &[Room] = &[
    Room { name: "ids", uses: &[], never: PURE },
    Room { name: "limits", uses: &["ids"], never: PURE },
    Room { name: "nearest", uses: &[], never: PURE },
    Room { name: "refusal", uses: &["ids", "limits"], never: PURE },
    Room { name: "log", uses: &["ids", "limits", "refusal"], never: BYTES },
    Room { name: "state", uses: &["ids", "limits", "nearest", "refusal", "log"], never: PURE },
    Room { name: "consensus", uses: &["ids", "limits", "refusal", "log"], never: PURE },
    Room { name: "node", uses: &["ids", "limits", "refusal", "log", "state", "consensus"], never: PURE },
    Room {
        name: "runtime",
        uses: &["ids", "limits", "refusal", "config", "log", "state", "consensus", "node"],
        never: &["tonic", "raft", "protobuf"],
    },
    Room {
        name: "rpc",
        uses: &["ids", "limits", "refusal", "config", "log", "state", "node", "runtime"],
        never: &["raft", "protobuf", "std::fs"],
    },
    Room {
        name: "http",
        uses: &["ids", "limits", "node", "runtime"],
        never: &["tonic", "raft", "protobuf", "std::fs"],
    },
];

/// Names of rooms that a path can lead to, with those that lie outside the table: `config`, `server`.
const NAMES: &[&str] = &[
    "ids",
    "limits",
    "nearest",
    "refusal",
    "config",
    "log",
    "state",
    "consensus",
    "node",
    "runtime",
    "rpc",
    "http",
    "server",
];

/// Every import that points the wrong way.
pub(crate) fn breaches(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let Some(inside) = source.path.strip_prefix("broker/src/") else { continue };
        let room = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        let Some(room) = ROOMS.iter().find(|r| r.name == room) else { continue };
        for (line, name) in named(source, inside) {
            if name != room.name && !room.uses.contains(&name.as_str()) {
                found.push(format!("{}:{line}: `{}` must not import `{name}`", source.path, room.name));
            }
        }
        if is_test(inside) {
            continue;
        }
        for word in room.never {
            for line in source.lines_with(word) {
                found.push(format!("{}:{line}: `{}` must not use `{word}`", source.path, room.name));
            }
        }
    }
    found
}

/// Tests may read files and share maps; the imports between rooms hold for them too.
fn is_test(inside: &str) -> bool {
    inside.split('/').any(|part| {
        let stem = part.trim_end_matches(".rs");
        stem == "tests" || stem.ends_with("_tests")
    })
}

/// The rooms that a file names: after `crate::`, in a group after it, or after enough `super::` to reach the root.
fn named(source: &Source, inside: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let depth = inside.split('/').filter(|part| *part != "mod.rs").count();
    for (at, _) in source.code.match_indices("crate::") {
        let line = source.code[..at].matches('\n').count() + 1;
        heads(&source.code[at + "crate::".len()..], &mut |name| found.push((line, name.to_owned())));
    }
    for (at, _) in source.code.match_indices("super::") {
        if source.code[..at].ends_with("super::") {
            continue;
        }
        let mut rest = &source.code[at..];
        let mut ups = 0;
        while let Some(after) = rest.strip_prefix("super::") {
            (rest, ups) = (after, ups + 1);
        }
        if ups >= depth {
            let line = source.code[..at].matches('\n').count() + 1;
            heads(rest, &mut |name| found.push((line, name.to_owned())));
        }
    }
    found.retain(|(_, name)| NAMES.contains(&name.as_str()));
    found
}

/// The first name of a path, or of each path of a group in braces.
fn heads(rest: &str, see: &mut dyn FnMut(&str)) {
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        return see(&rest[..end]);
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return heads(&group[start..at], see),
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads(&group[start..at], see);
                start = at + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn the_table_can_be_broken() {
    let broken = |path: &str, text: &str| breaches(&[Source::new(path, text)]).len();
    assert_eq!(broken("broker/src/log/a.rs", "use crate::rpc::Door;"), 1);
    assert_eq!(broken("broker/src/log/a.rs", "use crate::{ids::Index, node::Node, limits::{A, B}};"), 1);
    assert_eq!(broken("broker/src/log/a.rs", "use super::super::state::Catalog;"), 1);
    assert_eq!(broken("broker/src/log/mod.rs", "use super::{ids, runtime};"), 1);
    assert_eq!(broken("broker/src/node/a.rs", "let x: crate::runtime::Clock;"), 1);
    assert_eq!(broken("broker/src/node/a.rs", "use std::time::Instant; async fn f() {}"), 2);
    assert_eq!(broken("broker/src/state/a.rs", "use std::collections::HashMap;"), 1);
    assert_eq!(broken("broker/src/ids.rs", "use crate::log::Log;"), 1);
    assert_eq!(broken("broker/src/http/a.rs", "use crate::rpc::Door;"), 1);
    assert_eq!(broken("broker/src/runtime/a.rs", "use crate::http::Shown;"), 1);
}

#[test]
fn what_the_table_allows_passes() {
    let broken = |path: &str, text: &str| breaches(&[Source::new(path, text)]);
    assert!(
        broken("broker/src/log/a.rs", "use crate::ids::Index; // crate::rpc\n/* crate::node */").is_empty()
    );
    assert!(broken("broker/src/log/a.rs", "let s = \"crate::rpc\"; use super::node::Local;").is_empty());
    assert!(broken("broker/src/rpc/a.rs", "use crate::{node::event, runtime::Handle};").is_empty());
    assert!(broken("broker/src/server.rs", "use crate::{rpc, log, runtime};").is_empty());
    assert!(broken("broker/src/log/a/tests.rs", "use std::time::Duration;").is_empty());
    assert!(broken("broker/src/state/a.rs", "fn asynchronous() {}").is_empty());
}
