//! The cluster of one broker: what is told of it, and what is refused.

use caudal_proto::batch::Codec;
use caudal_proto::v1;
use caudal_proto::v1::cluster_service_client::ClusterServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::broker::{Broker, batch};

async fn cluster(running: &Broker) -> ClusterServiceClient<Channel> {
    ClusterServiceClient::new(running.channel().await)
}

/// The code and the reason of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), status.get_details_error_info().unwrap().reason)
}

fn moved(topic: &str, partition: i32, to: &[i32]) -> v1::MovePartitionRequest {
    v1::MovePartitionRequest { topic: topic.to_owned(), partition, to: to.to_vec(), validate_only: false }
}

#[tokio::test]
async fn a_broker_alone_is_its_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    running.clients().await.create("t", 3, &[]).await;
    let described = cluster(&running).await.describe_cluster(v1::DescribeClusterRequest {}).await.unwrap();
    let described = described.into_inner();
    assert_eq!((described.node_id, described.control_leader), (1, Some(1)));
    assert_eq!(described.cluster_id, running.ready.cluster);
    let [node] = &described.nodes[..] else { panic!("{:?}", described.nodes) };
    assert_eq!((node.node_id, node.address.as_str()), (1, running.ready.grpc.as_str()));
    assert_eq!((node.up, node.draining, node.removing), (true, false, false));
    assert_eq!((node.leaders, node.replicas), (3, 3));
}

#[tokio::test]
async fn partitions_are_told_with_their_replicas() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("a", 1, &[]).await;
    clients.create("b", 2, &[]).await;
    clients.produce("a", batch(&[b"0", b"1"], Codec::None)).await.unwrap();
    let mut cluster = cluster(&running).await;
    let mut list = async |topic: &str, internal| {
        let request = v1::ListPartitionsRequest { topic: topic.to_owned(), internal };
        cluster.list_partitions(request).await.map(|answer| answer.into_inner().partitions)
    };
    let all = list("", false).await.unwrap();
    let names: Vec<(&str, i32)> = all.iter().map(|state| (state.topic.as_str(), state.partition)).collect();
    assert_eq!(names, [("a", 0), ("b", 0), ("b", 1)]);
    assert_eq!((all[0].high_watermark, all[1].high_watermark), (2, 0));
    for state in &all {
        assert_eq!((state.leader_node, state.closed.as_str()), (Some(1), ""));
        assert_eq!(state.moving_to, []);
        let [replica] = &state.replicas[..] else { panic!("{state:?}") };
        assert_eq!((replica.node_id, replica.voter, replica.in_step), (1, true, true));
    }
    assert_eq!(list("b", false).await.unwrap(), all[1..]);
    let own = list("", true).await.unwrap();
    assert!(own.iter().any(|state| state.topic == "__control"), "{own:?}");
    let unknown = list("c", false).await.map(Response::new);
    assert_eq!(refused(unknown), (Code::NotFound, "UNKNOWN_TOPIC".to_owned()));
}

#[tokio::test]
async fn a_move_that_cannot_be_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    running.clients().await.create("t", 1, &[]).await;
    let mut cluster = cluster(&running).await;
    let cases = [
        (moved("t", 0, &[2]), Code::NotFound, "UNKNOWN_NODE"),
        (moved("t", 0, &[]), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (moved("t", 0, &[1, 2]), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (moved("t", 0, &[1, 1, 1]), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (moved("t", 0, &[1; 7]), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (moved("t", 0, &[1]), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (moved("t", 1, &[1]), Code::NotFound, "UNKNOWN_PARTITION"),
        (moved("t", -1, &[1]), Code::NotFound, "UNKNOWN_PARTITION"),
        (moved("u", 0, &[1]), Code::NotFound, "UNKNOWN_TOPIC"),
        (moved("", 0, &[1]), Code::NotFound, "UNKNOWN_TOPIC"),
        (moved("__control", 0, &[1]), Code::PermissionDenied, "INTERNAL_TOPIC"),
    ];
    for (request, code, reason) in cases {
        let answer = cluster.move_partition(request.clone()).await;
        assert_eq!(refused(answer), (code, reason.to_owned()), "{request:?}");
    }
    let cancel = v1::CancelMoveRequest { topic: "t".to_owned(), partition: 0 };
    let answer = cluster.cancel_move(cancel).await;
    assert_eq!(refused(answer), (Code::FailedPrecondition, "NO_MOVE".to_owned()));
    let list = v1::ListPartitionsRequest::default();
    let left = cluster.list_partitions(list).await.unwrap().into_inner().partitions;
    assert_eq!((left[0].replicas.len(), left[0].moving_to.len()), (1, 0));
}

#[tokio::test]
async fn leadership_goes_only_to_a_replica() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    running.clients().await.create("t", 1, &[]).await;
    let mut cluster = cluster(&running).await;
    let mut transfer = async |topic: &str, partition, node_id| {
        let topic = topic.to_owned();
        cluster.transfer_leader(v1::TransferLeaderRequest { topic, partition, node_id }).await
    };
    // It leads already: nothing is to be done.
    transfer("t", 0, 1).await.unwrap();
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned());
    assert_eq!(refused(transfer("t", 0, 9).await), invalid);
    assert_eq!(refused(transfer("t", 5, 1).await), (Code::NotFound, "UNKNOWN_PARTITION".to_owned()));
    assert_eq!(refused(transfer("u", 0, 1).await), (Code::NotFound, "UNKNOWN_TOPIC".to_owned()));
    assert_eq!(
        refused(transfer("__control", 0, 1).await),
        (Code::PermissionDenied, "INTERNAL_TOPIC".to_owned())
    );
}

#[tokio::test]
async fn the_last_broker_stays_and_may_be_drained() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let mut cluster = cluster(&running).await;
    for validate_only in [true, false] {
        let mut remove = async |node_id| {
            refused(cluster.remove_node(v1::RemoveNodeRequest { node_id, validate_only }).await)
        };
        assert_eq!(remove(1).await, (Code::FailedPrecondition, "CANNOT_REMOVE_NODE".to_owned()));
        assert_eq!(remove(2).await, (Code::NotFound, "UNKNOWN_NODE".to_owned()));
    }
    let unknown = cluster.drain_node(v1::DrainNodeRequest { node_id: 2, drain: true }).await;
    assert_eq!(refused(unknown), (Code::NotFound, "UNKNOWN_NODE".to_owned()));
    for drain in [true, true, false] {
        cluster.drain_node(v1::DrainNodeRequest { node_id: 1, drain }).await.unwrap();
        let described = cluster.describe_cluster(v1::DescribeClusterRequest {}).await.unwrap().into_inner();
        assert_eq!((described.nodes[0].draining, described.nodes[0].removing), (drain, false));
        // Where nobody else can lead, it goes on.
        clients.produce("t", batch(&[b"x"], Codec::None)).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_given_up_of_a_partition_that_is_well_or_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    running.clients().await.create("t", 1, &[]).await;
    let mut cluster = cluster(&running).await;
    let mut recover = async |topic: &str, partition, accept_loss| {
        let (topic, validate_only) = (topic.to_owned(), false);
        let request = v1::RecoverPartitionRequest { topic, partition, accept_loss, validate_only };
        refused(cluster.recover_partition(request).await)
    };
    assert_eq!(recover("t", 0, false).await, (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned()));
    assert_eq!(recover("t", 0, true).await, (Code::FailedPrecondition, "MAJORITY_INTACT".to_owned()));
    assert_eq!(recover("t", 7, true).await, (Code::NotFound, "UNKNOWN_PARTITION".to_owned()));
    assert_eq!(recover("u", 0, true).await, (Code::NotFound, "UNKNOWN_TOPIC".to_owned()));
    assert_eq!(recover("__control", 0, true).await, (Code::PermissionDenied, "INTERNAL_TOPIC".to_owned()));
}
