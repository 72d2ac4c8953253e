//! Frames: a length (u32, big-endian) and one protobuf message.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec, LengthDelimitedCodecError};

/// What is read at once while frames are small.
const READ_BYTES: usize = 64 * 1024;

/// A write buffer that has grown beyond this is given back after use.
const WRITE_BYTES_KEPT: usize = 1024 * 1024;

/// The incoming frames of a connection.
pub(super) type Frames = FramedRead<TcpStream, LengthDelimitedCodec>;

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The other end closed the connection between two frames.
    #[error("the connection was closed")]
    End,
    /// A length beyond the limit: no memory was taken for it.
    #[error("a frame is longer than {max} bytes, or these are not frames")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The bytes are no message.
    #[error("a frame is not what it should be: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The connection failed, or ended within a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads frames of at most `max` bytes off `stream`.
pub(super) fn frames(stream: TcpStream, max: usize) -> Frames {
    let codec = LengthDelimitedCodec::builder().max_frame_length(max).new_codec();
    FramedRead::with_capacity(stream, codec, READ_BYTES)
}

/// The next frame's bytes.
pub(super) async fn next(frames: &mut Frames) -> Result<Bytes, FrameError> {
    match frames.next().await {
        None => Err(FrameError::End),
        Some(Ok(frame)) => Ok(frame.freeze()),
        Some(Err(error)) if error.get_ref().is_some_and(|why| why.is::<LengthDelimitedCodecError>()) => {
            Err(FrameError::TooLong { max: frames.decoder().max_frame_length() })
        }
        Some(Err(error)) => Err(error.into()),
    }
}

/// The next frame as a small message, whose decoded size is of the order of its bytes.
pub(super) async fn next_message<M: Message + Default>(frames: &mut Frames) -> Result<M, FrameError> {
    Ok(M::decode(next(frames).await?)?)
}

/// Writes one frame. `buffer` is scratch space.
pub(super) async fn write<M: Message>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
    buffer: &mut BytesMut,
) -> io::Result<()> {
    buffer.clear();
    let length = message.encoded_len();
    buffer.reserve(size_of::<u32>() + length);
    buffer.put_u32(u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?);
    message.encode(buffer).map_err(io::Error::other)?;
    while buffer.has_remaining() {
        stream.write_buf(buffer).await?;
    }
    if buffer.capacity() > WRITE_BYTES_KEPT {
        *buffer = BytesMut::new();
    }
    Ok(())
}
