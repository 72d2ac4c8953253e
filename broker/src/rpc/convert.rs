//! Between the wire and the broker's own words: what is not valid is refused here.

use std::sync::Arc;

use bytes::Bytes;
use caudal_proto::batch::{self, Builder, Codec};
use caudal_proto::name::{NameError, TopicName};
use caudal_proto::v1;

use crate::ids::{NodeId, PartitionId, ReplicaId, Term, TopicId};
use crate::limits;
use crate::node::{Acks, Batch, Now, Receipt};
use crate::refusal::Refusal;
use crate::runtime::partition_view::PartitionView;
use crate::runtime::views::Views;
use crate::state::Topic;

/// What of a client's text goes back into a message.
const NAME_CHARS_SHOWN: usize = 300;

/// A request field that is missing or cannot be.
pub fn invalid(field: &str, why: impl Into<String>) -> Refusal {
    Refusal::InvalidArgument { field: field.to_owned(), why: why.into() }
}

/// Checks the name of a topic that a client may use.
pub fn topic_name(name: &str) -> Result<TopicName, Refusal> {
    TopicName::new(name).map_err(|error| {
        let name = name.chars().take(NAME_CHARS_SHOWN).collect();
        match error {
            NameError::Reserved => Refusal::InternalTopic { name },
            _ => Refusal::InvalidTopicName { name, why: error.to_string() },
        }
    })
}

/// Finds a topic that a client may use, by name or by id.
pub fn topic(views: &Views, topic: Option<&v1::TopicRef>) -> Result<Arc<Topic>, Refusal> {
    let reference = topic.and_then(|topic| topic.topic.as_ref());
    let found = match reference {
        None => return Err(invalid("topic", "a name or an id is needed")),
        Some(v1::topic_ref::Topic::Name(name)) => {
            let known = views.topic_by_name(name);
            match known {
                Some(topic) => topic,
                None => return Err(unknown_topic(views, name)),
            }
        }
        Some(v1::topic_ref::Topic::Id(bytes)) => {
            let id = TopicId::from_slice(bytes).ok_or_else(|| {
                invalid("topic.id", format!("an id has 16 bytes, this one has {}", bytes.len()))
            })?;
            if id == TopicId::CONTROL {
                return Err(Refusal::InternalTopic { name: "__control".to_owned() });
            }
            let unknown = || Refusal::UnknownTopicId { id: id.to_string() };
            views.topic_by_id(id).ok_or_else(|| missing(views, unknown()))?
        }
    };
    if found.internal {
        return Err(Refusal::InternalTopic { name: found.name.to_string() });
    }
    Ok(found)
}

/// Why no topic of this name is found.
pub fn unknown_topic(views: &Views, name: &str) -> Refusal {
    match topic_name(name) {
        Ok(name) => missing(views, Refusal::UnknownTopic { name: name.as_str().to_owned() }),
        Err(refusal) => refusal,
    }
}

/// What is not among the topics does not exist, once all of them are known.
fn missing(views: &Views, unknown: Refusal) -> Refusal {
    if views.topics_are_known() { unknown } else { Refusal::LeaderNotReady }
}

/// The partition of a topic that a request names; one it does not name is refused.
pub fn partition(topic: &Topic, partition: Option<i32>) -> Result<PartitionId, Refusal> {
    let partition = partition.ok_or_else(|| invalid("partition", "a partition is needed"))?;
    if !(0..topic.partition_count()).contains(&partition) {
        return Err(Refusal::UnknownPartition { topic: topic.name.to_string(), partition });
    }
    Ok(PartitionId { topic: topic.id, partition })
}

/// The view of a partition that exists; where it has not opened here yet, that is said.
pub fn view(views: &Views, id: PartitionId) -> Result<Arc<PartitionView>, Refusal> {
    views.partition(id).ok_or_else(|| {
        let catalog = views.catalog();
        let placement =
            catalog.topic_by_id(id.topic).and_then(|topic| topic.partitions.get(id.partition as usize));
        let lives_here =
            placement.is_none_or(|placement| placement.all().any(|(node, _)| Some(node) == views.node()));
        if lives_here { Refusal::LeaderNotReady } else { not_leader(views, id) }
    })
}

/// Names a partition's leader to one who should have asked it.
pub fn not_leader(views: &Views, id: PartitionId) -> Refusal {
    let (leader, term) = views.leader(id);
    addressed(views, Refusal::NotLeader { leader, address: None, epoch: epoch(term) })
}

/// A refusal that names a leader also says where that is.
pub fn addressed(views: &Views, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NotLeader { leader: Some(leader), address: None, epoch } => {
            let address = views.catalog().member(leader).map(|member| member.address.clone());
            let address = address.filter(|address| !address.is_empty());
            Refusal::NotLeader { leader: Some(leader), address, epoch }
        }
        other => other,
    }
}

/// Topic and partition of a request, and the partition's view.
pub fn locate(
    views: &Views,
    topic_ref: Option<&v1::TopicRef>,
    number: Option<i32>,
) -> Result<Arc<PartitionView>, Refusal> {
    let topic = topic(views, topic_ref)?;
    view(views, partition(&topic, number)?)
}

/// How many items a request may have.
pub fn check_count(field: &str, count: usize, max: usize) -> Result<(), Refusal> {
    match count <= max {
        true => Ok(()),
        false => Err(invalid(field, format!("{count} are more than the {max} of one request"))),
    }
}

/// When a batch is to be answered.
pub fn acks(acks: i32) -> Result<Acks, Refusal> {
    match v1::Acks::try_from(acks) {
        Ok(v1::Acks::Unspecified | v1::Acks::All) => Ok(Acks::All),
        Ok(v1::Acks::Leader) => Ok(Acks::Leader),
        Ok(v1::Acks::None) => Ok(Acks::None),
        Err(_) => Err(invalid("acks", format!("{acks} is none of ACKS_ALL, ACKS_LEADER, ACKS_NONE"))),
    }
}

/// A batch that passed every check that needs no partition: size, form and checksum, kind, time.
pub fn batch(view: &PartitionView, bytes: Bytes, now: Now) -> Result<Batch, Refusal> {
    let limit = view.config().max_message_bytes;
    if bytes.len() > limit {
        let (size, limit) = (bytes.len() as u64, limit as u64);
        return Err(Refusal::MessageTooLarge { topic: view.topic.to_string(), size, limit });
    }
    let header = batch::check(&bytes)?;
    if header.is_control() || header.is_transactional() {
        return Err(Refusal::TransactionsUnsupported);
    }
    if header.max_timestamp > now.wall_ms.saturating_add(limits::TIMESTAMP_AHEAD_MS_MAX) {
        return Err(Refusal::InvalidTimestamp { timestamp_ms: header.max_timestamp, now_ms: now.wall_ms });
    }
    let bytes = if bytes.len() < limits::COPY_BELOW_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes };
    Ok(Batch { header, bytes })
}

/// Plain records as a batch; a record without a timestamp gets the broker's time.
pub fn plain_records(records: &[v1::Record], now: Now) -> Result<Bytes, Refusal> {
    check_count("records", records.len(), limits::PLAIN_RECORDS_MAX)?;
    if records.is_empty() {
        return Err(batch::Error::Count { count: 0, last_offset_delta: -1 }.into());
    }
    let mut builder = Builder::new();
    for record in records {
        let headers = record.headers.iter().map(|header| (header.key.as_str(), header.value.as_deref()));
        let timestamp = record.timestamp_ms.unwrap_or(now.wall_ms);
        builder.push(timestamp, record.key.as_deref(), record.value.as_deref(), headers)?;
    }
    Ok(builder.finish(Codec::None, None)?)
}

/// A record of a stored batch in plain form.
pub fn fetched_record(record: batch::Record) -> v1::FetchedRecord {
    let headers = record
        .headers
        .iter()
        .map(|(key, value)| v1::RecordHeader { key: String::from_utf8_lossy(&key).into_owned(), value });
    v1::FetchedRecord {
        offset: record.offset,
        record: Some(v1::Record {
            headers: headers.collect(),
            key: record.key,
            value: record.value,
            timestamp_ms: (record.timestamp >= 0).then_some(record.timestamp),
        }),
    }
}

/// A receipt on the wire.
pub fn receipt(receipt: &Receipt) -> v1::Receipt {
    v1::Receipt {
        topic_id: topic_id(receipt.partition.topic),
        partition: receipt.partition.partition,
        base_offset: receipt.base_offset.0,
        last_offset: receipt.last_offset.0,
        append_time_ms: receipt.append_time,
        term: epoch(receipt.term),
        index: receipt.index.0,
        voters: replicas(&receipt.voters),
        synced: replicas(&receipt.synced),
        written: replicas(&receipt.written),
        duplicate: receipt.duplicate,
    }
}

fn replicas(replicas: &[(NodeId, ReplicaId)]) -> Vec<v1::ReplicaRef> {
    replicas.iter().map(|(node, replica)| v1::ReplicaRef { node_id: node.0, replica_id: replica.0 }).collect()
}

/// The 16 bytes of a topic's id.
pub fn topic_id(id: TopicId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// A term as clients see it. Terms that do not fit are refused where they are made.
pub fn epoch(term: Term) -> i32 {
    i32::try_from(term.0).unwrap_or(i32::MAX)
}

/// Refuses a client that believes in another epoch than the partition has.
pub fn check_epoch(sent: Option<i32>, current: Term) -> Result<(), Refusal> {
    let current = epoch(current);
    match sent {
        Some(sent) if sent < current => Err(Refusal::FencedLeaderEpoch { sent, current }),
        Some(sent) if sent > current => Err(Refusal::UnknownLeaderEpoch { sent, current }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
