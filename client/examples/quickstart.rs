//! Creates a topic, writes three records, reads them back: `cargo run --example quickstart [HOST:PORT]`.
use caudal_client::{Client, ErrorKind, NewRecord, NewTopic, Start};

#[expect(clippy::print_stdout, reason = "it prints what it read")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), caudal_client::Error> {
    let brokers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7171".to_owned());
    let client = Client::connect(&brokers).await?;

    match client.admin().create_topic(NewTopic::new("greetings").partitions(1)).await {
        Err(error) if error.kind() != ErrorKind::Exists => return Err(error),
        _ => {}
    }

    let producer = client.producer().build().await?;
    let mut last = 0;
    for value in ["hello", "hola", "ahoj"] {
        let delivery = producer.send(NewRecord::to("greetings").key("k").value(value)).await?;
        last = delivery.await?.offset.unwrap_or(0); // synced on a majority
    }
    producer.close().await?;

    let mut consumer = client.consumer().build().await?;
    consumer.assign_until("greetings", 0, Start::Start, last + 1).await?;
    while let Some(record) = consumer.next().await? {
        let value = record.value.as_deref().unwrap_or_default();
        println!("{} {}", record.offset, String::from_utf8_lossy(value));
    }
    Ok(())
}
