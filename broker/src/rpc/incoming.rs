//! What clients have sent in part: messages that have begun to come and are not whole yet.
//!
//! A gRPC message is gathered in memory until it is whole, and one client can begin as many as it has streams. The
//! bytes of all of them are counted for each shard; where they pass [`limits::INCOMPLETE_BYTES_MAX`] the request that
//! brings more is refused. A message that stops coming ends its connection, like a response that is not taken.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::status::status;
use crate::limits;
use crate::refusal::Refusal;
use crate::runtime::meters::ShardMeter;
use crate::runtime::stalls::Progress;

/// The bytes before a gRPC message: a flag, and the message's length.
const PREFIX_BYTES: usize = 5;

/// The requests of one shard, and what they have sent in part.
#[derive(Debug)]
pub struct Incoming {
    meter: Arc<ShardMeter>,
}

/// One request of the shard, counted while it lives.
#[derive(Debug)]
pub struct Counted(Arc<Incoming>);

impl Incoming {
    /// Counted by the meter of the shard.
    pub fn new(meter: Arc<ShardMeter>) -> Incoming {
        Incoming { meter }
    }

    fn requests(&self) -> &AtomicUsize {
        &self.meter.open_requests
    }

    fn bytes(&self) -> &AtomicUsize {
        &self.meter.partial_bytes
    }

    /// Counts a request, if there may be another one.
    pub fn admit(self: &Arc<Self>) -> Option<Counted> {
        let counted = Counted(Arc::clone(self));
        let before = self.requests().fetch_add(1, Ordering::Relaxed);
        (before < limits::REQUESTS_PER_SHARD_MAX).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.requests().fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a request's bytes stand between two messages.
#[derive(Debug, Default)]
struct Framing {
    prefix: [u8; PREFIX_BYTES],
    prefixed: usize,
    /// Bytes of the message that have not come.
    missing: usize,
    /// Bytes that have come of what is not whole.
    partial: usize,
}

impl Framing {
    fn feed(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let wanted = if self.missing > 0 { self.missing } else { PREFIX_BYTES - self.prefixed };
            let (some, rest) = data.split_at(wanted.min(data.len()));
            data = rest;
            self.partial += some.len();
            if self.missing > 0 {
                self.missing -= some.len();
            } else {
                self.prefix[self.prefixed..][..some.len()].copy_from_slice(some);
                self.prefixed += some.len();
                if self.prefixed < PREFIX_BYTES {
                    continue;
                }
                let [_, length @ ..] = self.prefix;
                (self.prefixed, self.missing) = (0, u32::from_be_bytes(length) as usize);
            }
            if self.missing == 0 {
                self.partial = 0;
            }
        }
    }
}

/// A request's body, measured on its way in.
pub struct Measured {
    body: Body,
    framing: Framing,
    request: Counted,
    progress: Arc<Progress>,
}

impl Measured {
    /// Measures the body of an admitted request; `progress` is watched for messages that stop coming.
    pub fn new(body: Body, request: Counted, progress: Arc<Progress>) -> Measured {
        Measured { body, framing: Framing::default(), request, progress }
    }

    /// Counts what came. Whether the shard has room for it.
    fn count(&mut self, data: &Bytes) -> bool {
        let before = self.framing.partial;
        self.framing.feed(data);
        let bytes = self.request.0.bytes();
        bytes.fetch_sub(before, Ordering::Relaxed);
        let others = bytes.fetch_add(self.framing.partial, Ordering::Relaxed);
        self.framing.partial == 0 || others + self.framing.partial <= limits::INCOMPLETE_BYTES_MAX
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.request.0.bytes().fetch_sub(self.framing.partial, Ordering::Relaxed);
    }
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_pending() {
            if this.framing.partial > 0 {
                this.progress.expects();
            }
            return frame;
        }
        // What follows is for this broker to do: the client is not late.
        this.progress.asked(Waker::noop());
        if let Poll::Ready(Some(Ok(came))) = &frame
            && let Some(data) = came.data_ref()
            && !this.count(data)
        {
            let refusal = Refusal::Throttled { limit: "the memory for messages that are not whole yet" };
            return Poll::Ready(Some(Err(status(&refusal))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::stalls::Stalls;

    fn incoming() -> Arc<Incoming> {
        Arc::new(Incoming::new(Arc::new(ShardMeter::new(&[]))))
    }

    fn partial_after(pieces: &[&[u8]]) -> usize {
        let mut framing = Framing::default();
        pieces.iter().for_each(|piece| framing.feed(piece));
        framing.partial
    }

    #[test]
    fn only_what_is_not_whole_counts_however_it_is_cut() {
        let two: &[u8] = &[0, 0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 0];
        assert_eq!(partial_after(&[two]), 0);
        for at in 0..two.len() {
            assert_eq!(partial_after(&[&two[..at], &two[at..]]), 0, "{at}");
        }
        assert_eq!(partial_after(&[&two[..3]]), 3);
        assert_eq!(partial_after(&[&two[..6]]), 6);
        assert_eq!(partial_after(&[&two[..7]]), 0);
        assert_eq!(partial_after(&[&two[..8]]), 1);
    }

    #[test]
    fn a_shard_takes_so_much_and_gives_it_back() {
        let (incoming, stalls) = (incoming(), Stalls::default());
        let measured = || {
            let progress = stalls.watch(Arc::default(), Arc::default());
            Measured::new(Body::empty(), incoming.admit().unwrap(), progress)
        };
        let (mut first, mut second) = (measured(), measured());
        let begun = |bytes: usize| {
            let mut message = vec![0; PREFIX_BYTES + bytes];
            message[1..PREFIX_BYTES].copy_from_slice(&u32::MAX.to_be_bytes());
            Bytes::from(message)
        };
        let half = limits::INCOMPLETE_BYTES_MAX / 2;
        assert!(first.count(&begun(half)));
        assert!(!second.count(&begun(half)));
        drop(first);
        assert!(second.count(&Bytes::from_static(&[0; 10])));
        drop(second);
        assert_eq!(incoming.bytes().load(Ordering::Relaxed), 0);
        assert_eq!(incoming.requests().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_shard_has_so_many_requests() {
        let incoming = incoming();
        let all: Vec<_> = (0..limits::REQUESTS_PER_SHARD_MAX).map(|_| incoming.admit().unwrap()).collect();
        assert!(incoming.admit().is_none());
        drop(all);
        assert!(incoming.admit().is_some());
    }
}
