//! Requests that another broker must decide: they are sent on to it, one hop, and its answer is the answer.
//!
//! Only what changes the cluster is sent on. Records never are: who has them is asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::status::status;
use super::{Door, convert};
use crate::ids::PartitionId;
use crate::limits::{FORWARD_CONNECT_MS, FORWARD_MS};
use crate::refusal::Refusal;

/// Marks a request that was sent on: it is not sent on again.
const FORWARDED: &str = "caudal-forwarded";

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
        let (leader, _) = self.views.leader(id);
        if leader.is_some() && leader == self.views.node() {
            return Ok(None);
        }
        let again = || status(&Refusal::LeaderNotReady);
        if request.metadata().contains_key(FORWARDED) {
            return Err(again());
        }
        match convert::not_leader(&self.views, id) {
            Refusal::NotLeader { address: Some(address), .. } => {
                self.channels.to(&address).map(Some).map_err(|refusal| status(&refusal))
            }
            _ => Err(again()),
        }
    }
}

/// The request as it is sent on.
pub(super) fn forwarded<T>(request: Request<T>) -> Request<T> {
    let mut sent = Request::new(request.into_inner());
    sent.metadata_mut().insert(FORWARDED, MetadataValue::from_static("1"));
    sent
}
