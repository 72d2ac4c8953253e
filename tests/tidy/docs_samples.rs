//! Bad documents, each of which a check must refuse, and good ones.

use crate::docs::{missing_paths, missing_proofs, unexplained, unproven};
use crate::source::Source;

fn tree(pages: &[(&str, &str)]) -> Vec<Source> {
    let mut sources = vec![
        Source::new("broker/src/log/mmap.rs", "//! Maps.\n#[test]\nfn maps() {}\nfn not_a_test() {}\n"),
        Source::new("tests/e2e/kill.rs", "//! Kills.\n#[tokio::test]\nasync fn nothing_is_lost() {}\n"),
        Source::new("tests/faults/powercut.py", "print()"),
    ];
    sources.extend(pages.iter().map(|(path, text)| Source::new(path, text)));
    sources
}

#[test]
fn paths_that_are_not_there_are_named() {
    let missing = |path: &str, text: &str| missing_paths(&tree(&[(path, text)])).len();
    assert_eq!(missing("README.md", "see `broker/src/gone.rs` and `docs/GONE.md`"), 2);
    assert_eq!(missing("README.md", "see [the page](docs/GONE.md#part)"), 1);
    assert_eq!(missing("docs/A.md", "see [it](../broker/src/log/gone.rs) and `log/gone.rs`"), 2);
    assert_eq!(missing("broker/src/log/a.rs", "//! See `docs/GONE.md`."), 1);
}

#[test]
fn paths_that_are_there_pass() {
    let missing = |path: &str, text: &str| missing_paths(&tree(&[(path, text)]));
    assert!(
        missing("README.md", "`broker/src/log/` `log/mmap.rs` `log/mmap.rs::maps` `tests/e2e`").is_empty()
    );
    assert!(
        missing("docs/A.md", "[m](../broker/src/log/mmap.rs) [w](https://a.b/docs/X.md) [h](#here)")
            .is_empty()
    );
    assert!(missing("README.md", "`and/or` `docs/<page>` `retention.ms` `localhost:7171/x`").is_empty());
    assert!(missing("broker/src/log/a.rs", "//! See https://kafka.apache.org/docs/X.md").is_empty());
}

#[test]
fn proofs_that_are_not_there_are_named() {
    let missing = |text: &str| missing_proofs(&tree(&[("docs/A.md", text)])).len();
    assert_eq!(missing("`broker/src/log/mmap.rs::gone`"), 1);
    assert_eq!(missing("`broker/src/log/mmap.rs::not_a_test`"), 1);
    assert_eq!(missing("`tests/faults/gone.py`"), 1);
    assert_eq!(missing("`broker/src/log/mmap.rs::maps` `tests/e2e/kill.rs::nothing_is_lost`"), 0);
}

#[test]
fn a_promise_needs_a_proof() {
    let promise = |n: usize| format!("\n## {n}. A promise\n`broker/src/log/mmap.rs::maps`\n");
    let ten: String = (1..=10).map(promise).collect();
    let bare = |text: &str| unproven(&tree(&[("docs/GUARANTEES.md", text)]));
    assert!(bare(&ten).is_empty());
    assert_eq!(bare(&format!("{ten}\n## 11. Empty\nNothing.\n")).len(), 1);
    assert_eq!(bare(&ten[..ten.len() / 2]).len(), 1);
    let page = "# A\n\n## Invariants\n\n1. One. `broker/src/log/mmap.rs::maps`\n\n2. Two.\n\n## End\n";
    let found = unproven(&tree(&[("docs/ARCHITECTURE.md", page)]));
    assert!(found.len() == 2 && found[0].ends_with("2. Two."), "{found:?}");
}

#[test]
fn every_reason_is_explained_and_no_other() {
    let proto = "enum Reason {\n  REASON_UNSPECIFIED = 0;\n  // A = 1\n  GONE = 1;\n  FULL = 2;\n}\n";
    let found =
        |page: &str| unexplained(&tree(&[("proto/caudal/v1/error.proto", proto), ("docs/ERRORS.md", page)]));
    assert_eq!(found("### `GONE`\n### `FULL`\n").len(), 0);
    assert_eq!(found("### `GONE`\n").len(), 1);
    assert_eq!(found("### `GONE`\n### `FULL`\n### `OTHER`\n").len(), 1);
    assert_eq!(unexplained(&tree(&[])).len(), 1);
}
