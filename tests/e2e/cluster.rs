//! Three brokers as one: killed, stopped and started again at random under load, nothing acknowledged is lost, doubled,
//! changed or out of order, and no producer gives up.
//!
//! Ten rounds of kills, six in which a broker stands still for some moments; `CAUDAL_KILL_ROUNDS`, `CAUDAL_PAUSE_ROUNDS`
//! and `CAUDAL_PAUSE_SECONDS` ask for more.

use std::sync::{Arc, Mutex};

use caudal_harness::broker_bin::caudal;
use caudal_harness::cluster_bin::Cluster;

use crate::load::{
    PARTITIONS, TOPIC, Writer, judge, more_acked, next, pause, pauses, rounds, scan, seed, standstill,
};

fn create(cluster: &Cluster, name: &str, partitions: u32) {
    create_with(cluster, name, partitions, "synced");
}

fn create_with(cluster: &Cluster, name: &str, partitions: u32, durability: &str) {
    let (partitions, durability) = (partitions.to_string(), format!("durability={durability}"));
    let small = ["-c", "segment.bytes=1048576", "-c", "max.message.bytes=65536", "-c", &durability];
    let create = [&["topic", "create", name, "-p", &partitions, "-r", "3"], &small[..]].concat();
    let out = caudal(&cluster.addresses(), &create, b"").expect("it runs");
    assert!(out.status.success(), "create: {}", String::from_utf8_lossy(&out.stderr));
}

fn under_load(durability: &str, rounds: u64, hurt: impl Fn(&mut Cluster, &mut u64)) {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    create_with(&cluster, TOPIC, PARTITIONS, durability);
    let mut random = seed();
    eprintln!("seed {random}");
    let history = Arc::new(Mutex::new(Vec::new()));
    let addresses = cluster.addresses();
    let mut writers: Vec<Writer> = (0..PARTITIONS).map(|p| Writer::start(&addresses, p, &history)).collect();
    for _ in 0..rounds {
        more_acked(&mut writers, 50);
        pause(next(&mut random) % 300);
        hurt(&mut cluster, &mut random);
        if next(&mut random).is_multiple_of(2) {
            scan(&addresses, &history);
        }
    }
    more_acked(&mut writers, 50);
    for writer in writers {
        writer.finish();
    }
    scan(&addresses, &history);
    judge(&history);
    cluster.stop().expect("all stop in order");
}

/// The node that leads each partition.
fn leaders(cluster: &Cluster) -> Vec<String> {
    let out = done(cluster, &["cluster", "partitions", TOPIC, "--output", "json"]);
    let told: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    let partitions = told["partitions"].as_array().expect("a list");
    assert_eq!(partitions.len(), PARTITIONS as usize, "{out}");
    partitions.iter().map(|partition| partition["leader_node"].to_string()).collect()
}

/// Kills so many brokers at once, and after a while starts them again side by side.
fn kill_and_start(cluster: &mut Cluster, random: &mut u64, many: usize) {
    let first = next(random) as usize % 3;
    let dead: Vec<usize> = (0..many).map(|more| (first + more) % 3).collect();
    for at in &dead {
        cluster.brokers[*at].kill().expect("a broker can be killed");
    }
    pause(next(random) % 2000);
    std::thread::scope(|scope| {
        for (at, broker) in cluster.brokers.iter_mut().enumerate() {
            if dead.contains(&at) {
                scope.spawn(move || broker.restart().expect("it starts again"));
            }
        }
    });
}

#[test]
fn brokers_that_are_killed_cost_nothing_that_was_acknowledged() {
    under_load("synced", rounds(10), |cluster, random| {
        let many = [1, 1, 1, 1, 2, 3][next(random) as usize % 6];
        kill_and_start(cluster, random, many);
    });
}

#[test]
fn a_broker_that_is_stopped_and_goes_on_costs_nothing_that_was_acknowledged() {
    under_load("synced", pauses(6), |cluster, random| {
        let at = next(random) as usize % 3;
        cluster.brokers[at].pause().expect("a broker can be stopped");
        pause(standstill(random));
        cluster.brokers[at].go_on().expect("it goes on");
    });
}

#[test]
fn what_a_majority_has_written_outlives_the_processes_of_all_brokers() {
    under_load("memory", rounds(6), |cluster, random| {
        for broker in &mut cluster.brokers {
            broker.kill().expect("a broker can be killed");
        }
        pause(next(random) % 500);
        // None of them is ready before two are.
        std::thread::scope(|scope| {
            for broker in &mut cluster.brokers {
                scope.spawn(|| broker.restart().expect("it starts again"));
            }
        });
    });
}

/// Runs a command line that must succeed; its stdout.
fn done(cluster: &Cluster, words: &[&str]) -> String {
    let out = caudal(&cluster.addresses(), words, b"").expect("it runs");
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// Waits until nothing is said to be wrong with the cluster, and nothing moves.
fn healthy(cluster: &Cluster) {
    for _ in 0..300 {
        let out = caudal(&cluster.addresses(), &["cluster", "health"], b"").expect("it runs");
        if out.status.success() {
            return;
        }
        pause(100);
    }
    panic!("{}", done(cluster, &["cluster", "partitions", "--internal"]));
}

#[test]
fn replicas_move_and_a_broker_is_drained_and_taken_out_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    cluster.join(folder.path(), 1).expect("a fourth joins");
    create(&cluster, TOPIC, PARTITIONS);
    // Some of these are led where nobody can take over before the replica has moved.
    done(&cluster, &["topic", "create", "single", "-p", "8", "-r", "1"]);
    let kept: String = (0..100).map(|number| format!("{number:02}\n")).collect();
    let out = caudal(&cluster.addresses(), &["produce", "single"], kept.as_bytes()).expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let history = Arc::new(Mutex::new(Vec::new()));
    let addresses = cluster.addresses();
    let mut writers: Vec<Writer> = (0..PARTITIONS).map(|p| Writer::start(&addresses, p, &history)).collect();
    more_acked(&mut writers, 50);
    let new = cluster.brokers[3].ready("node").unwrap().to_owned();
    for partition in 0..PARTITIONS {
        let place = format!("{TOPIC}:{partition}");
        let to = format!("{new},2,1");
        let words = ["cluster", "move", &place, "--to", &to, "--yes"];
        let out = caudal(&addresses, &words, b"").expect("it runs");
        // One of them may lie there already, in this order.
        assert!(
            out.status.success() || String::from_utf8_lossy(&out.stderr).contains("are on these brokers")
        );
    }
    healthy(&cluster);
    let partitions = done(&cluster, &["cluster", "partitions", TOPIC]);
    assert!(partitions.lines().skip(1).all(|line| line.contains(&format!("{new},2,1"))), "{partitions}");
    more_acked(&mut writers, 50);
    done(&cluster, &["cluster", "drain", &new]);
    for _ in 0..100 {
        if !leaders(&cluster).contains(&new) {
            break;
        }
        pause(100);
    }
    assert!(!leaders(&cluster).contains(&new), "{:?}", leaders(&cluster));
    more_acked(&mut writers, 50);
    done(&cluster, &["cluster", "undrain", &new]);
    done(&cluster, &["cluster", "remove", "3", "--yes"]);
    for _ in 0..300 {
        if !done(&cluster, &["cluster", "nodes", "--output", "json"]).contains("\"node_id\":3,") {
            break;
        }
        pause(100);
    }
    let nodes = done(&cluster, &["cluster", "nodes", "--output", "json"]);
    assert!(!nodes.contains("\"node_id\":3,"), "{nodes}");
    let single = done(&cluster, &["consume", "single", "-e"]);
    let mut lines: Vec<&str> = single.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, kept.lines().collect::<Vec<_>>());
    more_acked(&mut writers, 50);
    for writer in writers {
        writer.finish();
    }
    scan(&addresses, &history);
    judge(&history);
}

#[test]
fn a_rolling_restart_is_no_error_to_anybody() {
    under_load("synced", 2, |cluster, _| {
        for at in 0..3 {
            let broker = &mut cluster.brokers[at];
            broker.terminate().expect("it can be told to stop");
            assert!(broker.wait().expect("it ends").success(), "{}", broker.log());
            broker.restart().expect("it starts again");
            healthy(cluster);
        }
    });
}

#[test]
fn three_brokers_are_one_cluster_and_each_knows_all_topics() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    let ids: std::collections::BTreeSet<_> =
        cluster.brokers.iter().map(|broker| broker.ready("cluster").unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1, "one cluster");
    let nodes: std::collections::BTreeSet<_> =
        cluster.brokers.iter().map(|broker| broker.ready("node").unwrap().to_owned()).collect();
    assert_eq!(nodes.len(), 3, "three numbers");
    create(&cluster, "everywhere", 3);
    let out = caudal(&cluster.addresses(), &["produce", "everywhere"], b"a\nb\nc\n").expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for broker in &cluster.brokers {
        let out = caudal(broker.address(), &["consume", "everywhere", "-e"], b"").expect("it runs");
        let mut lines: Vec<&str> = std::str::from_utf8(&out.stdout).unwrap().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["a", "b", "c"], "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_broker_alone_is_joined_by_others_and_keeps_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 1).expect("a broker starts");
    let out = caudal(&cluster.addresses(), &["topic", "create", "old"], b"").expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let out = caudal(&cluster.addresses(), &["produce", "old"], b"kept\n").expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    cluster.join(folder.path(), 2).expect("two more join");
    let one: std::collections::BTreeSet<_> =
        cluster.brokers.iter().map(|broker| broker.ready("cluster").unwrap().to_owned()).collect();
    assert_eq!(one.len(), 1);
    create(&cluster, "new", 1);
    for broker in &cluster.brokers {
        let out = caudal(broker.address(), &["consume", "old", "-e"], b"").expect("it runs");
        assert_eq!(out.stdout, b"kept\n", "{}", String::from_utf8_lossy(&out.stderr));
    }
    cluster.stop().expect("all stop in order");
}
