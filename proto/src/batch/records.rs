//! Reading the records of a batch.

use std::iter::FusedIterator;

use bytes::Bytes;

use super::check::timestamp;
use super::{Codec, Error, HEADER_BYTES, Header, Headers, Lie, compression, layout};

/// One record. Its bytes are slices of the batch, or of what the batch inflated to, and keep the whole of it alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: i64,
    /// In ms since the epoch; −1 where there is none.
    pub timestamp: i64,
    /// The key; null is not empty.
    pub key: Option<Bytes>,
    /// The value; null (a tombstone) is not empty.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}

/// Reads the records of one whole batch, whose checksum is verified first.
///
/// More is taken here than [`check`](super::check) takes from a producer: attributes that a broker sets, no record
/// at all, and gaps between the offsets, as compaction leaves them.
///
/// # Errors
/// Those of the header and the checksum; of the codec; [`Error::InflatesTooLarge`] where the records inflate to more
/// than `inflate_max` bytes, which is found without taking more memory than that. A malformed record is the
/// last item of the iterator.
pub fn records(batch: &Bytes, inflate_max: usize) -> Result<Records, Error> {
    let header = Header::parse(batch)?;
    header.matches(batch)?;
    let codec = header.codec()?;
    if header.count < 0 || header.last_offset_delta < header.count.saturating_sub(1) {
        return Err(Error::Count { count: header.count, last_offset_delta: header.last_offset_delta });
    }
    let mut body = batch.slice(HEADER_BYTES..);
    if codec != Codec::None {
        body = compression::inflate(codec, &body, inflate_max)?.into();
    }
    Ok(Records { header, body, at: 0, read: 0, next_delta: 0, ended: false })
}

/// The records of a batch, in order. After an error nothing follows.
#[derive(Debug, Clone)]
pub struct Records {
    header: Header,
    body: Bytes,
    at: usize,
    read: i32,
    next_delta: i64,
    ended: bool,
}

impl Records {
    /// The batch's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes of the records, inflated where they were compressed.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    fn read(&mut self) -> Result<Record, Lie> {
        let whole = self.body.get(self.at..).unwrap_or_default();
        let mut rest = whole;
        let raw = layout::take_record(&mut rest)?;
        let delta = i64::from(raw.offset_delta);
        if delta < self.next_delta || raw.offset_delta > self.header.last_offset_delta {
            return Err(Lie::OffsetDelta { found: raw.offset_delta });
        }
        let timestamp = match self.header.is_append_time() {
            true => self.header.max_timestamp,
            false => timestamp(&self.header, &raw)?,
        };
        let within = |part: &[u8]| self.body.slice_ref(part);
        let record = Record {
            offset: self.header.base_offset.saturating_add(delta),
            timestamp,
            key: raw.key.map(within),
            value: raw.value.map(within),
            headers: Headers::new(raw.headers, &self.body),
        };
        self.at += whole.len() - rest.len();
        self.next_delta = delta + 1;
        Ok(record)
    }

    /// After the last record: nothing may follow.
    fn end(&mut self) -> Option<Result<Record, Error>> {
        self.ended = true;
        let bytes = self.body.len() - self.at;
        let record = self.read.unsigned_abs();
        (bytes > 0).then_some(Err(Error::Record { record, lie: Lie::Follows { bytes } }))
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Result<Record, Error>> {
        if self.ended {
            return None;
        }
        if self.read == self.header.count {
            return self.end();
        }
        let record = self.read();
        self.ended = record.is_err();
        let at = self.read.unsigned_abs();
        self.read += 1;
        Some(record.map_err(|lie| Error::Record { record: at, lie }))
    }
}

impl FusedIterator for Records {}
