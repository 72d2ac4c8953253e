//! Whether, and how far, a partition can be read from an offset: one judgement for every way to fetch.

use std::sync::Arc;

use super::convert;
use crate::ids::Offset;
use crate::log::{ReadError, Reader};
use crate::refusal::Refusal;
use crate::runtime::partition_view::{PartitionView, Standing};
use crate::runtime::views::Views;

/// What may be read.
pub struct Readable {
    /// Reads it.
    pub reader: Arc<Reader>,
    /// The first offset that may not be read.
    pub end: Offset,
}

/// Whether readers are served here: by a leader that has committed in its term, or from a closed partition, whose
/// records stay readable. `false` asks to wait.
pub fn serves(views: &Views, view: &PartitionView, standing: &Standing) -> Result<bool, Refusal> {
    if view.is_gone() {
        return Err(Refusal::UnknownTopicId { id: view.id.topic.to_string() });
    }
    if standing.ready || standing.closed.is_some() {
        return Ok(true);
    }
    match standing.leader {
        Some(leader) if views.node() != Some(leader) => Err(convert::not_leader(views, view.id)),
        _ => Ok(false),
    }
}

/// What can be read from `offset` on. `None` asks to wait: there is nothing yet.
///
/// # Errors
/// The offset is outside the log, another broker leads, the client's epoch is another one, the log is not there.
pub fn readable(
    views: &Views,
    view: &PartitionView,
    offset: Offset,
    epoch: Option<i32>,
) -> Result<Option<Readable>, Refusal> {
    let standing = view.standing();
    let serves = serves(views, view, &standing)?;
    convert::check_epoch(epoch, standing.epoch)?;
    if !serves {
        return Ok(None);
    }
    let Some(reader) = view.reader() else {
        return match &standing.closed {
            Some(why) => Err(Refusal::PartitionClosed { why: why.to_string() }),
            None => Ok(None),
        };
    };
    let (log_start, high_watermark) = (view.log_start(), view.high_watermark());
    if offset < log_start || offset > high_watermark {
        return Err(Refusal::OffsetOutOfRange { offset, log_start, high_watermark });
    }
    Ok((offset < high_watermark).then_some(Readable { reader, end: high_watermark }))
}

/// What a failed read is to the one who asked.
pub fn refusal(view: &PartitionView, from: Offset, error: ReadError) -> Refusal {
    match error {
        ReadError::Damaged { first, last } => Refusal::DataDamaged { first, last },
        ReadError::BelowStart { log_start, .. } => {
            let high_watermark = view.high_watermark();
            Refusal::OffsetOutOfRange { offset: from, log_start, high_watermark }
        }
        error @ (ReadError::Io(_) | ReadError::DamagedEntry { .. }) => {
            tracing::error!(partition = %view.id, offset = %from, "a read failed: {error}");
            Refusal::Internal {
                why: format!("the disk did not give the records from offset {from}: {error}"),
            }
        }
    }
}
