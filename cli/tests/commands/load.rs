//! `bench`: what it promises to print, and that it cleans up.

use crate::broker::Broker;

#[test]
fn every_bench_reports_what_it_promises_and_removes_its_topic() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    for arguments in [
        &["bench", "produce", "--records", "2000", "--size", "100", "-p", "3", "--producers", "2"][..],
        &["bench", "produce", "--records", "20", "--in-flight", "1", "-z", "lz4"],
        &["bench", "produce", "--duration", "200ms", "--rate", "500/s", "-c", "durability=memory"],
        &["bench", "consume", "--records", "3000", "--consumers", "2", "--size", "50"],
        &["bench", "latency", "--duration", "300ms", "--rate", "200/s"],
    ] {
        let report = broker.json(arguments);
        for field in ["records", "bytes", "seconds", "records_per_second", "mib_per_second"] {
            assert!(report[field].as_f64() > Some(0.0), "{arguments:?}: {field} in {report}");
        }
        let latency = &report["latency_us"];
        let ordered: Vec<u64> =
            ["p50", "p90", "p99", "p999", "max"].iter().map(|name| latency[name].as_u64().unwrap()).collect();
        assert!(ordered.is_sorted() && ordered[0] > 0, "{arguments:?}: {latency}");
        assert_eq!(report["verified"], report["records"], "{arguments:?}");
        assert_eq!(broker.json(&["topic", "list"])["topics"], serde_json::json!([]), "{arguments:?}");
    }
}

#[test]
fn a_named_topic_stays_and_its_own_records_are_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    broker.ok(&["topic", "create", "t"], b"");
    broker.ok(&["produce", "t"], b"someone else's\n");
    let report = broker.json(&["bench", "produce", "--topic", "t", "--records", "100"]);
    assert_eq!((&report["records"], &report["verified"]), (&100.into(), &100.into()));
    let read = broker.json(&["bench", "consume", "--topic", "t"]);
    // A record that warmed the producer up is there, too.
    assert_eq!((&read["records"], &read["verified"]), (&102.into(), &serde_json::Value::Null));
    let missing = broker.run(&["bench", "produce", "--topic", "nowhere"], b"");
    assert_eq!(missing.code, 1, "{}", missing.stderr);
}
