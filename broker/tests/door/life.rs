//! Start, stop, start again; and what keeps a broker from starting.

use caudal_broker::config::Config;
use caudal_broker::runtime::peers::{Directory, Interview, Me};
use caudal_broker::server::{self, ServeError};
use caudal_proto::batch::Codec;
use caudal_proto::peer::{Question, Who, answer, question};
use caudal_proto::v1;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

use crate::broker::{Broker, batch, values};

#[tokio::test]
async fn a_record_goes_in_and_comes_out_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    let created = clients.create("t", 3, &[]).await;
    assert_eq!((created.partitions, created.replicas, created.error), (3, 1, None));
    let receipt = clients.produce("t", batch(&[b"a", b"b"], Codec::None)).await.unwrap();
    assert_eq!((receipt.base_offset, receipt.last_offset, receipt.synced.len()), (0, 1, 1));
    assert_eq!(values(&clients.fetch("t", 0, v1::FetchFormat::Records).await), ["a", "b"]);
    let cluster = running.ready.cluster.clone();
    running.stop().await.unwrap();
    let again = Broker::start(folder.path());
    assert_eq!((again.ready.cluster.as_str(), again.ready.node), (cluster.as_str(), 1));
    assert_eq!(values(&again.clients().await.fetch("t", 1, v1::FetchFormat::Records).await), ["b"]);
    let receipt = again.clients().await.produce("t", batch(&[b"c"], Codec::None)).await.unwrap();
    assert_eq!(receipt.base_offset, 2);
}

#[tokio::test]
async fn the_standard_health_service_tells_that_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut health = HealthClient::new(running.channel().await);
    for service in ["", "caudal.v1.ProduceService", "caudal.v1.FetchService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
}

#[tokio::test]
async fn the_peer_listener_says_who_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let me = Me { uuid: Uuid::new_v4(), boot: Uuid::new_v4(), peer_address: String::new(), level: 1 };
    let mut interview = Interview::begin(&running.ready.peer, &Directory::new(me)).await.unwrap();
    assert_eq!(interview.hello().peer_address, running.ready.peer);
    let who = Question { kind: Some(question::Kind::Who(Who::default())) };
    let Some(answer::Kind::Me(found)) = interview.ask(&who).await.unwrap().kind else {
        panic!("another answer")
    };
    let cluster = Uuid::from_slice(&found.cluster_id).unwrap().to_string();
    assert_eq!((found.node_id, cluster), (running.ready.node, running.ready.cluster.clone()));
}

/// Why a broker does not start; on a thread that has no runtime yet.
fn start(folder: &std::path::Path, listen: &str) -> ServeError {
    start_at(folder, listen, "127.0.0.1:0")
}

fn start_at(folder: &std::path::Path, listen: &str, peer: &str) -> ServeError {
    let data = format!("data.dir={}", folder.display());
    let (grpc, peer) = (format!("grpc.listen={listen}"), format!("peer.listen={peer}"));
    let sets = [data, grpc, peer, "http.listen=127.0.0.1:0".to_owned(), "shards=2".to_owned()];
    let config = Config::parse(None, &sets).unwrap();
    let run = || server::run(config, std::future::pending(), |_| panic!("it started"));
    std::thread::spawn(run).join().unwrap().unwrap_err()
}

#[tokio::test]
async fn what_keeps_a_broker_from_starting_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let (other, third) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let in_use = start(third.path(), &running.ready.grpc);
    assert!(matches!(in_use, ServeError::Bind { .. }), "{in_use}");
    assert!(in_use.to_string().contains(&running.ready.grpc), "{in_use}");
    let in_use = start_at(third.path(), "127.0.0.1:0", &running.ready.peer).to_string();
    assert!(in_use.contains("peer.listen") && in_use.contains(&running.ready.peer), "{in_use}");
    let locked = start(folder.path(), "127.0.0.1:0").to_string();
    assert!(locked.contains(&std::process::id().to_string()), "{locked}");
    let file = other.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let no_folder = start(&file, "127.0.0.1:0").to_string();
    assert!(no_folder.contains("not a folder"), "{no_folder}");
    let full = start(other.path(), "127.0.0.1:0").to_string();
    assert!(full.contains("not empty"), "{full}");
    // The one that runs was not disturbed.
    running.clients().await.create("t", 1, &[]).await;
}
