//! Stub.
use super::*;
pub(super) struct Entry {}
pub(super) struct Shared {}
impl Shared {
    pub(super) fn start(_c: Client, _p: ProducerConfig) -> Arc<Entry> { Arc::new(Entry {}) }
}
impl Entry {
    pub(super) fn try_send(&self, _r: &NewRecord<'_>) -> Result<Delivery, TrySendError> { Err(TrySendError::Failed(closed())) }
    pub(super) async fn send_slowly(&self, _r: &NewRecord<'_>) -> Result<Delivery, Error> { Err(closed()) }
    pub(super) async fn flush(&self) -> Result<(), Error> { Err(closed()) }
    pub(super) async fn close(&self) -> Result<(), Error> { Err(closed()) }
    pub(super) fn buffered_bytes(&self) -> usize { 0 }
}
