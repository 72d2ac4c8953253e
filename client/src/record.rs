//! Records: what is sent, and what is read.

use std::sync::Arc;

use bytes::Bytes;

/// A header of a record to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHeader<'a> {
    /// The name; it may repeat.
    pub key: &'a str,
    /// `None` is null, which is not the same as empty.
    pub value: Option<&'a [u8]>,
}

/// A record to send. It borrows everything: the producer copies it once, into its batch.
///
/// ```
/// let record = caudal_client::NewRecord::to("flights").key(b"N14228").value(b"EWR,IAH");
/// assert_eq!(record.partition, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// `None` lets the key choose, as Kafka's clients do; without a key, partitions take turns by batch.
    pub partition: Option<i32>,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null (a tombstone).
    pub value: Option<&'a [u8]>,
    /// In order; a name may repeat.
    pub headers: &'a [NewHeader<'a>],
    /// Milliseconds since the epoch; `None` is the time of sending.
    pub timestamp_ms: Option<i64>,
}

impl<'a> NewRecord<'a> {
    /// A record of a topic: no key, no value, no headers, the time of sending.
    pub fn to(topic: &'a str) -> Self {
        NewRecord { topic, partition: None, key: None, value: None, headers: &[], timestamp_ms: None }
    }

    /// With this key.
    pub fn key(self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        NewRecord { key: Some(key.as_ref()), ..self }
    }

    /// With this value.
    pub fn value(self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        NewRecord { value: Some(value.as_ref()), ..self }
    }

    /// To this partition, whatever the key.
    pub fn partition(self, partition: i32) -> Self {
        NewRecord { partition: Some(partition), ..self }
    }

    /// With these headers.
    pub fn headers(self, headers: &'a [NewHeader<'a>]) -> Self {
        NewRecord { headers, ..self }
    }

    /// With this timestamp, in milliseconds since the epoch.
    pub fn timestamp_ms(self, timestamp_ms: i64) -> Self {
        NewRecord { timestamp_ms: Some(timestamp_ms), ..self }
    }
}

/// A header of a record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name: UTF-8 as the format demands, but not checked.
    pub key: Bytes,
    /// `None` is null.
    pub value: Option<Bytes>,
}

/// A record that was read. Its bytes are slices of the batch it came in: keeping one keeps the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The place in the partition. The next record's may be more than one higher.
    pub offset: i64,
    /// The epoch of the leader that took it.
    pub leader_epoch: i32,
    /// The sender's timestamp, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// `None` is null.
    pub key: Option<Bytes>,
    /// `None` is null (a tombstone).
    pub value: Option<Bytes>,
    /// In order.
    pub headers: Vec<Header>,
}
