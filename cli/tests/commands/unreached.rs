//! No broker is reached: not at the beginning, or no longer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use crate::broker::{Broker, caudal, run};

#[test]
fn where_no_broker_is_reached_every_command_ends_by_its_timeout_and_names_the_addresses() {
    // They take connections and say nothing; nobody listens on port 0.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let silent = listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
    let nobody = "127.0.0.1:0".to_owned();
    for brokers in [vec![&silent[0]], vec![&nobody], vec![&silent[0], &nobody, &silent[1]]] {
        let list = brokers.iter().map(|address| address.as_str()).collect::<Vec<_>>().join(",");
        for verb in [
            &["produce", "t"][..],
            &["produce", "t", "-f", r"%t %v\n"],
            &["consume", "t"],
            &["topic", "list"],
        ] {
            let mut command = caudal(verb);
            command.args(["-b", &list, "--timeout", "600ms"]);
            let ran = run(command, b"t a\n");
            assert_eq!(ran.code, 3, "{verb:?} {list}: {}", ran.stderr);
            for address in &brokers {
                assert!(ran.stderr.contains(address.as_str()), "{verb:?} {list}: {}", ran.stderr);
            }
        }
    }
}

#[test]
fn a_broker_that_vanishes_while_records_are_produced_is_waited_for_as_long_as_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    let mut child = broker
        .command(&["produce", "t", "--delivery-timeout", "500ms", "--print", r"%v\n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut acknowledged) = (child.stdin.take().unwrap(), String::new());
    stdin.write_all(b"a\n").unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut acknowledged).unwrap();
    assert_eq!(acknowledged, "a\n");
    drop(broker);
    stdin.write_all(b"b\n").unwrap();
    drop(stdin);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{said}");
    assert!(said.contains("input line 2"), "{said}");
}
