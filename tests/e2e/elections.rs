//! The log tells an election: who stood and why, who won, when it serves; and not more than that.

use caudal_harness::broker_bin::caudal;
use caudal_harness::cluster_bin::Cluster;

use crate::load::pause;

/// The lines of a broker's log that say this.
fn lines(log: &str, saying: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains(saying)).map(str::to_owned).collect()
}

/// Runs a command line that must succeed; its stdout.
fn done(address: &str, words: &[&str]) -> String {
    let out = caudal(address, words, b"").expect("it runs");
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// The leader of a partition, as a number of the array of brokers.
fn leader(cluster: &Cluster, topic: &str, address: &str) -> Option<usize> {
    let told = done(address, &["cluster", "partitions", topic, "--output", "json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let node = told["partitions"][0]["leader_node"].as_i64()?.to_string();
    cluster.brokers.iter().position(|broker| broker.ready("node") == Some(&node))
}

#[test]
fn an_election_after_a_death_is_told_in_three_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    let addresses = cluster.addresses();
    done(&addresses, &["topic", "create", "story", "-r", "3"]);
    let first = leader(&cluster, "story", &addresses).expect("it is led");
    let dead = cluster.brokers[first].ready("node").unwrap().to_owned();
    cluster.brokers[first].kill().unwrap();
    let others: Vec<usize> = (0..3).filter(|at| *at != first).collect();
    let next = std::iter::repeat_with(|| {
        pause(50);
        leader(&cluster, "story", cluster.brokers[others[0]].address()).filter(|at| *at != first)
    });
    let next = next.take(600).flatten().next().expect("another one leads");
    let log = cluster.brokers[next].log();
    let told = lines(&log, "story:0");
    let story: Vec<&String> = told.iter().skip_while(|line| !line.contains("stands for election")).collect();
    let all = format!("{told:#?}");
    assert_eq!(story.len(), 3, "{all}");
    assert!(story[0].contains(&format!("node {dead}, which led, is down")), "{all}");
    assert!(story[1].contains("won the election") && story[1].contains("term="), "{all}");
    assert!(story[2].contains("leads and serves") && story[2].contains("took_ms="), "{all}");
}

#[test]
fn a_leadership_that_is_handed_over_says_so_and_many_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    let addresses = cluster.addresses();
    done(&addresses, &["topic", "create", "story", "-r", "3"]);
    done(&addresses, &["topic", "create", "many", "-p", "90", "-r", "3"]);
    let first = leader(&cluster, "story", &addresses).expect("it is led");
    let drained = cluster.brokers[first].ready("node").unwrap().to_owned();
    done(&addresses, &["cluster", "drain", &drained]);
    let handed = format!("node {drained} hands over");
    let mut told = (0, 0);
    for _ in 0..300 {
        let logs: Vec<String> =
            (0..3).filter(|at| *at != first).map(|at| cluster.brokers[at].log()).collect();
        let won: usize = logs.iter().map(|log| lines(log, "won the election").len()).sum();
        let together: Vec<String> = logs.iter().flat_map(|log| lines(log, "further elections won")).collect();
        let together = together
            .iter()
            .filter(|line| line.contains(&handed))
            .filter_map(|line| line.split("partitions=").nth(1)?.split(' ').next()?.parse::<usize>().ok());
        told = (won, together.sum());
        if told.0 + told.1 >= 30 {
            break;
        }
        pause(100);
    }
    assert!(told.0 + told.1 >= 30, "each leadership that went is told: {told:?}");
    assert!(told.1 > 0, "and not each by itself: {told:?}");
}
