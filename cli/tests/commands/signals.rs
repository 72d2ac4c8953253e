//! How commands end when they are told to, and when nobody reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use rustix::process::Signal;

use crate::broker::{Broker, caudal, run, signal};

#[test]
fn the_broker_says_when_it_is_ready_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let words: Vec<&str> = broker.ready.trim_end().split(' ').collect();
    assert_eq!(words[0], "ready");
    for (word, name) in words[1..].iter().zip(["grpc=", "peer=", "http=", "node=", "cluster="]) {
        assert!(word.starts_with(name) && word.len() > name.len(), "{}", broker.ready);
    }
    assert_eq!(broker.stop(), Some(0));
}

#[test]
fn a_folder_and_a_port_have_one_broker() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&folder.path().join("one"));
    let data = broker.data.to_str().unwrap();
    let second = run(caudal(&["serve", "--data-dir", data, "--set", "grpc.listen=127.0.0.1:0"]), b"");
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains(&broker.id().to_string()), "{}", second.stderr);
    let other = folder.path().join("two");
    let listen = format!("grpc.listen={}", broker.address());
    let second = run(caudal(&["serve", "--data-dir", other.to_str().unwrap(), "--set", &listen]), b"");
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains(broker.address()), "{}", second.stderr);
}

#[test]
fn a_wrong_configuration_names_the_nearest_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.toml");
    std::fs::write(&file, "[grpc]\nlisen = \"127.0.0.1:0\"\n").unwrap();
    let ran = run(caudal(&["serve", "-c", file.to_str().unwrap()]), b"");
    assert_eq!((ran.code, ran.stderr.lines().count()), (1, 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("grpc.lisen") && ran.stderr.contains("grpc.listen"), "{}", ran.stderr);
}

#[test]
fn an_interrupted_reader_ends_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    broker.ok(&["produce", "t"], b"first\n");
    let mut reader =
        broker.command(&["consume", "t"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(reader.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    // It follows the log.
    broker.ok(&["produce", "t"], b"second\n");
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "second\n");
    signal(&reader, Signal::INT);
    assert_eq!(reader.wait().unwrap().code(), Some(130));
}

#[test]
fn an_interrupted_writer_says_how_far_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    let mut writer = broker
        .command(&["produce", "t", "--print", r"%v\n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    let mut stdout = BufReader::new(writer.stdout.take().unwrap());
    for expected in ["one\n", "two\n"] {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, expected, "acknowledged records are printed while the input is open");
    }
    signal(&writer, Signal::INT);
    assert_eq!(writer.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    writer.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("2 records"), "{said}");
}

#[test]
fn a_reader_that_nobody_reads_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    broker.ok(&["produce", "t"], "a line of some length\n".repeat(50_000).as_bytes());
    let mut reader =
        broker.command(&["consume", "t"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(reader.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let mut said = String::new();
    reader.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((reader.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
