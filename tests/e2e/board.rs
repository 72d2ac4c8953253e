//! What the Grafana board, the alerts and the page about operations name, a running broker shows; and the page explains
//! everything that it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::api::start;
use crate::http::{get, window};

fn file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The families of a running broker and their types.
fn shown() -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(&folder.path().join("data"), &[]);
    let (status, page) = get(window(&broker), "/metrics");
    assert_eq!(status, 200, "{page}");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The words of a text that are names of metrics, without the endings of a histogram's series.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()));
    let words = words.filter(|word| word.starts_with("caudal_") || word.starts_with("process_"));
    words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

#[test]
fn the_board_asks_for_what_a_broker_shows() {
    let shown = shown();
    let board: serde_json::Value = serde_json::from_str(&file("config/grafana.json")).expect("it is JSON");
    let panels = board["panels"].as_array().expect("panels");
    assert!(panels.len() > 10);
    let mut places = BTreeSet::new();
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        for target in targets {
            let asked = named(target["expr"].as_str().expect("an expression"));
            assert!(!asked.is_empty(), "{target}");
            for name in asked {
                assert!(shown.contains_key(&name), "{} asks for {name}", panel["title"]);
            }
        }
        let place = &panel["gridPos"];
        assert!(
            places.insert((place["x"].as_u64(), place["y"].as_u64())),
            "{}: its place is taken",
            panel["title"]
        );
    }
}

#[test]
fn the_page_explains_every_metric_with_its_type_and_no_other() {
    let shown = shown();
    let page = file("docs/OPERATIONS.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells.next()?.trim().trim_end_matches('`').to_owned();
        shown_kind(cells.next()?.trim()).map(|kind| (name, kind.to_owned()))
    });
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), shown);
    let unknown: Vec<String> = named(&page).into_iter().filter(|name| !shown.contains_key(name)).collect();
    assert_eq!(unknown, [] as [String; 0], "the page names what is not there");
}

fn shown_kind(cell: &str) -> Option<&str> {
    matches!(cell, "gauge" | "counter" | "histogram").then_some(cell)
}
