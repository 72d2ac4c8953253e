//! `TrimTopic`: moves the log start of partitions forward, each where it is led.

use std::sync::Arc;

use caudal_proto::v1;
use caudal_proto::v1::topic_service_client::TopicServiceClient;
use caudal_proto::v1::trim_topic_request::Before;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::forward::{Way, answered};
use super::status::{error_of, partition_error};
use super::{Door, convert, list_offsets};
use crate::ids::{Offset, PartitionId};
use crate::refusal::Refusal;
use crate::runtime::partition_view::PartitionView;

/// Partitions of one request that are trimmed at the same time.
const TRIMS_TOGETHER: usize = 256;

/// Trims one partition or all of a topic, each alone and by its leader.
///
/// # Errors
/// The topic or partition is not there, or it is not said where to trim.
pub async fn trim(
    door: &Door,
    way: &Way,
    request: v1::TrimTopicRequest,
) -> Result<v1::TrimTopicResponse, Refusal> {
    let name = v1::TopicRef { topic: Some(v1::topic_ref::Topic::Name(request.name.clone())) };
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
            let (door, way) = (door.clone(), way.clone());
            let one = v1::TrimTopicRequest { partition: Some(id.partition), ..request.clone() };
            together.spawn(async move { trim_where_led(&door, way, id, before, one).await });
        }
        results.extend(together.join_all().await);
    }
    results.sort_by_key(|result| result.partition);
    Ok(v1::TrimTopicResponse { results })
}

/// Trims one partition here, or has its leader do it.
async fn trim_where_led(
    door: &Door,
    way: Way,
    id: PartitionId,
    before: Before,
    request: v1::TrimTopicRequest,
) -> v1::TrimResult {
    let here = door.views.leader(id).0.is_none_or(|leader| Some(leader) == door.views.node());
    if here {
        return trim_result(door, id, before, request.validate_only).await;
    }
    match door.leader_elsewhere(id, &way) {
        Ok(Some(leader)) => trim_elsewhere(leader, way, id, request).await,
        // It came here in this moment.
        Ok(None) => trim_result(door, id, before, request.validate_only).await,
        Err(refusal) => refused(id, &refusal),
    }
}

/// What the leader of a partition answers.
async fn trim_elsewhere(
    leader: Channel,
    way: Way,
    id: PartitionId,
    request: v1::TrimTopicRequest,
) -> v1::TrimResult {
    let mut leader = TopicServiceClient::new(leader);
    match answered(leader.trim_topic(way.on(request))).await {
        Ok(answer) => match answer.into_inner().results.pop() {
            Some(result) => result,
            None => refused(id, &Refusal::UnknownOutcome),
        },
        Err(status) => v1::TrimResult {
            partition: id.partition,
            error: Some(error_of(&status)),
            ..v1::TrimResult::default()
        },
    }
}

fn refused(id: PartitionId, refusal: &Refusal) -> v1::TrimResult {
    v1::TrimResult {
        partition: id.partition,
        error: Some(partition_error(refusal)),
        ..v1::TrimResult::default()
    }
}

async fn trim_result(door: &Door, id: PartitionId, before: Before, validate_only: bool) -> v1::TrimResult {
    match trim_one(door, id, before, validate_only).await {
        Ok((start, end)) => v1::TrimResult {
            partition: id.partition,
            log_start_before: start.0,
            log_start_after: end.0,
            error: None,
        },
        Err(refusal) => refused(id, &refusal),
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
