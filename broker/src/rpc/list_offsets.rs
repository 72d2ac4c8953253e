//! `ListOffsets`: where a partition starts, where it ends, and where a time begins.

use std::sync::Arc;

use caudal_proto::v1;
use caudal_proto::v1::list_offsets_item::At;

use super::status::partition_error;
use super::{Door, convert, reading};
use crate::ids::Offset;
use crate::limits;
use crate::refusal::Refusal;
use crate::runtime::partition_view::PartitionView;

/// No record was found.
const NONE: i64 = -1;

/// Answers every item, or says of each why not.
///
/// # Errors
/// Too many items.
pub async fn answer(
    door: &Door,
    request: v1::ListOffsetsRequest,
) -> Result<v1::ListOffsetsResponse, Refusal> {
    convert::check_count("items", request.items.len(), limits::ITEMS_PER_REQUEST_MAX)?;
    let mut results = Vec::with_capacity(request.items.len());
    for item in request.items {
        results.push(match one(door, &item).await {
            Ok(result) => result,
            Err(refusal) => v1::ListOffsetsResult {
                partition: item.partition.unwrap_or_default(),
                offset: NONE,
                timestamp_ms: NONE,
                error: Some(partition_error(&refusal)),
                ..v1::ListOffsetsResult::default()
            },
        });
    }
    Ok(v1::ListOffsetsResponse { results })
}

async fn one(door: &Door, item: &v1::ListOffsetsItem) -> Result<v1::ListOffsetsResult, Refusal> {
    let view = convert::locate(&door.views, item.topic.as_ref(), item.partition)?;
    check_ready(door, &view)?;
    let (offset, timestamp_ms) = match &item.at {
        Some(At::Anchor(anchor)) => match v1::OffsetAnchor::try_from(*anchor) {
            Ok(v1::OffsetAnchor::Start) => (view.log_start(), NONE),
            Ok(v1::OffsetAnchor::End) => (view.high_watermark(), NONE),
            _ => {
                return Err(convert::invalid("anchor", "OFFSET_ANCHOR_START or OFFSET_ANCHOR_END is needed"));
            }
        },
        Some(At::TimestampMs(timestamp)) => {
            by_time(door, &view, *timestamp).await?.unwrap_or((Offset(NONE), NONE))
        }
        None => return Err(convert::invalid("at", "an anchor or a timestamp is needed")),
    };
    Ok(v1::ListOffsetsResult {
        topic_id: convert::topic_id(view.id.topic),
        partition: view.id.partition,
        offset: offset.0,
        timestamp_ms,
        leader_epoch: convert::epoch(view.standing().epoch),
        error: None,
    })
}

/// Whether the offsets of a partition are exact here.
///
/// # Errors
/// They are not, or not yet.
pub fn check_ready(door: &Door, view: &PartitionView) -> Result<(), Refusal> {
    match reading::serves(&door.views, view, &view.standing())? {
        true => Ok(()),
        false => Err(Refusal::LeaderNotReady),
    }
}

/// The first record whose timestamp is at or after `timestamp`: its offset and timestamp.
///
/// # Errors
/// The log is not there, or cannot be read.
pub async fn by_time(
    door: &Door,
    view: &Arc<PartitionView>,
    timestamp: i64,
) -> Result<Option<(Offset, i64)>, Refusal> {
    let reader = view.reader().ok_or(Refusal::LeaderNotReady)?;
    let end = view.high_watermark();
    let found = door.readers.run(move || reader.offset_for_time(timestamp, end)).await;
    let found = found.map_err(|error| Refusal::Internal { why: error.to_string() })?;
    let found = found.map_err(|error| reading::refusal(view, view.log_start(), error))?;
    Ok(found.map(|(offset, timestamp)| (offset.max(view.log_start()), timestamp)))
}
