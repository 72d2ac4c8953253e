//! The services as a client meets them, each bad input of the issue included.

#[path = "door/broker.rs"]
mod broker;

use broker::{Broker, batch};
use caudal_proto::batch::Codec;
use caudal_proto::v1;

#[tokio::test]
async fn a_record_goes_in_and_comes_out_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    let created = clients.create("t", 3, &[]).await;
    assert_eq!((created.partitions, created.replicas, created.error), (3, 1, None));
    let receipt = clients.produce("t", batch(&[b"a", b"b"], Codec::None)).await.unwrap();
    assert_eq!((receipt.base_offset, receipt.last_offset, receipt.synced.len()), (0, 1, 1));
    let fetched = clients.fetch("t", 0, v1::FetchFormat::Records).await;
    assert_eq!(fetched.high_watermark, 2, "{fetched:?}");
    drop(clients);
    running.stop().unwrap();
    let running = Broker::start(folder.path());
    let fetched = running.clients().await.fetch("t", 1, v1::FetchFormat::Records).await;
    let values: Vec<_> = fetched.records.iter().filter_map(|r| r.record.as_ref()?.value.clone()).collect();
    assert_eq!(values, ["b"]);
}
