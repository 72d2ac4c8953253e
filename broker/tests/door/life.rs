//! Start, stop, start again; and what keeps a broker from starting.

use caudal_broker::config::Config;
use caudal_broker::server::{self, ServeError};
use caudal_proto::batch::Codec;
use caudal_proto::v1;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

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

/// Why a broker does not start; on a thread that has no runtime yet.
fn start(folder: &std::path::Path, listen: &str) -> ServeError {
    let sets =
        [format!("data.dir={}", folder.display()), format!("grpc.listen={listen}"), "shards=2".to_owned()];
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
