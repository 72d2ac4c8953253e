//! The headers of one record.

use std::fmt;

use bytes::Bytes;

use super::layout::{self, RawHeaders};

/// The headers of a record, in order; a key may repeat. They lie in the batch's bytes and take no memory.
#[derive(Clone, Default)]
pub struct Headers {
    count: u32,
    bytes: Bytes,
}

impl Headers {
    pub(super) fn new(headers: RawHeaders<'_>, within: &Bytes) -> Headers {
        Headers { count: headers.count, bytes: within.slice_ref(headers.bytes) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Their keys and values, in order. A key is UTF-8 by the format; that it is, is not checked.
    pub fn iter(&self) -> HeadersIter<'_> {
        HeadersIter { within: &self.bytes, rest: &self.bytes, left: self.count }
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = (Bytes, Option<Bytes>);
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Headers) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The keys and values of a record's headers, in order: slices of the batch's bytes.
#[derive(Debug, Clone)]
pub struct HeadersIter<'a> {
    within: &'a Bytes,
    rest: &'a [u8],
    left: u32,
}

impl Iterator for HeadersIter<'_> {
    type Item = (Bytes, Option<Bytes>);

    fn next(&mut self) -> Option<(Bytes, Option<Bytes>)> {
        self.left = self.left.checked_sub(1)?;
        let (key, value) = layout::take_header(&mut self.rest).ok()?;
        Some((self.within.slice_ref(key), value.map(|value| self.within.slice_ref(value))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}
