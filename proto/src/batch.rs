//! The record batch: Kafka's format v2, as it rests on disk, travels to followers and goes to readers.
//!
//! A batch is a header of [`HEADER_BYTES`], then the records, compressed as a whole or not at all. All numbers
//! are big-endian, the fields of a record are zig-zag varints. The CRC32C covers everything from the attributes
//! on, so the base offset and the leader epoch are [stamped](stamp) without touching it.
//!
//! * [`Builder`] makes a batch, [`check`] is what a broker demands of one, [`records`] reads one,
//!   [`batches`] splits a run of them.
//! * Nothing here panics, and nothing takes memory for a size before that size is known to be true.
//!
//! ```
//! use caudal_proto::batch::{Builder, Codec, check, records};
//!
//! let mut builder = Builder::new();
//! builder.push(1_700_000_000_000, Some(b"key"), Some(b"value"), [("trace", Some(&b"1"[..]))])?;
//! builder.push(1_700_000_000_001, None, None, [])?;
//! let batch = builder.finish(Codec::None, None)?;
//! assert_eq!(check(&batch)?.count, 2);
//! let values: Vec<_> = records(&batch, 1 << 20)?.map(|record| Ok(record?.value)).collect::<Result<_, _>>()?;
//! assert_eq!(values, [Some("value".into()), None]);
//! # Ok::<(), caudal_proto::batch::Error>(())
//! ```

mod builder;
mod check;
mod codec;
mod error;
mod header;
mod headers;
mod layout;
mod records;
mod split;
mod varint;

#[cfg(feature = "codecs")]
mod compression;
#[cfg(not(feature = "codecs"))]
#[path = "batch/uncompressed.rs"]
mod compression;
#[cfg(feature = "codecs")]
mod snappy;

pub use builder::{Builder, Producer};
pub use check::{check, stamp};
pub use codec::{Codec, UnknownCodecName};
pub use error::{Error, Lie};
pub use header::{HEADER_BYTES, Header, STAMP_BYTES};
pub use headers::{Headers, HeadersIter};
pub use records::{Record, Records, records};
pub use split::{Batches, batches};

#[cfg(test)]
mod tests;
