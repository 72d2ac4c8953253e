//! A batch that was fetched, read record by record.
use std::sync::Arc;
use crate::{error::Error, record::Record};
/// A batch of one partition: an iterator of its records.
#[derive(Debug)]
pub struct RecordBatch { topic: Arc<str>, partition: i32 }
impl RecordBatch {
    /// The topic's name.
    pub fn topic(&self) -> &str { &self.topic }
    /// The partition.
    pub fn partition(&self) -> i32 { self.partition }
}
impl Iterator for RecordBatch {
    type Item = Result<Record, Error>;
    fn next(&mut self) -> Option<Self::Item> { None }
}
