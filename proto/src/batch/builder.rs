//! Making a batch.

use bytes::Bytes;

use super::header::{CHECKED_FROM, MAGIC, UNCOUNTED_BYTES};
use super::{Codec, Error, HEADER_BYTES, Header, compression, varint};

/// The most bytes of a batch: what its length field can say.
const BATCH_BYTES_MAX: u64 = i32::MAX as u64;

/// Who wrote a batch, so that a broker can tell one that was sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// The id the cluster gave, at least 0.
    pub id: i64,
    /// The id's epoch, at least 0.
    pub epoch: i16,
    /// The sequence of the batch's first record in its partition, at least 0.
    pub sequence: i32,
}

/// A batch that grows record by record in one buffer.
#[derive(Debug, Clone)]
pub struct Builder {
    /// Room for the header, then the records.
    buffer: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// A batch of no records.
    pub fn new() -> Builder {
        Builder::with_capacity(0)
    }

    /// A batch of no records that grows to `bytes` without moving.
    pub fn with_capacity(bytes: usize) -> Builder {
        let mut buffer = Vec::with_capacity(bytes.max(HEADER_BYTES));
        buffer.resize(HEADER_BYTES, 0);
        Builder { buffer, count: 0, base_timestamp: -1, max_timestamp: -1 }
    }

    /// Appends a record. `timestamp` is in ms since the epoch. The headers are walked twice.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the batch would pass 2 GiB, [`Error::Timestamps`] where the timestamp is further
    /// from the first record's than 64 bits can say. The batch stays as it was.
    pub fn push<'a, H>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: H,
    ) -> Result<(), Error>
    where
        H: IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
        H::IntoIter: Clone,
    {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        let headers = headers.into_iter();
        let timestamp_delta = timestamp
            .checked_sub(self.base_timestamp)
            .ok_or(Error::Timestamps { max: self.max_timestamp, found: timestamp })?;
        let (header_count, body) = self.body_size(timestamp_delta, key, value, headers.clone());
        let after = self.size_with(body);
        if after > BATCH_BYTES_MAX {
            return Err(Error::TooLarge { bytes: after });
        }
        self.buffer.reserve(after as usize - self.buffer.len());
        let out = &mut self.buffer;
        varint::put(out, body as i64);
        out.push(0);
        varint::put(out, timestamp_delta);
        varint::put(out, i64::from(self.count));
        put_nullable(out, key);
        put_nullable(out, value);
        varint::put(out, header_count);
        for (key, value) in headers {
            put_nullable(out, Some(key.as_bytes()));
            put_nullable(out, value);
        }
        self.count += 1;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    /// The number of headers and the bytes of a record after its length field.
    fn body_size<'a>(
        &self,
        timestamp_delta: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> (i64, u64) {
        let numbers = 1 + varint::size(timestamp_delta) + varint::size(i64::from(self.count));
        let mut bytes = numbers as u64 + nullable_size(key) + nullable_size(value);
        let mut count = 0;
        for (key, value) in headers {
            bytes += nullable_size(Some(key.as_bytes())) + nullable_size(value);
            count += 1;
        }
        (count, bytes + varint::size(count) as u64)
    }

    fn size_with(&self, body: u64) -> u64 {
        self.buffer.len() as u64 + varint::size(body as i64) as u64 + body
    }

    /// The records in it.
    pub fn len(&self) -> usize {
        self.count.unsigned_abs() as usize
    }

    /// It has no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The exact size of the batch in bytes, uncompressed. [`finish`](Builder::finish) never makes more of it.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The exact size in bytes, uncompressed, that the batch would have with this record.
    pub fn size_after<'a, H>(
        &self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: H,
    ) -> usize
    where
        H: IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    {
        let base = if self.count == 0 { timestamp } else { self.base_timestamp };
        let delta = timestamp.saturating_sub(base);
        let (_, body) = self.body_size(delta, key, value, headers.into_iter());
        usize::try_from(self.size_with(body)).unwrap_or(usize::MAX)
    }

    /// Makes the batch, with base offset 0 and no leader epoch: a broker stamps them. Where the codec does not make
    /// it smaller, it stays uncompressed.
    ///
    /// # Errors
    /// [`Error::Count`] for a batch of no records, [`Error::Producer`] for a producer with a number below 0,
    /// [`Error::CodecNotBuilt`], [`Error::Deflate`].
    pub fn finish(mut self, codec: Codec, producer: Option<Producer>) -> Result<Bytes, Error> {
        if self.count == 0 {
            return Err(Error::Count { count: 0, last_offset_delta: -1 });
        }
        let Producer { id, epoch, sequence } =
            producer.unwrap_or(Producer { id: -1, epoch: -1, sequence: -1 });
        if producer.is_some() && (id < 0 || epoch < 0 || sequence < 0) {
            return Err(Error::Producer { id, epoch, sequence });
        }
        let mut attributes = 0;
        if codec != Codec::None {
            let smaller = compression::deflate(codec, &self.buffer, HEADER_BYTES)?;
            if smaller.len() < self.buffer.len() {
                self.buffer = smaller;
                attributes = codec as i16;
            }
        }
        let mut header = Header {
            base_offset: 0,
            length: (self.buffer.len() - UNCOUNTED_BYTES) as i32,
            leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: id,
            producer_epoch: epoch,
            base_sequence: sequence,
            count: self.count,
        };
        write_header(&mut self.buffer, &header);
        header.crc = crc32c::crc32c(&self.buffer[CHECKED_FROM..]);
        write_header(&mut self.buffer, &header);
        Ok(Bytes::from(self.buffer))
    }
}

fn write_header(buffer: &mut [u8], header: &Header) {
    if let Some(head) = buffer.first_chunk_mut() {
        header.write(head);
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(1, |bytes| (varint::size(bytes.len() as i64) + bytes.len()) as u64)
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
