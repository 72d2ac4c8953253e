//! Room on the disk, taken before Raft sees an entry: a full disk is a refusal then, and not a crash.

use std::io;

use super::Log;
use super::roll::Next;
use crate::limits::CONTROL_FRAME_BYTES;
use crate::log::segment::SEGMENT_HEADER_BYTES;

/// There is no room on the disk; nothing changed.
#[derive(Debug, thiserror::Error)]
#[error("no room for {bytes} bytes: {source}")]
pub struct NoSpace {
    /// What was asked for.
    pub bytes: u64,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Log {
    /// Takes room for entries of so many bytes, headers included, behind everything that was taken so far; and for
    /// one entry of the log's own.
    ///
    /// Where they do not fit into the active segment, the next one is made large enough. If that is still being
    /// made, entries wait in memory until it is there. Room for entries that are not appended before the next plan is
    /// given up again.
    ///
    /// # Errors
    /// No room; nothing changed.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), NoSpace> {
        self.take_room(bytes)?;
        self.reserved += bytes;
        Ok(())
    }

    fn take_room(&mut self, bytes: u64) -> Result<(), NoSpace> {
        let limit = self.limit();
        let needed = self.waiting_bytes + self.reserved + bytes + CONTROL_FRAME_BYTES;
        let end = self.active.contents.end + needed;
        let refused = |source| NoSpace { bytes, source };
        if end <= self.active.allocated() {
            return Ok(());
        }
        if end <= limit || self.active.contents.is_empty() {
            return self.active.reserve(end, limit).map_err(refused);
        }
        self.active.reserve(limit, limit).map_err(refused)?;
        match &mut self.next {
            Next::Ready(next) => {
                let end = (SEGMENT_HEADER_BYTES + needed).min(limit.max(SEGMENT_HEADER_BYTES + bytes));
                if end > next.allocated {
                    next.file.allocate(end).map_err(refused)?;
                    next.allocated = end;
                }
                Ok(())
            }
            Next::Refused { .. } => Err(refused(io::ErrorKind::StorageFull.into())),
            Next::None | Next::Preparing => Ok(()),
        }
    }
}
