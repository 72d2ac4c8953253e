//! The HTTP window of a running broker: its metrics tell what was done, readiness follows its life, and nonsense is
//! answered or closed.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use caudal_harness::broker_bin::{Broker, caudal, serve};
use caudal_harness::cluster_bin::Cluster;

use crate::api::{Stage, start};
use crate::load::pause;

/// How long an answer may take: it bounds a hanging test.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back for these bytes until the other end closed; nothing where it closed without a word.
fn raw(address: &str, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("the HTTP listener takes connections");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may have closed before it has taken all.
    let _ = stream.write_all(sent);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Status and body of a GET.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let answer = raw(address, format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    (status(&answer), answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

pub(crate) fn window(broker: &Broker) -> &str {
    broker.ready("http").expect("the ready line names it")
}

/// Every sample of a page, by its name with its labels.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            (name.to_owned(), value)
        })
        .collect()
}

fn scrape(broker: &Broker) -> BTreeMap<String, f64> {
    let (status, page) = get(window(broker), "/metrics");
    assert_eq!(status, 200, "{page}");
    samples(&page)
}

#[tokio::test]
async fn metrics_tell_what_was_produced_and_fetched() {
    let stage = Stage::with(&["shards=2"]).await;
    stage.api.create("orders", 4, &[]).await;
    stage.api.create("idle", 1, &[]).await;
    let before = scrape(&stage.broker);
    for partition in 0..4 {
        stage.api.send_values("orders", partition, &["a", "b", "c"]).await;
    }
    // The SDK: a produce stream, and a fetch stream.
    let address = stage.broker.address();
    let sent = caudal(address, &["produce", "orders"], b"k\nl\nm\nn\no\n").unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let read = caudal(address, &["consume", "orders", "-e"], b"").unwrap();
    assert_eq!(read.stdout.iter().filter(|byte| **byte == b'\n').count(), 17);
    assert_eq!(stage.api.read_all("orders", 2).await.len() as u64, {
        let now = scrape(&stage.broker);
        now["caudal_partition_high_watermark{topic=\"orders\",partition=\"2\"}"] as u64
    });
    let refused = stage.api.try_create("orders", Some(1), &[]).await;
    assert!(refused.error.is_some());
    let after = scrape(&stage.broker);
    assert_eq!(after["caudal_topic_produced_records_total{topic=\"orders\"}"], 17.0);
    assert_eq!(after["caudal_topic_produced_records_total{topic=\"idle\"}"], 0.0);
    assert!(after["caudal_topic_produced_bytes_total{topic=\"orders\"}"] > 17.0);
    assert!(after["caudal_topic_fetched_records_total{topic=\"orders\"}"] > 17.0);
    let marks = (0..4).map(|partition| {
        after[&format!("caudal_partition_high_watermark{{topic=\"orders\",partition=\"{partition}\"}}")]
    });
    assert_eq!(marks.sum::<f64>(), 17.0);
    let rose = |name: &str| after[name] - before[name];
    assert_eq!(rose("caudal_requests_total{method=\"Produce\",outcome=\"OK\"}"), 4.0);
    assert!(rose("caudal_requests_total{method=\"ProduceStream\",outcome=\"OK\"}") >= 1.0);
    assert!(rose("caudal_batches_total{outcome=\"OK\"}") >= 5.0);
    assert_eq!(rose("caudal_batches_total{outcome=\"OK\"}"), rose("caudal_commit_duration_seconds_count"));
    assert!(rose("caudal_disk_round_duration_seconds_count") >= 1.0);
    assert!(after["caudal_request_duration_seconds_count{method=\"Produce\"}"] == 4.0);
    assert_eq!(after["caudal_leaders"], 6.0, "five partitions and the control partition");
    assert_eq!(after["caudal_leaderless_partitions"] + after["caudal_under_replicated_partitions"], 0.0);
    assert_eq!((after["caudal_elections_won_total"], after["caudal_ready"]), (6.0, 1.0));
    assert!(after["caudal_log_size_bytes"] > 0.0 && after["caudal_disk_free_bytes"] > 0.0);
    assert!(after["caudal_connections"] >= 1.0 && after["process_resident_memory_bytes"] > 0.0);
    for (budget, used) in after.iter().filter(|(name, _)| name.starts_with("caudal_memory_bytes{")) {
        let limit = after[&budget.replace("_bytes{", "_limit_bytes{")];
        assert!(*used <= limit, "{budget}: {used} of {limit}");
    }
}

#[tokio::test]
async fn refusals_are_counted_by_their_reason() {
    let stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    stage.api.send_batch("t", 0, vec![0; 10]).await.unwrap_err();
    stage.api.send_batch("gone", 0, vec![0; 10]).await.unwrap_err();
    let no_node = caudal(stage.broker.address(), &["cluster", "drain", "99"], b"").unwrap();
    assert!(!no_node.status.success());
    let after = scrape(&stage.broker);
    assert_eq!(after["caudal_batches_total{outcome=\"CORRUPT_BATCH\"}"], 1.0);
    assert_eq!(after["caudal_batches_total{outcome=\"UNKNOWN_TOPIC\"}"], 1.0);
    assert_eq!(after["caudal_requests_total{method=\"DrainNode\",outcome=\"UNKNOWN_NODE\"}"], 1.0);
    assert_eq!(after["caudal_topic_produced_records_total{topic=\"t\"}"], 0.0);
    assert_eq!(after["caudal_batches_total{outcome=\"OK\"}"], 0.0);
}

#[test]
fn readiness_follows_the_broker_and_life_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(&folder.path().join("data"), &[]);
    let address = window(&broker).to_owned();
    assert_eq!(get(&address, "/healthz"), (200, "alive\n".to_owned()));
    assert_eq!(get(&address, "/readyz"), (200, "ready\n".to_owned()));
    let drain = |verb| {
        let out = caudal(broker.address(), &["cluster", verb, broker.ready("node").unwrap()], b"").unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let until = |status| {
        let said = std::iter::repeat_with(|| get(&address, "/readyz")).inspect(|_| pause(20));
        said.take(1000).find(|(now, _)| *now == status).unwrap_or_else(|| panic!("never {status}")).1
    };
    drain("drain");
    assert!(until(503).contains("is drained"), "it says why");
    assert_eq!(get(&address, "/healthz").0, 200);
    drain("undrain");
    until(200);
    assert!(broker.stop().unwrap().success());
}

#[test]
fn a_broker_that_waits_for_its_cluster_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (http, peer, nobody) = (port(), port(), port());
    let seeds = format!("cluster.seeds={peer},{nobody}");
    let settings = [format!("peer.listen={peer}"), format!("http.listen={http}"), seeds].map(Into::into);
    let mut waiting = serve(&folder.path().join("data"), &settings, "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = std::iter::repeat_with(|| match TcpStream::connect(http) {
        Ok(_) => get(&http.to_string(), "/readyz"),
        Err(_) => (0, String::new()),
    });
    let mut said = said.inspect(|_| pause(20)).take(1000);
    let found = said.find(|(status, why)| *status == 503 && why.contains(&nobody.to_string()));
    let alive = get(&http.to_string(), "/healthz").0;
    let (status, page) = get(&http.to_string(), "/metrics");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(found.is_some_and(|(_, why)| why.starts_with("waiting for the cluster: ")));
    assert_eq!((alive, status, samples(&page)["caudal_ready"]), (200, 200, 0.0));
}

#[test]
fn readiness_ends_before_the_broker_does() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    let out = caudal(&cluster.addresses(), &["topic", "create", "t", "-p", "12", "-r", "3"], b"").unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // Nobody can take over, so that the orderly stop waits for a while.
    cluster.brokers[1].pause().unwrap();
    cluster.brokers[2].pause().unwrap();
    let address = window(&cluster.brokers[0]).to_owned();
    cluster.brokers[0].terminate().unwrap();
    let mut stopping = false;
    for _ in 0..1000 {
        let Ok(_) = TcpStream::connect(&address) else { break };
        let (status, why) = get(&address, "/readyz");
        if status == 503 && why.contains("stopping") {
            stopping = true;
            break;
        }
        pause(5);
    }
    cluster.brokers[1].go_on().unwrap();
    cluster.brokers[2].go_on().unwrap();
    assert!(stopping, "it said that it stops before it was gone");
}

#[test]
fn lag_and_missing_replicas_are_seen_by_the_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    let out = caudal(&cluster.addresses(), &["topic", "create", "t", "-p", "6", "-r", "3"], b"").unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let brokers = |cluster: &Cluster, up: &[usize]| -> Vec<BTreeMap<String, f64>> {
        up.iter().map(|at| scrape(&cluster.brokers[*at])).collect()
    };
    let sum =
        |pages: &[BTreeMap<String, f64>], name: &str| -> f64 { pages.iter().map(|page| page[name]).sum() };
    let pages = brokers(&cluster, &[0, 1, 2]);
    assert_eq!(sum(&pages, "caudal_leaders"), 7.0);
    assert_eq!(sum(&pages, "caudal_control_leader"), 1.0);
    assert_eq!(sum(&pages, "caudal_nodes"), 9.0);
    let lags = |pages: &[BTreeMap<String, f64>], name: &str| -> Vec<(String, f64)> {
        let all = pages.iter().flatten().filter(|(series, _)| series.starts_with(name));
        all.map(|(series, value)| (series.clone(), *value)).collect()
    };
    assert_eq!(lags(&pages, "caudal_replica_lag_entries{topic=\"t\"").len(), 12, "two for each partition");
    let node = cluster.brokers[2].ready("node").unwrap().to_owned();
    cluster.brokers[2].kill().unwrap();
    let sent = caudal(&cluster.addresses(), &["produce", "t"], b"a\nb\nc\nd\ne\nf\n").unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let mut seen = false;
    for _ in 0..300 {
        let pages = brokers(&cluster, &[0, 1]);
        let dead = format!("node=\"{node}\"}}");
        let behind = lags(&pages, "caudal_replica_lag_entries{topic=\"t\"");
        let behind = behind.iter().filter(|(series, lag)| series.ends_with(&dead) && *lag >= 1.0).count();
        seen = sum(&pages, "caudal_under_replicated_partitions") == 7.0 && behind >= 1;
        if seen {
            assert_eq!(sum(&pages, &format!("caudal_node_up{{{dead}")), 0.0);
            assert!(sum(&pages, &format!("caudal_peer_dropped_messages_total{{{dead}")) > 0.0);
            break;
        }
        pause(100);
    }
    assert!(seen, "the missing replica is seen");
    cluster.brokers[2].restart().unwrap();
    let healed = (0..300).any(|_| {
        pause(100);
        sum(&brokers(&cluster, &[0, 1, 2]), "caudal_under_replicated_partitions") == 0.0
    });
    assert!(healed, "it catches up");
    cluster.stop().expect("all stop in order");
}

#[test]
fn hostile_requests_are_answered_or_closed_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(&folder.path().join("data"), &[]);
    let address = window(&broker).to_owned();
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    let large_head = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many_headers = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    let refused: [(&[u8], &[u16]); 8] = [
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", &[405]),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", &[404]),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", &[404]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello", &[0, 400]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0, 400]),
        (long_path.as_bytes(), &[0, 414, 431]),
        (large_head.as_bytes(), &[0, 431]),
        (many_headers.as_bytes(), &[0, 431]),
    ];
    for (sent, statuses) in refused {
        let answer = raw(&address, sent);
        let shown = String::from_utf8_lossy(&sent[..sent.len().min(60)]).into_owned();
        assert!(statuses.contains(&status(&answer)), "{shown}: {answer}");
    }
    // More than are kept, each with a head that never ends: the oldest gives way.
    let half: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    assert_eq!(get(&address, "/healthz").0, 200);
    drop(half);
    // A second request on a connection finds it closed.
    let twice = raw(&address, b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n");
    assert_eq!(twice.matches("HTTP/1.1 200").count(), 1, "{twice}");
    assert!(broker.stop().unwrap().success());
}
