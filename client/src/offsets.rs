//! Looking up offsets: each partition at its leader, again where the leader moved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caudal_proto::v1 as wire;
use caudal_proto::v1::fetch_service_client::FetchServiceClient;
use wire::list_offsets_item::At;

use crate::client::Client;
use crate::clock;
use crate::config::GRPC_MESSAGE_BYTES_MAX;
use crate::error::{Error, ErrorKind};
use crate::metadata::{Metadata, Topic};
use crate::retry;
use crate::topic::{EachPartition, ListedOffset, OffsetSpec};
use crate::topic_wire::{malformed, topic_id};

/// The topic's name on the wire.
pub(crate) fn by_name(topic: &str) -> wire::TopicRef {
    wire::TopicRef { topic: Some(wire::topic_ref::Topic::Name(topic.to_owned())) }
}

/// What is known of one topic, asked for now.
pub(crate) async fn topic_metadata(client: &Client, topic: &str) -> Result<Arc<Topic>, Error> {
    let (_, topic) = fresh(client, topic).await?;
    Ok(topic)
}

async fn fresh(client: &Client, topic: &str) -> Result<(Metadata, Arc<Topic>), Error> {
    let mut metadata = Metadata::default();
    let response = client.get_metadata(vec![by_name(topic)]).await?;
    let mut answers = metadata.update(clock::now(), response);
    match answers.pop() {
        Some((_, Err(error))) => Err(error),
        Some((_, Ok(topic))) => Ok((metadata, topic)),
        None => Err(malformed("no metadata for a topic asked for")),
    }
}

/// Looks up offsets of partitions of one topic.
///
/// # Errors
/// Inner: by partition. Outer: the topic is not found, or no broker is reached.
pub(crate) async fn list(
    client: &Client,
    topic: &str,
    wanted: &[(i32, OffsetSpec)],
) -> Result<EachPartition<ListedOffset>, Error> {
    let timeout = client.config().request_timeout;
    let deadline = clock::now() + timeout;
    let mut open: BTreeMap<i32, OffsetSpec> = wanted.iter().copied().collect();
    let mut done: BTreeMap<i32, Result<ListedOffset, Error>> = BTreeMap::new();
    for round in 0u32.. {
        let failed = ask_leaders(client, topic, &mut open, &mut done).await?;
        if open.is_empty() {
            break;
        }
        let wait = retry::backoff(round, clock::random());
        if clock::now() + wait >= deadline {
            for &partition in open.keys() {
                let error = failed.get(&partition).cloned();
                let error = error.unwrap_or_else(|| no_leader(topic, partition));
                done.insert(partition, Err(error));
            }
            break;
        }
        tokio::time::sleep(wait).await;
    }
    let answers = wanted.iter().filter_map(|(p, _)| done.get(p).map(|answer| (*p, answer.clone())));
    Ok(answers.collect())
}

fn no_leader(topic: &str, partition: i32) -> Error {
    Error::new(ErrorKind::Busy, format!("partition {partition} of topic {topic:?} has no leader: try again"))
}

/// One round: moves what was answered for good from `open` to `done`; the rest with why.
async fn ask_leaders(
    client: &Client,
    topic: &str,
    open: &mut BTreeMap<i32, OffsetSpec>,
    done: &mut BTreeMap<i32, Result<ListedOffset, Error>>,
) -> Result<BTreeMap<i32, Error>, Error> {
    let (metadata, known) = fresh(client, topic).await?;
    let mut by_leader: BTreeMap<String, Vec<wire::ListOffsetsItem>> = BTreeMap::new();
    open.retain(|&partition, &mut spec| {
        if !known.has(partition) {
            done.insert(partition, Err(known.unknown_partition(partition)));
            return false;
        }
        if let Some(leader) = metadata.leader(&known, partition) {
            by_leader.entry(leader.address.to_string()).or_default().push(item(&known, partition, spec));
        }
        true
    });
    let mut failed = BTreeMap::new();
    for (address, items) in by_leader {
        let partitions: Vec<i32> = items.iter().filter_map(|item| item.partition).collect();
        match ask(client, &address, items).await {
            Ok(results) => {
                for result in results {
                    let partition = result.partition;
                    match convert(result) {
                        Err(error) if error.is_retriable() => {
                            failed.insert(partition, error);
                        }
                        answer => {
                            if open.remove(&partition).is_some() {
                                done.insert(partition, answer);
                            }
                        }
                    }
                }
            }
            Err(error) => failed.extend(partitions.into_iter().map(|p| (p, error.clone()))),
        }
    }
    Ok(failed)
}

async fn ask(
    client: &Client,
    address: &str,
    items: Vec<wire::ListOffsetsItem>,
) -> Result<Vec<wire::ListOffsetsResult>, Error> {
    let channel = client.channel(address).await?;
    let mut service = FetchServiceClient::new(channel).max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let call = service.list_offsets(wire::ListOffsetsRequest { items });
    let limit = client.config().request_timeout.min(Duration::from_secs(5));
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner().results),
        Ok(Err(status)) => Err(Error::status(address, status)),
        Err(_) => {
            Err(Error::new(ErrorKind::TimedOut, format!("{address} did not list offsets in {limit:?}")))
        }
    }
}

fn item(topic: &Topic, partition: i32, spec: OffsetSpec) -> wire::ListOffsetsItem {
    let at = match spec {
        OffsetSpec::Start => At::Anchor(wire::OffsetAnchor::Start as i32),
        OffsetSpec::End => At::Anchor(wire::OffsetAnchor::End as i32),
        OffsetSpec::TimestampMs(ms) => At::TimestampMs(ms),
    };
    wire::ListOffsetsItem { topic: Some(topic.reference()), partition: Some(partition), at: Some(at) }
}

fn convert(result: wire::ListOffsetsResult) -> Result<ListedOffset, Error> {
    if let Some(error) = result.error {
        return Err(Error::refused(error));
    }
    topic_id(&result.topic_id)?;
    Ok(ListedOffset {
        offset: (result.offset >= 0).then_some(result.offset),
        timestamp_ms: (result.timestamp_ms >= 0).then_some(result.timestamp_ms),
        leader_epoch: result.leader_epoch,
    })
}
