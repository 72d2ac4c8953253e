//! Stub.
use super::*;
pub(super) struct Handle {}
fn no() -> Error { Error::new(crate::ErrorKind::Closed, "stub") }
impl Handle {
    pub(super) fn start(_c: Client, _p: ConsumerConfig) -> Handle { Handle {} }
    pub(super) async fn assign(&self, _t: &str, _p: i32, _s: Start, _e: Option<i64>) -> Result<i64, Error> { Err(no()) }
    pub(super) async fn unassign(&self, _t: &str, _p: i32) -> Result<(), Error> { Err(no()) }
    pub(super) async fn seek(&self, _t: &str, _p: i32, _s: Start) -> Result<i64, Error> { Err(no()) }
    pub(super) async fn pause(&self, _t: &str, _p: i32) -> Result<(), Error> { Err(no()) }
    pub(super) async fn resume(&self, _t: &str, _p: i32) -> Result<(), Error> { Err(no()) }
    pub(super) fn poll_batch(&mut self, _c: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>, Error>> { Poll::Ready(Err(no())) }
    pub(super) fn position(&self, _t: &str, _p: i32) -> Option<i64> { None }
    pub(super) fn tail(&self, _t: &str, _p: i32) -> Option<Tail> { None }
    pub(super) fn assignment(&self) -> Vec<(Arc<str>, i32)> { Vec::new() }
}
