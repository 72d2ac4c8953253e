//! The ways a batch's records may be compressed.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy, written in the framing of xerial's Java library; raw blocks are read as well.
    Snappy = 2,
    /// The LZ4 frame format, with independent blocks of 64 KiB.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

impl Codec {
    /// All codecs, by their number.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The name in configuration and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    pub(super) fn from_number(number: u8) -> Result<Codec, Error> {
        Codec::ALL.get(usize::from(number)).copied().ok_or(Error::UnknownCodec { codec: number })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no codec is named {0:?}: use none, gzip, snappy, lz4 or zstd")]
pub struct UnknownCodecName(
    /// The text.
    pub String,
);

impl FromStr for Codec {
    type Err = UnknownCodecName;

    fn from_str(text: &str) -> Result<Codec, UnknownCodecName> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.name() == text)
            .ok_or_else(|| UnknownCodecName(text.to_owned()))
    }
}
