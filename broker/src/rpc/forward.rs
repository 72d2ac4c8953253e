//! Requests that another broker must decide: they are sent on to it, one hop, and its answer is the answer.
//!
//! Only what changes the cluster is sent on. Records never are: who has them is asked.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{ConnectError, Request, Response, Status, TimeoutExpired};

use super::status::status;
use super::{Door, convert};
use crate::ids::PartitionId;
use crate::limits::{FORWARD_CONNECT_MS, FORWARD_MS};
use crate::refusal::Refusal;

/// Marks a request that was sent on: it is not sent on again.
const FORWARDED: &str = "caudal-forwarded";

/// How long the caller waits, as gRPC says it.
const TIMEOUT: &str = "grpc-timeout";

/// What of a request's headers matters to who sends it on.
#[derive(Debug, Clone)]
pub struct Way {
    /// It was sent on already.
    forwarded: bool,
    /// How long its caller waits.
    timeout: Option<MetadataValue<Ascii>>,
}

impl Way {
    /// Of a request that came in.
    pub fn of<T>(request: &Request<T>) -> Way {
        let metadata = request.metadata();
        Way { forwarded: metadata.contains_key(FORWARDED), timeout: metadata.get(TIMEOUT).cloned() }
    }

    /// A request that is sent on: marked, and given up when its caller gives up.
    pub fn on<T>(self, message: T) -> Request<T> {
        let mut sent = Request::new(message);
        sent.metadata_mut().insert(FORWARDED, MetadataValue::from_static("1"));
        if let Some(timeout) = self.timeout {
            sent.metadata_mut().insert(TIMEOUT, timeout);
        }
        sent
    }
}

/// Connections to other brokers' gRPC listeners, by address.
#[derive(Debug, Default)]
pub struct Channels(Mutex<BTreeMap<String, Channel>>);

impl Channels {
    /// The connection to an address; made with the first request.
    fn to(&self, address: &str) -> Result<Channel, Refusal> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = known.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Refusal::Internal { why: format!("{address:?} is no address: {error}") })?
            .connect_timeout(Duration::from_millis(FORWARD_CONNECT_MS))
            .timeout(Duration::from_millis(FORWARD_MS));
        let channel = endpoint.connect_lazy();
        known.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

impl Door {
    /// Where a request to the control partition goes that this broker does not decide; `None` where it does.
    ///
    /// # Errors
    /// Nobody decides at the moment, or the request was sent on already.
    pub(super) fn control_elsewhere<T>(&self, request: &Request<T>) -> Result<Option<Channel>, Status> {
        if self.views.leads_control() {
            return Ok(None);
        }
        self.elsewhere(PartitionId::CONTROL, request)
    }

    /// Where a request to a partition's leader goes; `None` where this broker leads it.
    ///
    /// # Errors
    /// As [`Door::control_elsewhere`].
    pub(super) fn elsewhere<T>(
        &self,
        id: PartitionId,
        request: &Request<T>,
    ) -> Result<Option<Channel>, Status> {
        self.leader_elsewhere(id, &Way::of(request)).map_err(|refusal| status(&refusal))
    }

    /// As [`Door::elsewhere`], for one partition of a request that names several.
    ///
    /// # Errors
    /// `LeaderNotReady`: nobody leads it, or the request was sent on already.
    pub(super) fn leader_elsewhere(&self, id: PartitionId, way: &Way) -> Result<Option<Channel>, Refusal> {
        let (leader, _) = self.views.leader(id);
        if leader.is_some() && leader == self.views.node() {
            return Ok(None);
        }
        match convert::not_leader(&self.views, id) {
            Refusal::NotLeader { address: Some(address), .. } if !way.forwarded => {
                self.channels.to(&address).map(Some)
            }
            _ => Err(Refusal::LeaderNotReady),
        }
    }
}

/// The request as it is sent on.
pub(super) fn forwarded<T>(request: Request<T>) -> Request<T> {
    Way::of(&request).on(request.into_inner())
}

/// The answer to a request that was sent on. A broker that is not reached has done nothing, so the caller may ask
/// again; what one did that was lost in the middle is not known.
///
/// # Errors
/// What the other broker refuses; `LeaderNotReady`, `TimedOut` or `UnknownOutcome` where there is no answer.
pub(super) async fn answered<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    call.await.map_err(|error| match lost(&error) {
        Some(refusal) => status(&refusal),
        None => error,
    })
}

/// What it means that no answer came; `None` where one did.
fn lost(error: &Status) -> Option<Refusal> {
    // An answer of the other broker has no cause on this side.
    let mut cause = error.source();
    let mut refusal = None;
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return Some(Refusal::LeaderNotReady);
        }
        if error.is::<TimeoutExpired>() {
            return Some(Refusal::TimedOut);
        }
        refusal = Some(Refusal::UnknownOutcome);
        cause = error.source();
    }
    refusal
}

#[cfg(test)]
mod tests {
    use caudal_proto::v1;
    use caudal_proto::v1::topic_service_client::TopicServiceClient;
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn a_request_is_sent_on_marked_and_with_its_deadline() {
        let mut request = Request::new(());
        request.set_timeout(Duration::from_secs(7));
        let timeout = request.metadata().get(TIMEOUT).cloned();
        assert!(!Way::of(&request).forwarded);
        let sent = forwarded(request);
        assert!(timeout.is_some());
        assert_eq!(sent.metadata().get(TIMEOUT).cloned(), timeout);
        assert!(Way::of(&sent).forwarded);
        assert!(forwarded(Request::new(())).metadata().get(TIMEOUT).is_none());
    }

    async fn reason(address: &str, timeout: Duration) -> String {
        let channel = Channels::default().to(address).unwrap();
        let mut request = Request::new(v1::CreateTopicsRequest::default());
        request.set_timeout(timeout);
        let answer = answered(TopicServiceClient::new(channel).create_topics(forwarded(request))).await;
        answer.unwrap_err().get_details_error_info().unwrap().reason
    }

    #[tokio::test]
    async fn a_leader_that_gives_no_answer_is_told_by_what_may_have_been_done() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // Connections are made by the system, and nobody takes them.
        assert_eq!(reason(&address, Duration::from_millis(50)).await, "TIMED_OUT");
        drop(listener);
        assert_eq!(reason(&address, Duration::from_secs(20)).await, "LEADER_NOT_READY");
    }

    #[tokio::test]
    async fn a_refusal_of_the_leader_is_the_answer() {
        let refused = status(&Refusal::TransactionsUnsupported);
        let answer: Result<Response<()>, Status> = answered(async { Err(refused) }).await;
        let reason = answer.unwrap_err().get_details_error_info().unwrap().reason;
        assert_eq!(reason, "TRANSACTIONS_UNSUPPORTED");
    }
}
