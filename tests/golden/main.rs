//! Golden scripts: commands to one broker and everything that comes of them, as text to be read in a review.
//!
//! A script in `scripts/` is a story: comments say what must hold, a line `> command` is carried out, the lines under
//! it are its trace: writes and syncs in order (also those that fail), answers, what is published, the rounds handed to the disk. Broker,
//! shards and disk are those of production, the file system is the lying one, the clock is moved by commands alone.
//!
//! `UPDATE=1 cargo test -p caudal-tests --test golden` writes the traces that came out. Commit one only if you
//! understand what changed it.

mod broker;
mod command;
mod difference;
mod names;
mod script;
mod trace;
mod world;

use std::path::{Path, PathBuf};

use script::Script;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/scripts");
    let listed = std::fs::read_dir(&folder).expect("the folder of the scripts");
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

#[test]
fn every_script_gives_its_trace() {
    let update = std::env::var_os("UPDATE").is_some();
    let only = std::env::var("SCRIPT").unwrap_or_default();
    let mut wrong = Vec::new();
    for path in scripts() {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if !name.contains(&only) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a script of text");
        let found = Script::parse(&text).run();
        wrong.extend(found.wrong.iter().map(|what| format!("{name}: {what}")));
        if update {
            std::fs::write(&path, found.text).expect("the script is written");
        } else if found.text != text {
            wrong.push(format!("{name}:\n{}", difference::of(&text, &found.text)));
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{}\nUPDATE=1 cargo test -p caudal-tests --test golden writes what came out; SCRIPT=part-of-a-name runs some",
        wrong.join("\n")
    );
}

#[test]
fn the_same_script_gives_the_same_trace() {
    for path in scripts() {
        let text = std::fs::read_to_string(&path).expect("a script of text");
        assert_eq!(Script::parse(&text).run().text, Script::parse(&text).run().text, "{}", path.display());
    }
}

#[test]
fn a_trace_that_differs_and_a_command_that_cannot_be_are_seen() {
    let text = "# A story.\n\n> start\nnonsense\n\n> fly to the moon\n";
    let found = Script::parse(text).run();
    assert!(found.text.contains("open:") && !found.text.contains("nonsense"), "{}", found.text);
    assert_eq!(found.wrong.len(), 1, "{:?}", found.wrong);
    let shown = difference::of(text, &found.text);
    assert!(shown.contains("- nonsense") && shown.contains("+ open:"), "{shown}");
}
