//! In place of [`compression`](super::compression) where the codecs are not built: compressed batches are refused.

use super::{Codec, Error};

/// Refuses: nothing inflates here.
pub(super) fn inflate(codec: Codec, _records: &[u8], _max: usize) -> Result<Vec<u8>, Error> {
    Err(Error::CodecNotBuilt { codec })
}

/// Refuses: nothing is compressed here.
pub(super) fn deflate(codec: Codec, _batch: &[u8], _keep: usize) -> Result<Vec<u8>, Error> {
    Err(Error::CodecNotBuilt { codec })
}
