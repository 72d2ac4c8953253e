//! Splitting a run of batches.

use std::iter::FusedIterator;

use bytes::Bytes;

use super::{Error, Header};

/// Splits whole batches that lie one behind the other. Only their headers are looked at.
pub fn batches(bytes: &Bytes) -> Batches {
    Batches { rest: bytes.clone() }
}

/// Whole batches, in order: slices of the bytes. After an error nothing follows.
#[derive(Debug, Clone)]
pub struct Batches {
    rest: Bytes,
}

impl Iterator for Batches {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if self.rest.is_empty() {
            return None;
        }
        let size = match Header::parse(&self.rest) {
            Ok(header) if header.size() <= self.rest.len() => header.size(),
            Ok(header) => {
                let bytes = std::mem::take(&mut self.rest).len();
                return Some(Err(Error::Length { claimed: header.size() as i64, bytes }));
            }
            Err(error) => {
                self.rest.clear();
                return Some(Err(error));
            }
        };
        Some(Ok(self.rest.split_to(size)))
    }
}

impl FusedIterator for Batches {}
