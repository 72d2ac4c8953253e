//! `ClusterService`: brokers, where partitions are, and moving them.

use caudal_proto::peer::PartitionStatus;
use caudal_proto::v1;
use caudal_proto::v1::cluster_service_client::ClusterServiceClient;
use caudal_proto::v1::cluster_service_server::ClusterService;
use tonic::{Request, Response, Status};

use super::forward::{answered, forwarded};
use super::status::status;
use super::{Door, convert, mismatched_reply};
use crate::ids::{NodeId, PartitionId, ReplicaId};
use crate::refusal::Refusal;
use crate::state::{
    Condition, Member, PartitionPlacement, Recovery, Reply, Request as ControlRequest, Survivor, Topic,
};

/// The service, on one shard's connections.
pub struct Cluster {
    /// The broker behind it.
    pub door: Door,
}

impl Cluster {
    /// Asks the control partition for what is done or refused.
    async fn decide(&self, request: ControlRequest) -> Result<(), Status> {
        let decided = match self.door.handle.control(request).await {
            Ok(Reply::Done(done)) => done,
            Ok(_) => Err(mismatched_reply()),
            Err(refusal) => Err(refusal),
        };
        decided.map_err(|refusal| status(&refusal))
    }

    /// Refuses to give anything up of a partition that this broker leads.
    fn check_leaderless(&self, topic: &str, partition: i32) -> Result<(), Refusal> {
        let name = v1::TopicRef { topic: Some(v1::topic_ref::Topic::Name(topic.to_owned())) };
        let view = convert::locate(&self.door.views, Some(&name), Some(partition));
        if view.is_ok_and(|view| view.standing().ready) {
            let (partition, why) = (format!("{topic}:{partition}"), "this broker leads it".to_owned());
            return Err(Refusal::MajorityIntact { partition, why });
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    async fn describe_cluster(
        &self,
        _: Request<v1::DescribeClusterRequest>,
    ) -> Result<Response<v1::DescribeClusterResponse>, Status> {
        let (door, catalog) = (&self.door, self.door.views.catalog());
        let nodes = catalog.members().map(|member| node(door, member)).collect();
        let (leader, _) = door.views.leader(PartitionId::CONTROL);
        Ok(Response::new(v1::DescribeClusterResponse {
            cluster_id: door.about.cluster.clone(),
            control_leader: leader.map(|node| node.0),
            node_id: door.node(),
            nodes,
        }))
    }

    async fn list_partitions(
        &self,
        request: Request<v1::ListPartitionsRequest>,
    ) -> Result<Response<v1::ListPartitionsResponse>, Status> {
        let v1::ListPartitionsRequest { topic, internal } = request.into_inner();
        let (door, catalog) = (&self.door, self.door.views.catalog());
        if !topic.is_empty() && catalog.topic(&topic).is_none() {
            return Err(status(&convert::unknown_topic(&door.views, &topic)));
        }
        let named = |known: &&std::sync::Arc<Topic>| match topic.is_empty() {
            true => internal || !known.internal,
            false => *known.name == *topic,
        };
        let states = catalog.topics().filter(named).flat_map(|topic| {
            topic
                .placements()
                .map(|(id, placement)| partition(door, topic, id, placement))
                .collect::<Vec<_>>()
        });
        Ok(Response::new(v1::ListPartitionsResponse { partitions: states.collect() }))
    }

    async fn move_partition(
        &self,
        request: Request<v1::MovePartitionRequest>,
    ) -> Result<Response<v1::MovePartitionResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(ClusterServiceClient::new(leader).move_partition(forwarded(request))).await;
        }
        let v1::MovePartitionRequest { topic, partition, to, validate_only } = request.into_inner();
        let to = to.into_iter().map(NodeId).collect();
        self.decide(ControlRequest::MovePartition { topic, partition, to, validate_only }).await?;
        Ok(Response::new(v1::MovePartitionResponse {}))
    }

    async fn cancel_move(
        &self,
        request: Request<v1::CancelMoveRequest>,
    ) -> Result<Response<v1::CancelMoveResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(ClusterServiceClient::new(leader).cancel_move(forwarded(request))).await;
        }
        let v1::CancelMoveRequest { topic, partition } = request.into_inner();
        self.decide(ControlRequest::CancelMove { topic, partition }).await?;
        Ok(Response::new(v1::CancelMoveResponse {}))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        let asked = request.get_ref();
        let name = v1::TopicRef { topic: Some(v1::topic_ref::Topic::Name(asked.topic.clone())) };
        let id = convert::topic(&self.door.views, Some(&name))
            .and_then(|topic| convert::partition(&topic, Some(asked.partition)))
            .map_err(|refusal| status(&refusal))?;
        let to = NodeId(asked.node_id);
        if let Some(leader) = self.door.elsewhere(id, &request)? {
            return answered(ClusterServiceClient::new(leader).transfer_leader(forwarded(request))).await;
        }
        self.door.handle.transfer(id, to).await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::TransferLeaderResponse {}))
    }

    async fn recover_partition(
        &self,
        request: Request<v1::RecoverPartitionRequest>,
    ) -> Result<Response<v1::RecoverPartitionResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(ClusterServiceClient::new(leader).recover_partition(forwarded(request))).await;
        }
        let v1::RecoverPartitionRequest { topic, partition, accept_loss, validate_only } =
            request.into_inner();
        if !accept_loss && !validate_only {
            let why = "acknowledged records may be lost by this: say that you accept it";
            let refusal = Refusal::InvalidArgument { field: "accept_loss".into(), why: why.into() };
            return Err(status(&refusal));
        }
        self.check_leaderless(&topic, partition).map_err(|refusal| status(&refusal))?;
        let recovered = match self.door.handle.recover(topic, partition, validate_only).await {
            Ok(Reply::Recovered(recovered)) => recovered,
            Ok(_) => Err(mismatched_reply()),
            Err(refusal) => Err(refusal),
        };
        recovered.map(recovery).map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn drain_node(
        &self,
        request: Request<v1::DrainNodeRequest>,
    ) -> Result<Response<v1::DrainNodeResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(ClusterServiceClient::new(leader).drain_node(forwarded(request))).await;
        }
        let v1::DrainNodeRequest { node_id, drain } = request.into_inner();
        self.decide(ControlRequest::Drain { node: NodeId(node_id), on: drain }).await?;
        Ok(Response::new(v1::DrainNodeResponse {}))
    }

    async fn remove_node(
        &self,
        request: Request<v1::RemoveNodeRequest>,
    ) -> Result<Response<v1::RemoveNodeResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(ClusterServiceClient::new(leader).remove_node(forwarded(request))).await;
        }
        let v1::RemoveNodeRequest { node_id, validate_only } = request.into_inner();
        self.decide(ControlRequest::RemoveNode { node: NodeId(node_id), validate_only }).await?;
        Ok(Response::new(v1::RemoveNodeResponse {}))
    }
}

fn recovery(recovery: Recovery) -> v1::RecoverPartitionResponse {
    let remains = |survivor: Survivor| v1::ReplicaRemains {
        node_id: survivor.node.0,
        replica_id: survivor.replica.0,
        condition: survivor.condition.map_or("silent", Condition::word).to_owned(),
        next_offset: survivor.next_offset.map(|offset| offset.0),
        missing_entries: survivor.missing_entries,
    };
    v1::RecoverPartitionResponse {
        node_id: recovery.node.0,
        replica_id: recovery.replica.map(|replica| replica.0),
        log_start: recovery.log_start.0,
        lost_from: recovery.lost_from.0,
        known_end: recovery.known_end.0,
        resume_at: recovery.resume_at.0,
        replicas: recovery.replicas.into_iter().map(remains).collect(),
        to: recovery.to.iter().map(|node| node.0).collect(),
    }
}

fn node(door: &Door, member: &Member) -> v1::NodeDescription {
    let catalog = door.views.catalog();
    let topics = catalog.topics().filter(|topic| !topic.internal);
    let (mut leaders, mut replicas) = (0, 0);
    for (id, placement) in topics.flat_map(|topic| topic.placements()) {
        replicas += u32::from(placement.all().any(|(home, _)| home == member.id));
        leaders += u32::from(door.views.leader(id).0 == Some(member.id));
    }
    v1::NodeDescription {
        node_id: member.id.0,
        address: member.address.clone(),
        peer_address: member.peer_address.clone(),
        rack: member.rack.clone().unwrap_or_default(),
        up: door.views.is_up(member.id),
        draining: member.draining,
        removing: member.removing,
        leaders,
        replicas,
    }
}

fn partition(
    door: &Door,
    topic: &Topic,
    id: PartitionId,
    placement: &PartitionPlacement,
) -> v1::PartitionState {
    let (leader, epoch) = door.views.leader(id);
    let (view, told) = (door.views.partition(id), door.views.status(id));
    let high_watermark = match (&view, &told) {
        (Some(view), _) => view.high_watermark().0,
        (None, Some(told)) => told.high_watermark,
        (None, None) => 0,
    };
    let closed = view.and_then(|view| view.standing().closed.clone());
    let replicas = placement.all().map(|(node, replica)| {
        let (voter, in_step) =
            standing(told.as_ref(), replica, placement.all().count() == 1 && leader.is_some());
        v1::ReplicaState { node_id: node.0, replica_id: replica.0, voter, in_step }
    });
    v1::PartitionState {
        topic: topic.name.to_string(),
        partition: id.partition,
        leader_node: leader.map(|node| node.0),
        leader_epoch: convert::epoch(epoch),
        replicas: replicas.collect(),
        high_watermark,
        moving_to: placement.moving.iter().flatten().map(|(node, _)| node.0).collect(),
        closed: closed.map_or(String::new(), |why| why.to_string()),
    }
}

/// Whether a replica votes, and is in step, by its leader's word; a leader alone is.
fn standing(told: Option<&PartitionStatus>, replica: ReplicaId, alone: bool) -> (bool, bool) {
    match told {
        Some(told) => {
            let voters = told.voters.clone().unwrap_or_default();
            let votes = voters.voters.contains(&replica.0) || voters.voters_outgoing.contains(&replica.0);
            let known = votes || voters.learners.contains(&replica.0);
            (votes, known && !told.behind.contains(&replica.0))
        }
        None => (alone, alone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_stands_as_its_leader_says() {
        let told = PartitionStatus {
            voters: Some(caudal_proto::peer::Voters {
                voters: vec![1, 2],
                learners: vec![3],
                ..Default::default()
            }),
            behind: vec![2],
            ..PartitionStatus::default()
        };
        let of = |replica| standing(Some(&told), ReplicaId(replica), false);
        assert_eq!(
            (of(1), of(2), of(3), of(4)),
            ((true, true), (true, false), (false, true), (false, false))
        );
        assert_eq!(standing(None, ReplicaId(1), true), (true, true));
        assert_eq!(standing(None, ReplicaId(1), false), (false, false));
    }
}
