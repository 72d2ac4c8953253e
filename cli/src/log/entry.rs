//! An entry of a log as `caudal log dump` shows it.

use bytes::Bytes;
use caudal_broker::log::{FrameHeader, Kind};
use caudal_proto::batch::{Header, records};
use serde::Serialize;

use crate::json_text::{json_optional, json_text};
use crate::values::show_time;

/// What one compressed batch may inflate to here.
const INFLATE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One entry.
#[derive(Debug, Serialize)]
pub(super) struct EntryDocument {
    path: String,
    position: u64,
    index: u64,
    term: u64,
    kind: &'static str,
    base_offset: i64,
    count: u32,
    bytes: u64,
    append_time: i64,
    max_timestamp: i64,
    codec: Option<&'static str>,
    producer_id: Option<i64>,
    producer_epoch: Option<i16>,
    base_sequence: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<RecordDocument>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct RecordDocument {
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_encoding: Option<&'static str>,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_encoding: Option<&'static str>,
    headers: Vec<HeaderDocument>,
}

#[derive(Debug, Serialize)]
struct HeaderDocument {
    key: String,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_encoding: Option<&'static str>,
}

/// The header line of the table.
pub(super) const COLUMNS: &str = "    POSITION      INDEX  TERM  KIND           OFFSET   COUNT      BYTES  CODEC   APPENDED                  PRODUCER";

impl EntryDocument {
    /// Of a frame; with its records, if they are asked for.
    pub(super) fn new(
        path: &str,
        position: u64,
        header: &FrameHeader,
        payload: &Bytes,
        with_records: bool,
    ) -> Self {
        let batch = (header.kind == Kind::Batch).then(|| Header::parse(payload).ok()).flatten();
        let producer = batch.filter(Header::has_producer);
        let (mut records, mut records_error) = (None, None);
        if with_records && header.kind == Kind::Batch {
            match record_documents(payload) {
                Ok(documents) => records = Some(documents),
                Err(error) => records_error = Some(error.to_string()),
            }
        }
        EntryDocument {
            path: path.to_owned(),
            position,
            index: header.index.0,
            term: header.term.0,
            kind: kind(header.kind),
            base_offset: header.base_offset.0,
            count: header.count,
            bytes: header.frame_bytes(),
            append_time: header.append_time,
            max_timestamp: header.max_timestamp,
            codec: batch.and_then(|batch| batch.codec().ok()).map(|codec| codec.name()),
            producer_id: producer.map(|batch| batch.producer_id),
            producer_epoch: producer.map(|batch| batch.producer_epoch),
            base_sequence: producer.map(|batch| batch.base_sequence),
            records,
            records_error,
        }
    }

    /// Lines of the table: the entry, then its records.
    pub(super) fn lines(&self) -> String {
        let producer = match (self.producer_id, self.producer_epoch, self.base_sequence) {
            (Some(id), Some(epoch), Some(sequence)) => format!("{id}/{epoch} from {sequence}"),
            _ => "-".to_owned(),
        };
        let mut text = format!(
            "{:>12} {:>10} {:>5}  {:<11} {:>9} {:>7} {:>10}  {:<6}  {:<24}  {producer}\n",
            self.position,
            self.index,
            self.term,
            self.kind,
            self.base_offset,
            self.count,
            self.bytes,
            self.codec.unwrap_or("-"),
            show_time(self.append_time),
        );
        for record in self.records.iter().flatten() {
            let quoted =
                |text: &Option<String>| text.as_ref().map_or("null".to_owned(), |text| format!("{text:?}"));
            let headers: Vec<String> = record
                .headers
                .iter()
                .map(|header| format!("{}={}", header.key, quoted(&header.value)))
                .collect();
            let (time, key, value) =
                (show_time(record.timestamp), quoted(&record.key), quoted(&record.value));
            text.push_str(&format!("    {} {time} {key}: {value} {}\n", record.offset, headers.join(" ")));
        }
        if let Some(error) = &self.records_error {
            text.push_str(&format!("    the records cannot be read: {error}\n"));
        }
        text
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Batch => "batch",
        Kind::Noop => "noop",
        Kind::Command => "command",
        Kind::ConfChange => "conf_change",
        Kind::ConfChangeV2 => "conf_change_v2",
        Kind::SetLogStart => "set_log_start",
        Kind::Loss => "loss",
    }
}

fn record_documents(batch: &Bytes) -> Result<Vec<RecordDocument>, caudal_proto::batch::Error> {
    let documents = records(batch, INFLATE_BYTES_MAX)?.map(|record| {
        let record = record?;
        let (key, key_encoding) = json_optional(record.key.as_deref());
        let (value, value_encoding) = json_optional(record.value.as_deref());
        let headers = record.headers.iter().map(|(key, value)| {
            let (key, _) = json_text(key.as_ref());
            let (value, value_encoding) = json_optional(value.as_deref());
            HeaderDocument { key, value, value_encoding }
        });
        Ok(RecordDocument {
            offset: record.offset,
            timestamp: record.timestamp,
            key,
            key_encoding,
            value,
            value_encoding,
            headers: headers.collect(),
        })
    });
    documents.collect()
}
