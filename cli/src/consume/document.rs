//! A record as a JSON object on one line.

use caudal_client::Record;
use serde::Serialize;

use crate::json_text::{json_optional, json_text};

#[derive(Serialize)]
struct Document<'a> {
    topic: &'a str,
    partition: i32,
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

#[derive(Serialize)]
struct HeaderDocument {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_encoding: Option<&'static str>,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_encoding: Option<&'static str>,
}

/// Appends the object and a newline.
pub(super) fn write(record: &Record, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let (key, key_encoding) = json_optional(record.key.as_deref());
    let (value, value_encoding) = json_optional(record.value.as_deref());
    let headers = record.headers.iter().map(|header| {
        let (key, key_encoding) = json_text(&header.key);
        let (value, value_encoding) = json_optional(header.value.as_deref());
        HeaderDocument { key, key_encoding, value, value_encoding }
    });
    let document = Document {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp_ms,
        key,
        key_encoding,
        value,
        value_encoding,
        headers: headers.collect(),
    };
    serde_json::to_writer(&mut *out, &document)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use caudal_client::Header;

    use super::*;

    fn json(record: &Record) -> String {
        let mut out = Vec::new();
        write(record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn null_empty_text_and_bytes_are_told_apart() {
        let mut record = Record {
            topic: "t".into(),
            partition: 1,
            offset: 2,
            leader_epoch: 3,
            timestamp_ms: 4,
            key: None,
            value: Some("é\n".into()),
            headers: vec![Header { key: "h".into(), value: None }],
        };
        assert_eq!(
            json(&record),
            "{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"timestamp\":4,\"key\":null,\"value\":\"é\\n\",\
             \"headers\":[{\"key\":\"h\",\"value\":null}]}\n"
        );
        record.key = Some(vec![0xff].into());
        record.value = Some("".into());
        record.headers = vec![Header { key: "h".into(), value: Some(vec![0xfe].into()) }];
        assert_eq!(
            json(&record),
            "{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"timestamp\":4,\"key\":\"/w==\",\"key_encoding\":\"base64\",\
             \"value\":\"\",\"headers\":[{\"key\":\"h\",\"value\":\"/g==\",\"value_encoding\":\"base64\"}]}\n"
        );
    }
}
