//! Entries that follow each other.

use bytes::Bytes;
use caudal_broker::ids::{Index, Offset, Term};
use caudal_broker::log::{Entry, Kind};
use caudal_proto::batch::Header;

/// Entries that follow each other, all with the same batch.
#[derive(Debug, Clone)]
pub(crate) struct Entries {
    payload: Bytes,
    count: u32,
    index: Index,
    term: Term,
    offset: Offset,
}

impl Entries {
    /// Entries from `index` and offset 0 on.
    pub(crate) fn new(payload: Bytes, index: Index, term: Term) -> Entries {
        let header = Header::parse(&payload).expect("the payload is a batch");
        Entries { payload, count: header.count as u32, index, term, offset: Offset(0) }
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let entry = Entry {
            index: self.index,
            term: self.term,
            kind: Kind::Batch,
            base_offset: self.offset,
            count: self.count,
            max_timestamp: 1_700_000_000_000,
            append_time: 1_700_000_000_000,
            payload: self.payload.clone(),
        };
        self.index = self.index.next();
        self.offset = entry.next_offset();
        Some(entry)
    }
}
