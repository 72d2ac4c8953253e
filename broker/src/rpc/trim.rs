//! `TrimTopic`: moves the log start of partitions forward.

use std::sync::Arc;

use caudal_proto::v1;
use caudal_proto::v1::trim_topic_request::Before;
use tokio::task::JoinSet;

use super::status::partition_error;
use super::{Door, convert, list_offsets};
use crate::ids::{Offset, PartitionId};
use crate::refusal::Refusal;
use crate::runtime::partition_view::PartitionView;

/// Partitions of one request that are trimmed at the same time.
const TRIMS_TOGETHER: usize = 256;

/// Trims one partition or all of a topic, each alone.
///
/// # Errors
/// The topic or partition is not there, or it is not said where to trim.
pub async fn trim(door: &Door, request: v1::TrimTopicRequest) -> Result<v1::TrimTopicResponse, Refusal> {
    let name = v1::TopicRef { topic: Some(v1::topic_ref::Topic::Name(request.name)) };
    let topic = convert::topic(&door.views, Some(&name))?;
    let before =
        request.before.ok_or_else(|| convert::invalid("before", "an offset or a timestamp is needed"))?;
    let partitions: Vec<PartitionId> = match request.partition {
        Some(number) => vec![convert::partition(&topic, Some(number))?],
        None => topic.placements().map(|(id, _)| id).collect(),
    };
    let mut results = Vec::with_capacity(partitions.len());
    for some in partitions.chunks(TRIMS_TOGETHER) {
        let mut together = JoinSet::new();
        for &id in some {
            let door = door.clone();
            together.spawn(async move { trim_result(&door, id, before, request.validate_only).await });
        }
        results.extend(together.join_all().await);
    }
    results.sort_by_key(|result| result.partition);
    Ok(v1::TrimTopicResponse { results })
}

async fn trim_result(door: &Door, id: PartitionId, before: Before, validate_only: bool) -> v1::TrimResult {
    match trim_one(door, id, before, validate_only).await {
        Ok((start, end)) => v1::TrimResult {
            partition: id.partition,
            log_start_before: start.0,
            log_start_after: end.0,
            error: None,
        },
        Err(refusal) => v1::TrimResult {
            partition: id.partition,
            error: Some(partition_error(&refusal)),
            ..v1::TrimResult::default()
        },
    }
}

async fn trim_one(
    door: &Door,
    id: PartitionId,
    before: Before,
    validate_only: bool,
) -> Result<(Offset, Offset), Refusal> {
    let view = convert::view(&door.views, id)?;
    let before = match before {
        Before::BeforeOffset(offset) => Offset(offset),
        Before::BeforeTimestampMs(timestamp) => by_time(door, &view, timestamp).await?,
    };
    door.handle.trim(id, before, validate_only).await
}

/// Where records at or after a time begin: at the end, where there are none.
async fn by_time(door: &Door, view: &Arc<PartitionView>, timestamp: i64) -> Result<Offset, Refusal> {
    list_offsets::check_ready(door, view)?;
    let found = list_offsets::by_time(door, view, timestamp).await?;
    Ok(found.map_or(view.high_watermark(), |(offset, _)| offset))
}
