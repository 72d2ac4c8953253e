//! The unary fetch that waits.

use caudal_proto::batch::Codec;
use caudal_proto::v1;

use crate::broker::{Broker, Clients, batch, named, values};

async fn wait(
    clients: &mut Clients,
    partitions: i32,
    max_wait_ms: u32,
    min_bytes: u32,
) -> Vec<v1::FetchResult> {
    let item =
        |partition| v1::FetchItem { topic: named("t"), partition: Some(partition), ..Default::default() };
    let items = (0..partitions).map(item).collect();
    let format = v1::FetchFormat::Records.into();
    let request = v1::FetchRequest { items, max_wait_ms, min_bytes, max_bytes: 0, format };
    clients.fetch.fetch(request).await.unwrap().into_inner().results
}

#[tokio::test]
async fn it_is_answered_by_the_next_record_of_any_partition() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 8, &[]).await;
    let mut reader = running.clients().await;
    let waiting = tokio::spawn(async move { wait(&mut reader, 8, 60_000, 1).await });
    tokio::task::yield_now().await;
    clients.produce("t", batch(&[b"news"], Codec::None)).await.unwrap();
    let results = waiting.await.unwrap();
    assert_eq!(values(&results[0]), ["news"]);
    assert!(results[1..].iter().all(|result| result.records.is_empty() && result.error.is_none()));
}

#[tokio::test]
async fn it_ends_with_what_there_is_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    assert_eq!(values(&wait(&mut clients, 1, 50, 1).await[0]).len(), 0);
    clients.produce("t", batch(&[b"one"], Codec::None)).await.unwrap();
    assert_eq!(values(&wait(&mut clients, 1, 50, 1_000_000).await[0]), ["one"]);
    // Nothing that is wrong is waited for.
    assert!(wait(&mut clients, 2, 60_000, 1_000_000).await[1].error.is_some());
}

#[tokio::test]
async fn it_ends_when_the_broker_stops() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let waiting = tokio::spawn(async move { wait(&mut clients, 1, 60_000, 1).await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    running.stop().await.unwrap();
    assert_eq!(values(&waiting.await.unwrap()[0]).len(), 0);
}
