//! `log dump` and `log verify`, on the files of a broker that has stopped.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::broker::{Broker, Ran, caudal, run};

/// A data folder with ten batches of one record, and the topic's folder in it.
fn stopped(root: &Path) -> PathBuf {
    let broker = Broker::start(root);
    broker.ok(&["topic", "create", "t"], b"");
    for number in 0..10 {
        broker.ok(&["produce", "t", "-k", "key"], format!("value {number}\n").as_bytes());
    }
    let described = broker.json(&["topic", "describe", "t"]);
    let id = described["topics"][0]["topic_id"].as_str().expect("an id").to_owned();
    assert_eq!(broker.stop(), Some(0));
    root.join("topics").join(id)
}

fn log(arguments: &[&str], path: &Path) -> Ran {
    let mut all = vec!["log"];
    all.extend(arguments);
    all.push(path.to_str().expect("a path in UTF-8"));
    run(caudal(&all), b"")
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

#[test]
fn entries_and_records_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let topic = stopped(folder.path());
    let table = log(&["dump", "--records", "-n", "3", "--from", "4"], &topic);
    assert_eq!(table.code, 0, "{}", table.stderr);
    for number in 4..7 {
        assert!(table.stdout.contains(&format!("\"key\": \"value {number}\"")), "{}", table.stdout);
    }
    assert!(!table.stdout.contains("value 3") && !table.stdout.contains("value 7"), "{}", table.stdout);
    let dump = json(&log(&["dump", "--records", "--output", "json"], &topic));
    let batches = dump["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "batch");
    let values: Vec<&str> = batches.map(|entry| entry["records"][0]["value"].as_str().unwrap()).collect();
    assert_eq!(values, (0..10).map(|n| format!("value {n}")).collect::<Vec<_>>());
}

#[test]
fn a_whole_data_folder_is_intact_and_a_flipped_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let topic = stopped(folder.path());
    let intact = log(&["verify"], folder.path());
    assert_eq!(intact.code, 0, "{}{}", intact.stdout, intact.stderr);

    let dump = json(&log(&["dump", "--output", "json"], &topic));
    let entry = dump["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["base_offset"] == 5 && e["count"] == 1)
        .unwrap();
    let (path, position) = (entry["path"].as_str().unwrap(), entry["position"].as_u64().unwrap());
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = position + 100;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();

    let damaged = log(&["verify", "--output", "json"], folder.path());
    assert_eq!(damaged.code, 1, "{}", damaged.stdout);
    let document = json(&damaged);
    assert_eq!(document["bad_ranges"], 1);
    let bad: Vec<_> =
        document["segments"].as_array().unwrap().iter().flat_map(|s| s["bad"].as_array().unwrap()).collect();
    let (from, to) = (bad[0]["from"].as_u64().unwrap(), bad[0]["to"].as_u64().unwrap());
    assert!(from == position && from < at && at < to, "{bad:?}");
    assert_eq!(bad[0]["after_offset"], 5);
    assert_eq!(log(&["dump"], &topic).code, 1);

    // The broker serves the others and names what is gone.
    let broker = Broker::start(folder.path());
    let read = broker.run(&["consume", "t", "-e"], b"");
    assert_eq!(read.code, 4, "{}", read.stderr);
    assert_eq!(read.stdout.lines().count(), 9, "{}", read.stdout);
    assert!(read.stderr.contains("t:0: ") && !read.stdout.contains("value 5"), "{}", read.stderr);
}

#[test]
fn what_is_no_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("0000000001.log", &b""[..]), ("noise", &[7; 9000])] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        assert_eq!(log(&["verify"], &path).code, 1, "{name}");
    }
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let empty = log(&["verify"], &folder.path().join("empty"));
    assert!(empty.code == 1 && empty.stderr.contains("holds no segments"), "{}", empty.stderr);
    assert_eq!(log(&["dump"], &folder.path().join("nowhere")).code, 1);
}
