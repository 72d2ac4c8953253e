//! `docs/CLI.md` and the command tree say the same: nothing is missing there, and nothing is there that does not exist.

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;

const DOCS: &str = include_str!("../../docs/CLI.md");

/// What can be said of a verb: the names of its flags, `-x` and `--long`.
type Flags = BTreeSet<String>;

fn flags(command: &Command) -> Flags {
    let mut names = Flags::new();
    for flag in command.get_arguments().filter(|flag| !flag.is_positional()) {
        names.extend(flag.get_short().map(|short| format!("-{short}")));
        names.extend(flag.get_long().map(|long| format!("--{long}")));
    }
    names
}

/// Every command that is no group, with its own flags, by its words.
fn verbs(command: &Command, path: &str, found: &mut BTreeMap<String, Flags>) {
    for verb in command.get_subcommands() {
        let path = format!("{path} {}", verb.get_name());
        if verb.has_subcommands() {
            verbs(verb, &path, found);
        } else {
            found.insert(path, flags(verb));
        }
    }
}

fn tree() -> (Command, BTreeMap<String, Flags>) {
    let command = caudal_cli::command();
    let mut found = BTreeMap::new();
    verbs(&command, "caudal", &mut found);
    (command, found)
}

/// The sections of a page by the command in their heading, with the text up to the next heading.
fn sections(page: &str) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    let mut name = String::new();
    for line in page.lines() {
        if line.starts_with('#') {
            name = line.trim_start_matches('#').trim().trim_matches('`').to_owned();
        }
        let text: &mut String = sections.entry(name.clone()).or_default();
        text.push_str(line);
        text.push('\n');
    }
    sections
}

/// The flags that a text documents: in the first column of its table of flags.
fn documented(text: &str) -> Flags {
    let lines = text.lines().skip_while(|line| !line.starts_with("| flag |"));
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.flat_map(mentioned).collect()
}

/// The flags that a text names in backticks.
fn mentioned(text: &str) -> Flags {
    let ticked = text.split('`').skip(1).step_by(2);
    let words = ticked.flat_map(str::split_whitespace);
    let flag = |word: &&str| {
        let name = word.trim_start_matches('-');
        let dashes = word.len() - name.len();
        let letters = name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
        let short = dashes == 1 && name.len() == 1;
        letters && (short || dashes == 2 && name.len() > 1)
    };
    words.filter(flag).map(str::to_owned).collect()
}

#[test]
fn every_verb_has_a_section_with_all_its_flags_and_no_others() {
    let (_, verbs) = tree();
    let sections = sections(DOCS);
    for (verb, flags) in &verbs {
        let text = sections.get(verb).unwrap_or_else(|| panic!("docs/CLI.md has no heading `{verb}`"));
        assert_eq!(&documented(text), flags, "flags in the section of `{verb}`, and in the program");
    }
    for name in sections.keys().filter(|name| name.starts_with("caudal ")) {
        let known = verbs.keys().any(|verb| verb == name || verb.starts_with(&format!("{name} ")));
        assert!(known, "docs/CLI.md has a section for `{name}`, which does not exist");
    }
}

#[test]
fn the_global_flags_are_documented() {
    let (mut command, _) = tree();
    command.build();
    let sections = sections(DOCS);
    let mut expected = flags(&command);
    expected.retain(|flag| !matches!(flag.as_str(), "-V" | "--version"));
    assert_eq!(documented(&sections["Everywhere"]), expected);
}

#[test]
fn every_flag_that_is_named_anywhere_exists() {
    let (mut command, verbs) = tree();
    command.build();
    let mut known = flags(&command);
    known.extend(verbs.into_values().flatten());
    // The form of an offset.
    known.insert("-N".to_owned());
    for flag in mentioned(DOCS) {
        assert!(known.contains(&flag), "docs/CLI.md names {flag}, which no verb has");
    }
}

/// Every command line of the page's shell examples parses.
#[test]
fn every_example_of_the_page_parses() {
    let blocks = DOCS.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(lines.len() > 8, "only {} examples were found", lines.len());
    for line in lines {
        let line =
            line.split([" < ", " > ", " | "].map(|s| s.chars().nth(1).unwrap_or(' '))).next().unwrap_or(line);
        let words: Vec<String> = line.split('\'').enumerate().flat_map(cut).collect();
        let parsed = caudal_cli::command().try_get_matches_from(&words);
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.err().map(|e| e.to_string()).unwrap_or_default());
    }
}

/// Cuts what stands outside quotes into words.
fn cut((at, part): (usize, &str)) -> Vec<String> {
    if at % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
}

#[test]
fn a_page_that_lies_is_found_out() {
    let page = "# Page\n## `caudal x`\nsee `caudal x --more`\n| flag | meaning |\n|---|---|\n\
                | `-a`, `--all N` | not `--other` |\n\n| `-z` | no flag |\n";
    let sections = sections(page);
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Flags>();
    assert_eq!(documented(&sections["caudal x"]), set(&["-a", "--all"]));
    assert_eq!(mentioned(page), set(&["-a", "--all", "--more", "--other", "-z"]));
}
