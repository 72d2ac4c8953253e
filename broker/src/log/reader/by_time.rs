//! Offsets by time.

use bytes::Bytes;

use super::walk::{Step, Walk};
use super::{ReadError, Reader};
use crate::ids::Offset;
use crate::limits::INFLATE_BYTES_MAX;
use crate::log::FrameHeader;
use crate::log::shared::View;

impl Reader {
    /// The first record below `end` with a timestamp of `timestamp_ms` or later: its offset and its timestamp.
    /// `None` when there is none.
    ///
    /// # Errors
    /// The file system fails. Damaged records are passed over.
    pub fn offset_for_time(
        &self,
        timestamp_ms: i64,
        end: Offset,
    ) -> Result<Option<(Offset, i64)>, ReadError> {
        let segments = self.shared.segments();
        for sealed in &segments.sealed {
            if sealed.facts.max_timestamp.is_none_or(|newest| newest < timestamp_ms)
                || sealed.tip.next_offset <= segments.log_start
            {
                continue;
            }
            if sealed.base.next_offset >= end {
                return Ok(None);
            }
            let view = self.shared.load(sealed)?;
            if let Some(found) = in_segment(&view, timestamp_ms, segments.log_start, end)? {
                return Ok(Some(found));
            }
        }
        if segments.active.max_timestamp() < timestamp_ms {
            return Ok(None);
        }
        in_segment(&segments.live(), timestamp_ms, segments.log_start, end)
    }
}

fn in_segment(
    view: &View,
    timestamp_ms: i64,
    log_start: Offset,
    end: Offset,
) -> Result<Option<(Offset, i64)>, ReadError> {
    let position = view.indexes.read().1.before(timestamp_ms);
    let mut walk = Walk::from_position(view, position, true);
    // A damaged batch is passed over, and so is the rest below `end` once the walk is there.
    let mut reached = Offset(i64::MIN);
    while reached < end.min(view.next_offset) {
        match walk.step(end)? {
            Step::End => return Ok(None),
            Step::Damaged { next, .. } => reached = next,
            Step::Frame { header, position } => {
                reached = header.next_offset();
                let newer = header.count > 0 && header.max_timestamp >= timestamp_ms;
                if !newer || header.next_offset() <= log_start || header.next_offset() > end {
                    continue;
                }
                let Ok(batch) = walk.payload(&header, position) else { continue };
                if let Some(found) = in_batch(&header, &batch, timestamp_ms, log_start) {
                    return Ok(Some(found));
                }
            }
        }
    }
    Ok(None)
}

/// The first such record of a batch; of one that does not decode, its first record.
fn in_batch(
    header: &FrameHeader,
    batch: &Bytes,
    timestamp_ms: i64,
    log_start: Offset,
) -> Option<(Offset, i64)> {
    let whole = Some((header.base_offset.max(log_start), header.max_timestamp));
    let Ok(records) = caudal_proto::batch::records(batch, INFLATE_BYTES_MAX) else { return whole };
    for record in records {
        let Ok(record) = record else { return whole };
        if record.timestamp >= timestamp_ms && record.offset >= log_start.0 {
            return Some((Offset(record.offset), record.timestamp));
        }
    }
    None
}
