//! Replicas that lose what they had synced: one is replaced without a word, a partition that lost most of them goes on
//! from what is left when somebody says so, and every offset that is lost is named and never given again.

use std::path::{Path, PathBuf};

use caudal_harness::broker_bin::caudal;
use caudal_harness::cluster_bin::Cluster;

use crate::load::pause;

const TOPIC: &str = "precious";

/// Runs a command line; exit code, stdout, stderr.
fn run(cluster: &Cluster, words: &[&str], stdin: &str) -> (i32, String, String) {
    let out = caudal(&cluster.addresses(), words, stdin.as_bytes()).expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap_or(-1), text(&out.stdout), text(&out.stderr))
}

/// Runs a command line that must succeed; its stdout.
fn done(cluster: &Cluster, words: &[&str], stdin: &str) -> String {
    let (code, out, error) = run(cluster, words, stdin);
    assert_eq!(code, 0, "{words:?}: {out}{error}");
    out
}

/// The document that a command line prints, without white space.
fn document(cluster: &Cluster, words: &[&str]) -> String {
    let words = [words, &["--output", "json"]].concat();
    done(cluster, &words, "").split_whitespace().collect()
}

/// Waits until nothing is said to be wrong.
fn healthy(cluster: &Cluster) {
    for _ in 0..600 {
        if run(cluster, &["cluster", "health"], "").0 == 0 {
            return;
        }
        pause(100);
    }
    let partitions = done(cluster, &["cluster", "partitions", "--internal"], "");
    panic!("{}{partitions}", run(cluster, &["cluster", "health"], "").1);
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("value-{number:04}\n")).collect()
}

/// The home of the partition whose segments hold a text, below a data folder.
fn home(data: &Path, text: &str) -> PathBuf {
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be listed") {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|name| name == "log") {
                let bytes = std::fs::read(&path).expect("a segment can be read");
                if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                    let generation = path.parent().expect("it lies in a folder");
                    return generation.parent().expect("it lies in a folder").to_owned();
                }
            }
        }
    }
    panic!("{text:?} is nowhere in {}", data.display());
}

/// Three brokers with a topic of three replicas that holds thirty records, each of them on every disk.
fn stage(folder: &Path) -> Cluster {
    let cluster = Cluster::start(folder, 3).expect("three brokers start");
    done(&cluster, &["topic", "create", TOPIC, "-r", "3"], "");
    done(&cluster, &["produce", TOPIC], &lines(0..30));
    healthy(&cluster);
    cluster
}

/// Brokers stop in order, lose their logs of the topic, and start again.
fn lose(cluster: &mut Cluster, which: &[usize]) {
    for at in which {
        cluster.brokers[*at].terminate().expect("it can be told to stop");
        assert!(cluster.brokers[*at].wait().expect("it ends").success());
        std::fs::remove_dir_all(home(cluster.brokers[*at].data(), "value-0007")).expect("it can be removed");
    }
    for at in which {
        cluster.brokers[*at].restart().expect("it starts again");
    }
}

#[test]
fn a_partition_that_lost_most_of_its_replicas_goes_on_when_somebody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = stage(folder.path());
    let place = format!("{TOPIC}:0");
    let recover = ["cluster", "recover", &place, "--accept-loss", "--yes"];
    let (code, _, error) = run(&cluster, &recover, "");
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("intact"), "{error}");

    lose(&mut cluster, &[1, 2]);
    let (code, ..) = run(&cluster, &["cluster", "recover", &place, "--yes"], "");
    assert_eq!(code, 2, "without the word it is wrong usage");
    let dry = ["cluster", "recover", &place, "--accept-loss", "--dry-run"];
    for _ in 0..300 {
        // The one that is left goes on leading until it misses the others.
        if run(&cluster, &dry, "").0 == 0 {
            break;
        }
        pause(100);
    }
    let planned = document(&cluster, &dry);
    assert!(planned.contains("\"lost_from\":30") && planned.contains("\"log_start\":0"), "{planned}");
    assert_eq!(planned.matches("\"lost-log\"").count(), 2, "{planned}");
    assert!(planned.contains("\"whole\""), "{planned}");
    let (code, _, error) = run(&cluster, &["cluster", "health"], "");
    assert_eq!(code, 1, "nothing has changed: {error}");

    let said = done(&cluster, &recover, "");
    assert!(said.contains("offsets 0 to 29"), "{said}");
    healthy(&cluster);
    assert_eq!(done(&cluster, &["consume", TOPIC, "-e"], ""), lines(0..30));
    let printed = done(&cluster, &["produce", TOPIC, "--print", r"%o\n"], &lines(30..40));
    let offsets: Vec<i64> = printed.lines().map(|line| line.parse().expect("an offset")).collect();
    assert!(offsets.iter().all(|offset| *offset >= 1_000_000), "no lost offset is given again: {offsets:?}");
    assert_eq!(done(&cluster, &["consume", TOPIC, "-e"], ""), lines(0..40));

    let (code, _, error) = run(&cluster, &recover, "");
    assert!(code == 1 && error.contains("intact"), "{error}");
    for at in 0..cluster.brokers.len() {
        cluster.brokers[at].kill().expect("it can be killed");
        cluster.brokers[at].restart().expect("it starts again");
        healthy(&cluster);
        assert_eq!(done(&cluster, &["consume", TOPIC, "-e"], ""), lines(0..40));
    }
    cluster.stop().expect("all stop in order");
}

#[test]
fn a_replica_that_lost_its_log_is_replaced_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = stage(folder.path());
    let partitions = ["cluster", "partitions", TOPIC];
    let before = document(&cluster, &partitions);
    lose(&mut cluster, &[1]);
    let lost = cluster.brokers[1].ready("node").expect("it told its number").to_owned();
    for _ in 0..300 {
        if replica_on(&before, &lost) != replica_on(&document(&cluster, &partitions), &lost) {
            break;
        }
        pause(100);
    }
    healthy(&cluster);
    let after = document(&cluster, &partitions);
    assert_ne!(replica_on(&before, &lost), replica_on(&after, &lost), "another replica is there");
    done(&cluster, &["cluster", "transfer-leader", &format!("{TOPIC}:0"), "--to", &lost], "");
    for _ in 0..100 {
        if document(&cluster, &partitions).contains(&format!("\"leader_node\":{lost},")) {
            break;
        }
        pause(100);
    }
    assert!(document(&cluster, &partitions).contains(&format!("\"leader_node\":{lost},")));
    assert_eq!(done(&cluster, &["consume", TOPIC, "-e"], ""), lines(0..30), "it has everything");
    done(&cluster, &["produce", TOPIC], &lines(30..40));
    assert_eq!(done(&cluster, &["consume", TOPIC, "-e"], ""), lines(0..40));
    cluster.stop().expect("all stop in order");
}

/// The id of the replica on a broker, in a document of partitions.
fn replica_on(document: &str, node: &str) -> String {
    let at = document.find(&format!("\"node_id\":{node},\"replica_id\":")).expect("it has a replica");
    let rest = &document[at..];
    let from = rest.find("replica_id\":").expect("it is there") + "replica_id\":".len();
    rest[from..].chars().take_while(char::is_ascii_digit).collect()
}

/// Changes one bit of a text in a broker's segments.
fn flip(data: &Path, text: &str) {
    let home = home(data, text);
    for generation in std::fs::read_dir(home).expect("a folder can be listed") {
        let generation = generation.expect("a folder can be listed").path();
        for file in std::fs::read_dir(generation).expect("a folder can be listed") {
            let path = file.expect("a folder can be listed").path();
            let mut bytes = std::fs::read(&path).expect("a segment can be read");
            let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found.filter(|_| path.extension().is_some_and(|name| name == "log")) {
                bytes[at] ^= 0x20;
                std::fs::write(&path, bytes).expect("a segment can be written");
                return;
            }
        }
    }
    panic!("{text:?} is in no segment");
}

/// Stops a broker, changes a bit of a record on its disk, and starts it again; whether its index files stay, which speak
/// for what they cover.
fn hurt(cluster: &mut Cluster, at: usize, indexes_stay: bool) {
    cluster.brokers[at].terminate().expect("it can be told to stop");
    assert!(cluster.brokers[at].wait().expect("it ends").success());
    let data = cluster.brokers[at].data().to_owned();
    flip(&data, "value-0007");
    let home = home(&data, "value-0008");
    for generation in std::fs::read_dir(home).expect("a folder can be listed").filter(|_| !indexes_stay) {
        let generation = generation.expect("a folder can be listed").path();
        for file in std::fs::read_dir(generation).expect("a folder can be listed") {
            let path = file.expect("a folder can be listed").path();
            if path.extension().is_some_and(|name| name == "idx") {
                std::fs::remove_file(path).expect("it can be removed");
            }
        }
    }
    assert_eq!(verify(cluster, at).0, 1, "it is damaged");
    cluster.brokers[at].restart().expect("it starts again");
}

/// Every checksum on a broker's disk.
fn verify(cluster: &Cluster, at: usize) -> (i32, String, String) {
    let data = cluster.brokers[at].data().to_str().expect("a path of text").to_owned();
    run(cluster, &["log", "verify", &data], "")
}

/// Waits until a broker says that it repaired something.
fn repaired(cluster: &Cluster, at: usize) {
    for _ in 0..600 {
        if cluster.brokers[at].log().contains("a damaged segment is repaired") {
            return;
        }
        pause(100);
    }
    panic!("nothing is repaired: {}", cluster.brokers[at].log());
}

#[test]
fn damaged_records_are_repaired_from_another_replica() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = stage(folder.path());
    for at in 0..cluster.brokers.len() {
        hurt(&mut cluster, at, false);
        repaired(&cluster, at);
        healthy(&cluster);
        cluster.brokers[at].terminate().expect("it can be told to stop");
        assert!(cluster.brokers[at].wait().expect("it ends").success());
        let (code, out, error) = verify(&cluster, at);
        assert_eq!(code, 0, "it is whole again: {out}{error}");
        cluster.brokers[at].restart().expect("it starts again");
        healthy(&cluster);
        assert_eq!(done(&cluster, &["consume", TOPIC, "-e"], ""), lines(0..30));
    }
    cluster.stop().expect("all stop in order");
}

#[test]
fn damage_that_a_leader_meets_is_not_served_and_repaired_from_a_follower() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = stage(folder.path());
    hurt(&mut cluster, 0, true);
    healthy(&cluster);
    let node = cluster.brokers[0].ready("node").expect("it told its number").to_owned();
    let transfer = ["cluster", "transfer-leader", &format!("{TOPIC}:0"), "--to", &node];
    for _ in 0..100 {
        if document(&cluster, &["cluster", "partitions", TOPIC]).contains(&format!("\"leader_node\":{node},"))
        {
            break;
        }
        run(&cluster, &transfer, "");
        pause(100);
    }
    let (_, out, _) = run(&cluster, &["consume", TOPIC, "-e"], "");
    assert!(lines(0..30).contains(&out) || out.lines().all(|line| lines(0..30).contains(line)), "{out}");
    repaired(&cluster, 0);
    assert_eq!(done(&cluster, &["consume", TOPIC, "-e"], ""), lines(0..30));
    cluster.stop().expect("all stop in order");
}
