//! Admin of a cluster: its brokers, where partitions are, and moving them.

use caudal_proto::v1 as wire;
use caudal_proto::v1::cluster_service_client::ClusterServiceClient;
use tonic::transport::Channel;

use crate::admin::Admin;
use crate::client::Repeat;
use crate::config::GRPC_MESSAGE_BYTES_MAX;
use crate::error::Error;

/// A cluster, as one of its brokers sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterState {
    /// Its id.
    pub cluster_id: String,
    /// The broker that leads the control partition, where there is one.
    pub control_leader: Option<i32>,
    /// The broker that answered.
    pub node_id: i32,
    /// Its brokers, by number.
    pub nodes: Vec<NodeState>,
}

/// A broker of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Its number.
    pub node_id: i32,
    /// HOST:PORT of its gRPC listener; empty until it has told.
    pub address: String,
    /// HOST:PORT of its peer listener.
    pub peer_address: String,
    /// Where its machine stands; empty where that is not set.
    pub rack: String,
    /// Whether it answers the broker that answered.
    pub up: bool,
    /// It gives its leaderships away and takes no new replicas.
    pub draining: bool,
    /// Its replicas go to others, and then it is taken out.
    pub removing: bool,
    /// Partitions that it leads.
    pub leaders: u32,
    /// Replicas that it has.
    pub replicas: u32,
}

/// A partition, and how its replicas stand by the newest word of its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// Its topic's name.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The broker that leads it, where one does.
    pub leader_node: Option<i32>,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// Its replicas; the first is the one that leads where nothing speaks against it.
    pub replicas: Vec<ReplicaState>,
    /// The first offset that readers may not see.
    pub high_watermark: i64,
    /// The brokers that its replicas move to; empty where it does not move.
    pub moving_to: Vec<i32>,
    /// Why it takes no writes on the broker that answered; empty where it does.
    pub closed: String,
}

/// A replica of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaState {
    /// The broker that has it.
    pub node_id: i32,
    /// Its id, never given twice.
    pub replica_id: u64,
    /// Whether it votes.
    pub voter: bool,
    /// Whether it lacks nothing that was committed a moment ago.
    pub in_step: bool,
}

/// What a recovery does, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The broker whose replica the partition goes on from.
    pub node_id: i32,
    /// That replica; `None` where no log is left, and the partition goes on empty.
    pub replica_id: Option<u64>,
    /// The first offset that stays.
    pub log_start: i64,
    /// The first offset that is lost.
    pub lost_from: i64,
    /// The offset behind the last record that is known to have been there.
    pub known_end: i64,
    /// The offset of the first new record.
    pub resume_at: i64,
    /// How the replicas stand, from which this was decided.
    pub replicas: Vec<ReplicaRemains>,
    /// The brokers that the replicas will be on.
    pub to: Vec<i32>,
}

/// What is left of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRemains {
    /// The broker that has it.
    pub node_id: i32,
    /// Its id.
    pub replica_id: u64,
    /// `whole`, `lost-end`, `lost-log`, `closed`, or `silent` where its broker does not answer.
    pub condition: String,
    /// The offset behind its last record, where that is known.
    pub next_offset: Option<i64>,
    /// Entries that were synced behind its last one, and are gone.
    pub missing_entries: u64,
}

fn cluster(channel: Channel) -> ClusterServiceClient<Channel> {
    ClusterServiceClient::new(channel).max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
}

impl Admin {
    /// The cluster and its brokers, as one of them sees it.
    ///
    /// # Errors
    /// The call failed.
    pub async fn cluster_state(&self) -> Result<ClusterState, Error> {
        let call = self.client().call(Repeat::Safe, |channel| async move {
            cluster(channel).describe_cluster(wire::DescribeClusterRequest {}).await
        });
        let answer = call.await?;
        let nodes = answer.nodes.into_iter().map(|node| NodeState {
            node_id: node.node_id,
            address: node.address,
            peer_address: node.peer_address,
            rack: node.rack,
            up: node.up,
            draining: node.draining,
            removing: node.removing,
            leaders: node.leaders,
            replicas: node.replicas,
        });
        Ok(ClusterState {
            cluster_id: answer.cluster_id,
            control_leader: answer.control_leader,
            node_id: answer.node_id,
            nodes: nodes.collect(),
        })
    }

    /// Where the partitions of one topic, or of all, are; with `internal` also the brokers' own.
    ///
    /// # Errors
    /// `NotFound`, or the call failed.
    pub async fn partition_states(
        &self,
        topic: Option<&str>,
        internal: bool,
    ) -> Result<Vec<PartitionState>, Error> {
        let request = wire::ListPartitionsRequest { topic: topic.unwrap_or_default().to_owned(), internal };
        let call = self.client().call(Repeat::Safe, |channel| {
            let request = request.clone();
            async move { cluster(channel).list_partitions(request).await }
        });
        Ok(call.await?.partitions.into_iter().map(state).collect())
    }

    /// Begins to move a partition's replicas to these brokers, the preferred leader first. With `validate_only`, says
    /// whether that can be.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`; `UnknownOutcome` when the broker was lost in the middle.
    pub async fn move_partition(
        &self,
        topic: &str,
        partition: i32,
        to: &[i32],
        validate_only: bool,
    ) -> Result<(), Error> {
        let request =
            wire::MovePartitionRequest { topic: topic.to_owned(), partition, to: to.to_vec(), validate_only };
        let repeat = if validate_only { Repeat::Safe } else { Repeat::OnlyIfRefused };
        let call = self.client().call(repeat, |channel| {
            let request = request.clone();
            async move { cluster(channel).move_partition(request).await }
        });
        call.await.map(drop)
    }

    /// The replicas of a partition that moves go back to where they were.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` where it does not move.
    pub async fn cancel_move(&self, topic: &str, partition: i32) -> Result<(), Error> {
        let request = wire::CancelMoveRequest { topic: topic.to_owned(), partition };
        let call = self.client().call(Repeat::Safe, |channel| {
            let request = request.clone();
            async move { cluster(channel).cancel_move(request).await }
        });
        call.await.map(drop)
    }

    /// Begins to hand a partition's leadership to a broker with a replica that is in step.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` where that replica cannot lead.
    pub async fn transfer_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), Error> {
        let request = wire::TransferLeaderRequest { topic: topic.to_owned(), partition, node_id: node };
        let call = self.client().call(Repeat::Safe, |channel| {
            let request = request.clone();
            async move { cluster(channel).transfer_leader(request).await }
        });
        call.await.map(drop)
    }

    /// A broker gives its leaderships away and takes no new replicas; with `drain` false it does so again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn drain_node(&self, node: i32, drain: bool) -> Result<(), Error> {
        let request = wire::DrainNodeRequest { node_id: node, drain };
        let call = self
            .client()
            .call(Repeat::Safe, |channel| async move { cluster(channel).drain_node(request).await });
        call.await.map(drop)
    }

    /// Lets a partition without an intact majority of replicas go on from the best of them that is left: what the others
    /// had beyond it is lost for good. With `validate_only`, says what that would mean.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` where a majority is intact; `UnknownOutcome` when the broker was lost in the middle.
    pub async fn recover_partition(
        &self,
        topic: &str,
        partition: i32,
        validate_only: bool,
    ) -> Result<Recovery, Error> {
        let topic = topic.to_owned();
        let request = wire::RecoverPartitionRequest { topic, partition, accept_loss: true, validate_only };
        let repeat = if validate_only { Repeat::Safe } else { Repeat::OnlyIfRefused };
        let call = self.client().call(repeat, |channel| {
            let request = request.clone();
            async move { cluster(channel).recover_partition(request).await }
        });
        call.await.map(recovery)
    }

    /// A broker's replicas go to others, and then it is taken out for ever. With `validate_only`, says whether that can
    /// be.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` where the others cannot do without it.
    pub async fn remove_node(&self, node: i32, validate_only: bool) -> Result<(), Error> {
        let request = wire::RemoveNodeRequest { node_id: node, validate_only };
        let call = self
            .client()
            .call(Repeat::Safe, |channel| async move { cluster(channel).remove_node(request).await });
        call.await.map(drop)
    }
}

fn recovery(recovery: wire::RecoverPartitionResponse) -> Recovery {
    let remains = |remains: wire::ReplicaRemains| ReplicaRemains {
        node_id: remains.node_id,
        replica_id: remains.replica_id,
        condition: remains.condition,
        next_offset: remains.next_offset,
        missing_entries: remains.missing_entries,
    };
    Recovery {
        node_id: recovery.node_id,
        replica_id: recovery.replica_id,
        log_start: recovery.log_start,
        lost_from: recovery.lost_from,
        known_end: recovery.known_end,
        resume_at: recovery.resume_at,
        replicas: recovery.replicas.into_iter().map(remains).collect(),
        to: recovery.to,
    }
}

fn state(state: wire::PartitionState) -> PartitionState {
    let replicas = state.replicas.into_iter().map(|replica| ReplicaState {
        node_id: replica.node_id,
        replica_id: replica.replica_id,
        voter: replica.voter,
        in_step: replica.in_step,
    });
    PartitionState {
        topic: state.topic,
        partition: state.partition,
        leader_node: state.leader_node,
        leader_epoch: state.leader_epoch,
        replicas: replicas.collect(),
        high_watermark: state.high_watermark,
        moving_to: state.moving_to,
        closed: state.closed,
    }
}
