//! What the door counts: requests by method and outcome, producers' batches, and what consumers were handed.

use bytes::Bytes;
use caudal_proto::batch::Header;
use caudal_proto::v1::Reason;
use tonic::Status;
use tonic_types::StatusExt;

use super::Door;
use super::status::reason;
use crate::node::Receipt;
use crate::refusal::Refusal;
use crate::runtime::meters::requests::{OK, OTHER};
use crate::runtime::partition_view::PartitionView;

/// The methods that are counted, in the order of their paths; the last is for all others.
pub const METHODS: &[&str] = &[
    "CancelMove",
    "DescribeCluster",
    "DrainNode",
    "ListPartitions",
    "MovePartition",
    "RecoverPartition",
    "RemoveNode",
    "TransferLeader",
    "Fetch",
    "FetchStream",
    "ListOffsets",
    "GetMetadata",
    "InitProducer",
    "Produce",
    "ProduceStream",
    "AddPartitions",
    "AlterTopics",
    "CreateTopics",
    "DeleteTopics",
    "DescribeTopics",
    "ListTopics",
    "TrimTopic",
    "unknown",
];

/// The methods whose answers are streams: how long their first answer takes says nothing.
const STREAMS: &[&str] = &["FetchStream", "ProduceStream"];

/// The place of the method that a path of the services calls.
pub fn method(path: &str) -> usize {
    let name = path.rsplit('/').next().unwrap_or_default();
    METHODS.iter().position(|method| *method == name).unwrap_or(METHODS.len() - 1)
}

/// Whether a method's answer is a stream.
pub fn is_stream(method: usize) -> bool {
    METHODS.get(method).is_some_and(|name| STREAMS.contains(name))
}

/// What became of a request, by its gRPC status; `None` where it went well.
pub fn outcome(status: Option<&Status>) -> usize {
    let Some(status) = status else { return OK };
    let named = status.get_details_error_info().and_then(|info| Reason::from_str_name(&info.reason));
    named.map_or(OTHER, number)
}

/// What became of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    outcome: usize,
    /// Records that were written, this time.
    records: u64,
}

impl Ending {
    /// By its answer.
    pub fn of(outcome: &Result<Receipt, Refusal>) -> Ending {
        match outcome {
            Ok(receipt) if receipt.duplicate => Ending { outcome: OK, records: 0 },
            Ok(receipt) => {
                let records = receipt.last_offset.0 - receipt.base_offset.0 + 1;
                Ending { outcome: OK, records: u64::try_from(records).unwrap_or(0) }
            }
            Err(refusal) => Ending::refused(refusal),
        }
    }

    /// Of a batch that was not written, or may not have been.
    pub fn refused(refusal: &Refusal) -> Ending {
        Ending { outcome: number(reason(refusal)), records: 0 }
    }

    /// Of a batch that is taken and of which nothing more will be heard.
    pub fn taken(records: u64) -> Ending {
        Ending { outcome: OK, records }
    }
}

impl Door {
    /// A batch of `bytes` has come to its end; `view` is its partition's, where there is one.
    pub fn note_batch(&self, view: Option<&PartitionView>, bytes: u64, ending: Ending) {
        self.meter.batches.count(ending.outcome);
        if let Some(view) = view.filter(|_| ending.records > 0) {
            view.traffic.produced(ending.records, bytes);
        }
    }

    /// Batches of a partition are handed to a consumer.
    pub fn note_fetched(&self, view: &PartitionView, batches: &[Bytes]) {
        let records = batches.iter().filter_map(|batch| Header::parse(batch).ok());
        let records = records.map(|header| u64::try_from(header.count).unwrap_or(0)).sum();
        view.traffic.fetched(records, batches.iter().map(|batch| batch.len() as u64).sum());
    }
}

fn number(reason: Reason) -> usize {
    usize::try_from(reason as i32).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::super::status::status;
    use super::*;
    use crate::runtime::meters::requests::OUTCOMES;

    /// The method names of a compiled schema: what is in it between `/` of no path, but a name of a method descriptor.
    #[derive(Message)]
    struct Files {
        #[prost(message, repeated, tag = "1")]
        file: Vec<File>,
    }

    #[derive(Message)]
    struct File {
        #[prost(string, tag = "2")]
        package: String,
        #[prost(message, repeated, tag = "6")]
        service: Vec<ServiceOf>,
    }

    #[derive(Message)]
    struct ServiceOf {
        #[prost(message, repeated, tag = "2")]
        method: Vec<MethodOf>,
    }

    #[derive(Message)]
    struct MethodOf {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(bool, tag = "6")]
        server_streaming: bool,
    }

    #[test]
    fn every_method_of_the_services_is_counted() {
        let files = Files::decode(caudal_proto::DESCRIPTORS).unwrap();
        let methods: Vec<MethodOf> = files
            .file
            .into_iter()
            .filter(|file| file.package == "caudal.v1")
            .flat_map(|file| file.service)
            .flat_map(|service| service.method)
            .collect();
        let known: BTreeSet<&str> = METHODS[..METHODS.len() - 1].iter().copied().collect();
        assert_eq!(methods.iter().map(|method| method.name.as_str()).collect::<BTreeSet<_>>(), known);
        assert_eq!(known.len() + 1, METHODS.len(), "no name twice");
        for described in methods {
            let place = method(&format!("/caudal.v1.AnyService/{}", described.name));
            assert_eq!(METHODS[place], described.name);
            assert_eq!(is_stream(place), described.server_streaming, "{}", described.name);
        }
        assert_eq!(METHODS[method("/caudal.v1.FetchService/Guess")], "unknown");
    }

    #[test]
    fn an_outcome_is_the_number_of_its_reason() {
        assert_eq!(outcome(None), OK);
        assert_eq!(outcome(Some(&status(&Refusal::LeaderNotReady))), Reason::LeaderNotReady as usize);
        assert_eq!(outcome(Some(&Status::unimplemented("no such method"))), OTHER);
        let refused = Ending::of(&Err(Refusal::ShuttingDown));
        assert_eq!((refused.outcome, refused.records), (Reason::ShuttingDown as usize, 0));
    }

    #[test]
    fn every_reason_has_a_place() {
        let numbers = (0..10_000).filter(|number| Reason::try_from(*number).is_ok());
        assert!(numbers.max().unwrap() < OTHER as i32 && OTHER < OUTCOMES);
    }
}
