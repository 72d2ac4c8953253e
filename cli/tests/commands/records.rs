//! `produce` and `consume`.

use crate::broker::Broker;

#[test]
fn records_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t", "-p", "3"], b"");
    let printed = broker.ok(
        &["produce", "t", "-f", r"%k\t%v\n", "-H", "lang=en", "-p", "1", "--print", r"%k@%p:%o %V\n"],
        b"a\tone\n\ttwo\nb\t\n",
    );
    assert_eq!(printed, "a@1:0 3\n@1:1 3\nb@1:2 0\n");
    let back = broker.ok(&["consume", "t", "-e", "-f", r"%t[%p]@%o %k=%v %h{%k:%v}\n"], b"");
    assert_eq!(back, "t[1]@0 a=one lang:en\nt[1]@1 =two lang:en\nt[1]@2 b= lang:en\n");
}

#[test]
fn null_empty_and_binary_are_told_apart_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    broker.ok(&["produce", "t"], b"text\n");
    broker.ok(&["produce", "t", "-f", r"%k %v\n", "--tombstone"], b"k \n");
    broker.ok(&["produce", "t", "-f", "%V{byte}%v", "-z", "zstd", "-k", ""], b"\x02\xff\xfe");
    let lines = broker.ok(&["consume", "t", "-e", "-f", "json"], b"");
    let records: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 3);
    assert_eq!((&records[0]["key"], &records[0]["value"]), (&serde_json::Value::Null, &"text".into()));
    assert_eq!((&records[1]["key"], &records[1]["value"]), (&"k".into(), &serde_json::Value::Null));
    assert_eq!((&records[2]["key"], &records[2]["value"]), (&"".into(), &"//4=".into()));
    assert_eq!(records[2]["value_encoding"], "base64");
    assert!(records[0].get("value_encoding").is_none() && records[2]["timestamp"].as_i64() > Some(0));
}

#[test]
fn each_offset_reads_its_range() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    broker.ok(&["produce", "t", "-f", r"%d %v\n"], b"1000 a\n2000 b\n3000 c\n4000 d\n5000 e\n");
    for (arguments, expected) in [
        (&["-e"][..], "a b c d e"),
        (&["-o", "end", "-e"], ""),
        (&["-o", "2", "-e"], "c d e"),
        (&["-o", "5", "-e"], ""),
        (&["-o", "-2", "-e"], "d e"),
        (&["-o", "+3", "-e"], "d e"),
        (&["-o", "1:3"], "b c"),
        (&["-o", "1:300", "-e"], "b c d e"),
        (&["-o", "@3000", "-e"], "c d e"),
        (&["-o", "@2000:@4000"], "b c"),
        (&["-o", "@1970-01-01T00:00:05Z:end"], "e"),
        (&["-o", "start", "-n", "2"], "a b"),
        (&["-n", "0"], ""),
    ] {
        let mut command = vec!["consume", "t"];
        command.extend(arguments);
        let read = broker.ok(&command, b"");
        assert_eq!(read.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{arguments:?}");
    }
    for beyond in
        [&["-o", "6", "-e"][..], &["-o", "6"], &["-o", "+6", "-e"], &["-o", "6:9", "-e"], &["-o", "6:9"]]
    {
        let mut command = vec!["consume", "t"];
        command.extend(beyond);
        let ran = broker.run(&command, b"");
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{beyond:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("t:0") && ran.stderr.contains("offset 6 is outside 0..=5"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(broker.run(&["consume", "t", "-p", "7", "-e"], b"").code, 1);
    assert_eq!(broker.run(&["consume", "t", "-o", "later"], b"").code, 2);
}

#[test]
fn several_topics_share_one_count() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "a", "b"], b"");
    broker.ok(&["produce", "a", "-f", r"%t %v\n"], b"a 1\nb 2\na 3\nb 4\n");
    let all = broker.ok(&["consume", "a", "b", "-e", "-f", r"%t%v\n"], b"");
    let mut lines: Vec<&str> = all.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a1", "a3", "b2", "b4"]);
    assert_eq!(broker.ok(&["consume", "a", "b", "-n", "3"], b"").lines().count(), 3);
}

#[test]
fn a_record_that_breaks_a_rule_is_named_and_the_others_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t", "-c", "max.message.bytes=2KiB"], b"");
    let input = [b"one\n".to_vec(), vec![b'x'; 5000], b"\nthree\n".to_vec()].concat();
    let ran = broker.run(&["produce", "t"], &input);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("input line 2: 1 record of t"), "{}", ran.stderr);
    assert!(ran.stderr.contains("max.message.bytes=2048"), "{}", ran.stderr);
    assert_eq!(broker.ok(&["consume", "t", "-e"], b""), "one\nthree\n");
}

#[test]
fn input_that_does_not_fit_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    let ran = broker.run(&["produce", "t", "-f", r"%v{hex}\n"], b"6f6b\nnope\n6f6b\n");
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("error: input line 2: "), "{}", ran.stderr);
    assert_eq!(broker.ok(&["consume", "t", "-e"], b""), "ok\n");
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    for arguments in [
        &["produce", "t", "--acks", "none", "--print", "%v"][..],
        &["produce", "t", "-k", "a", "-f", r"%k %v\n"],
        &["produce", "t", "--print", "%v", "--output", "json"],
        &["bench", "latency", "--rate", "max"],
    ] {
        let ran = broker.run(arguments, b"");
        assert_eq!((ran.code, ran.stderr.lines().count()), (2, 1), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(broker.run(&["produce", "nowhere"], b"").code, 1);
}
