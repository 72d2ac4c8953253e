//! What the README lets a newcomer type, typed.

use caudal_harness::broker_bin::{binary, caudal};

use crate::api::start;

/// The README's blocks of shell and of output, in order.
fn blocks(readme: &str) -> Vec<&str> {
    let section = readme.split("## The first record in a minute").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or(section);
    section.split("```").skip(1).step_by(2).map(|block| block.trim_start_matches("sh").trim()).collect()
}

#[test]
fn the_first_record_comes_back_as_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(&folder.path().join("data"), &[]);
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let [commands, output] = blocks(&readme)[..] else { panic!("a block of commands and one of output") };
    let alias = commands.lines().next().unwrap();
    assert!(alias.starts_with("alias caudal="), "{alias}");
    let script = commands.replacen(alias, "", 1);
    let script = format!("set -e\ncaudal() {{ '{}' \"$@\"; }}\n{script}", binary().display());
    let ran = std::process::Command::new("bash")
        .args(["-c", &script])
        .env("CAUDAL_BROKERS", broker.address())
        .output()
        .expect("bash runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(said.lines().last(), Some(output), "{said}");
}

#[test]
fn the_command_line_ends_with_the_codes_it_promises() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(&folder.path().join("data"), &[]);
    let run = |arguments: &[&str], stdin: &str| {
        let output = caudal(broker.address(), arguments, stdin.as_bytes()).unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(&["topic", "create", "t"], "").0, Some(0));
    assert_eq!(run(&["topic", "create", "t"], "").0, Some(1), "it exists");
    assert_eq!(run(&["topic", "create", "t", "--if-not-exists"], "").0, Some(0));
    assert_eq!(run(&["topic", "describe", "nowhere"], "").0, Some(1));
    assert_eq!(run(&["topic", "delete", "t", "nowhere", "--yes"], "").0, Some(4), "done in part");
    assert_eq!(run(&["topic", "frobnicate"], "").0, Some(2));
    assert_eq!(run(&["produce", "nowhere"], "x\n").0, Some(1));
    let (code, said) = run(&["topic", "delete", "t"], "");
    assert_ne!(code, Some(0), "without a terminal it needs --yes: {said}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = caudal(&free, &["--timeout", "1s", "topic", "list"], b"").unwrap();
    assert_eq!(output.status.code(), Some(3), "no broker reached");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&free) && said.trim_end().lines().count() == 1, "one line that names it: {said}");
}
