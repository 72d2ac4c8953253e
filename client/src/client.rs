//! A cluster as a client knows it: addresses, control connections, and calls that any broker answers.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caudal_proto::v1::metadata_service_client::MetadataServiceClient;
use caudal_proto::v1::{BrokerMetadata, GetMetadataRequest, GetMetadataResponse, TopicRef};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::admin::Admin;
use crate::clock;
use crate::config::{ClientConfig, GRPC_MESSAGE_BYTES_MAX, METADATA_PATIENCE};
use crate::connection;
use crate::consumer::ConsumerBuilder;
use crate::error::{Error, ErrorKind};
use crate::producer::ProducerBuilder;
use crate::retry;

/// A cluster. Cheap to clone; clones share their control connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    config: ClientConfig,
    known: Mutex<Known>,
}

/// What was learned of the cluster.
#[derive(Default)]
struct Known {
    /// Open control connections by address.
    channels: BTreeMap<String, Channel>,
    /// Addresses that brokers told of.
    learned: Vec<String>,
    /// The address that answered last: asked first.
    preferred: Option<String>,
    /// Addresses that were silent or knew too little, the newest last: asked after all others.
    doubted: Vec<String>,
}

impl Known {
    fn doubt(&mut self, address: &str) {
        self.doubted.retain(|doubted| doubted != address);
        self.doubted.push(address.to_owned());
        self.preferred.take_if(|preferred| preferred == address);
    }

    fn answered(&mut self, address: &str) {
        self.doubted.retain(|doubted| doubted != address);
        self.preferred = Some(address.to_owned());
    }

    /// Every address to try, the likeliest first.
    fn in_order(&self, given: &[String]) -> Vec<String> {
        let trusted = |address: &&String| !self.doubted.contains(address);
        let all = || self.preferred.iter().chain(given).chain(&self.learned);
        let doubted = self.doubted.iter().filter(|address| all().any(|known| known == *address));
        let mut addresses: Vec<String> = Vec::new();
        for address in all().filter(trusted).chain(doubted) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("brokers", &self.0.config.brokers).finish_non_exhaustive()
    }
}

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It reads, or its second effect is none.
    Safe,
    /// As `Safe`, and any broker answers at once, so that a silent one is passed by soon.
    AtOnce,
    /// Only when the first attempt surely had no effect.
    OnlyIfRefused,
}

impl Client {
    /// Connects to a cluster through any of these brokers: `HOST:PORT`, several separated by commas.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no address, [`ErrorKind::Unreachable`] when none answers.
    pub async fn connect(brokers: &str) -> Result<Client, Error> {
        Client::with_config(ClientConfig::new(brokers)).await
    }

    /// Connects to a cluster.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn with_config(config: ClientConfig) -> Result<Client, Error> {
        config.check()?;
        let client = Client(Arc::new(Inner { config, known: Mutex::default() }));
        client.get_metadata(Vec::new()).await?;
        Ok(client)
    }

    /// A producer: set what differs from the defaults, then `build`.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.clone())
    }

    /// A consumer: set what differs from the defaults, then `build`.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.clone())
    }

    /// Topics, partitions, offsets, brokers.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// What this client was built with.
    pub fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    /// Brokers and who leads what, from any broker; learns the brokers' addresses.
    pub(crate) async fn get_metadata(&self, topics: Vec<TopicRef>) -> Result<GetMetadataResponse, Error> {
        let request = GetMetadataRequest { topics };
        let response = self
            .call(Repeat::AtOnce, |channel| {
                let request = request.clone();
                async move {
                    MetadataServiceClient::new(channel)
                        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
                        .get_metadata(request)
                        .await
                }
            })
            .await?;
        self.learn(&response.brokers);
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        if partitions.any(|partition| partition.leader_node.is_none()) {
            // It may be cut off from those who know.
            let mut known = self.known();
            if let Some(answered) = known.preferred.clone() {
                known.doubt(&answered);
            }
        }
        Ok(response)
    }

    /// Something speaks against the broker at an address: others are asked before it.
    pub(crate) fn doubt(&self, address: &str) {
        self.known().doubt(address);
    }

    fn learn(&self, brokers: &[BrokerMetadata]) {
        let mut known = self.known();
        known.learned =
            brokers.iter().map(|b| b.address.clone()).filter(|address| !address.is_empty()).collect();
        let keep: Vec<String> = self.addresses(&known);
        known.channels.retain(|address, _| keep.contains(address));
    }

    /// Makes a call that any broker answers: at each in turn until one is reached, and again while brokers
    /// answer *try later*, within the request timeout.
    pub(crate) async fn call<T, F, Fut>(&self, repeat: Repeat, attempt: F) -> Result<T, Error>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = clock::now() + self.0.config.request_timeout;
        let mut round = 0;
        loop {
            let error = match self.call_once(repeat, round, deadline, &attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or(Duration::ZERO);
            let wait = wait.max(retry::backoff(round, clock::random()));
            let again = error.kind() == ErrorKind::Busy && error.is_retriable()
                || repeat == Repeat::AtOnce && is_late(&error);
            if !again || clock::now() + wait >= deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            round += 1;
        }
    }

    /// One round over the addresses.
    async fn call_once<T, F, Fut>(
        &self,
        repeat: Repeat,
        round: u32,
        deadline: Instant,
        attempt: &F,
    ) -> Result<T, Error>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let addresses = self.addresses(&self.known());
        let mut last = Error::new(ErrorKind::Unreachable, "no broker is known");
        for (tried, address) in addresses.iter().enumerate() {
            // The time left is shared by the addresses left: a silent one must not take all of it.
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let fair = deadline.saturating_duration_since(clock::now()) / left;
            let share = match repeat {
                Repeat::AtOnce if addresses.len() > 1 => {
                    fair.min(METADATA_PATIENCE.saturating_mul(1 << round.min(16)))
                }
                _ => fair,
            };
            let silent =
                || Error::new(ErrorKind::TimedOut, format!("{address} gave no answer within {share:.1?}"));
            let until = clock::now() + share;
            let channel = match tokio::time::timeout_at(until.into(), self.channel(address)).await {
                Ok(Ok(channel)) => channel,
                Ok(Err(error)) => {
                    last = error;
                    continue;
                }
                Err(_) => {
                    self.doubt(address);
                    last = silent();
                    continue;
                }
            };
            let (error, sent) = match tokio::time::timeout_at(until.into(), attempt(channel)).await {
                Ok(Ok(answer)) => {
                    self.known().answered(address);
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => {
                    let sent = !connection::was_not_sent(&status);
                    (Error::status(address, status), sent)
                }
                Err(_) => (silent(), true),
            };
            let lost = error.kind() == ErrorKind::Unreachable || error.reason().is_none() && is_late(&error);
            if !lost {
                return Err(error);
            }
            self.lost(address);
            if sent && repeat == Repeat::OnlyIfRefused {
                return Err(error.of_kind(ErrorKind::UnknownOutcome));
            }
            last = error;
        }
        match addresses.len() {
            0 | 1 => Err(last),
            _ => {
                let kind = if is_late(&last) { ErrorKind::TimedOut } else { ErrorKind::Unreachable };
                let message = format!("none of {} is reached; the last: {last}", addresses.join(", "));
                Err(Error::new(kind, message).caused_by(last))
            }
        }
    }

    fn lost(&self, address: &str) {
        let mut known = self.known();
        known.channels.remove(address);
        known.doubt(address);
    }

    /// The control connection to an address, opened if there is none.
    pub(crate) async fn channel(&self, address: &str) -> Result<Channel, Error> {
        if let Some(channel) = self.known().channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = connection::connect(&self.0.config, address).await?;
        self.known().channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Every address to try, the likeliest first.
    fn addresses(&self, known: &Known) -> Vec<String> {
        known.in_order(&self.0.config.brokers)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_late(error: &Error) -> bool {
    error.kind() == ErrorKind::TimedOut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(known: &Known) -> Vec<String> {
        known.in_order(&["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn who_is_doubted_is_asked_last_until_it_answers() {
        let mut known = Known { learned: vec!["b".to_owned(), "c".to_owned()], ..Known::default() };
        known.answered("c");
        assert_eq!(names(&known), ["c", "a", "b"]);
        known.doubt("c");
        assert_eq!(names(&known), ["a", "b", "c"]);
        known.doubt("a");
        known.doubt("b");
        assert_eq!(names(&known), ["c", "a", "b"], "of those in doubt the one longest so comes first");
        known.answered("a");
        assert_eq!(names(&known), ["a", "c", "b"]);
        known.doubt("gone");
        assert!(!names(&known).contains(&"gone".to_owned()), "an address that nobody names any more");
    }
}
