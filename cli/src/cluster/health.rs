//! `caudal cluster health`.

use caudal_client::{ClusterState, PartitionState};
use serde::Serialize;

use crate::context::Context;
use crate::counted::counted;
use crate::failure::Failure;
use crate::table::Table;

const EXAMPLES: &str = "Examples:
  caudal cluster health
  caudal cluster health --output json
  caudal cluster health -q || echo 'look at it'";

/// See what is not well; exit code 0 only where everything is
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Something that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Problem {
    kind: &'static str,
    subject: String,
    text: String,
}

#[derive(Serialize)]
struct Document {
    healthy: bool,
    problems: Vec<Problem>,
}

pub(super) async fn run(context: &Context, _: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let cluster = admin.cluster_state().await?;
    let partitions = admin.partition_states(None, true).await?;
    let problems = problems(&cluster, &partitions);
    let count = problems.len() as u64;
    if context.json {
        context.print_json(&Document { healthy: count == 0, problems })?;
    } else if count == 0 {
        let mut table = Table::facts();
        let (nodes, all) = (cluster.nodes.len() as u64, partitions.len() as u64);
        table.row([format!("healthy: {}, {}", counted(nodes, "node"), counted(all, "partition"))]);
        context.print_table(&table)?;
    } else {
        let mut table = Table::new(&["what", "which", "why"]);
        for problem in problems {
            table.row([problem.kind.to_owned(), problem.subject, problem.text]);
        }
        context.print_table(&table)?;
    }
    match count {
        0 => Ok(()),
        _ => Err(Failure::refused(format!("the cluster is not well: {}", counted(count, "problem")))),
    }
}

fn problem(kind: &'static str, subject: String, text: impl Into<String>) -> Problem {
    Problem { kind, subject, text: text.into() }
}

/// What is not well, brokers first. What somebody asked for (draining, moving) is told too: it is not the usual state.
fn problems(cluster: &ClusterState, partitions: &[PartitionState]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if cluster.control_leader.is_none() {
        let text = "no broker decides: topics cannot be made or changed until most of its voters are up";
        problems.push(problem("no-leader", "the control partition".to_owned(), text));
    }
    for node in &cluster.nodes {
        let subject = format!("node {}", node.node_id);
        if !node.up {
            problems.push(problem(
                "node-down",
                subject.clone(),
                format!("{} does not answer", node.peer_address),
            ));
        }
        if node.removing {
            problems.push(problem("node-removing", subject, "its replicas move to other nodes"));
        } else if node.draining {
            problems.push(problem("node-draining", subject, "it leads nothing and takes no new replicas"));
        }
    }
    for state in partitions {
        let subject = format!("{}:{}", state.topic, state.partition);
        if !state.closed.is_empty() {
            problems.push(problem("closed", subject.clone(), state.closed.clone()));
        }
        if state.leader_node.is_none() {
            problems.push(problem(
                "no-leader",
                subject.clone(),
                "most of its replicas must be up to elect one",
            ));
            continue;
        }
        let behind = state.replicas.iter().filter(|replica| !replica.in_step);
        for replica in behind {
            let text = format!("the replica on node {} is behind or silent", replica.node_id);
            problems.push(problem("behind", subject.clone(), text));
        }
        if !state.moving_to.is_empty() {
            let to = super::place::numbers(&state.moving_to);
            problems.push(problem("moving", subject, format!("its replicas move to nodes {to}")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use caudal_client::{NodeState, ReplicaState};

    use super::*;

    fn node(node_id: i32) -> NodeState {
        NodeState {
            node_id,
            address: String::new(),
            peer_address: "h:7172".into(),
            rack: String::new(),
            up: true,
            draining: false,
            removing: false,
            leaders: 0,
            replicas: 0,
        }
    }

    fn cluster(nodes: Vec<NodeState>) -> ClusterState {
        ClusterState { cluster_id: "c".into(), control_leader: Some(1), node_id: 1, nodes }
    }

    fn partition(in_step: &[bool]) -> PartitionState {
        let replicas = (1..).zip(in_step).map(|(node_id, in_step)| ReplicaState {
            node_id,
            replica_id: node_id as u64,
            voter: true,
            in_step: *in_step,
        });
        PartitionState {
            topic: "t".into(),
            partition: 3,
            leader_node: Some(1),
            leader_epoch: 6,
            replicas: replicas.collect(),
            high_watermark: 0,
            moving_to: Vec::new(),
            closed: String::new(),
        }
    }

    fn kinds(cluster: &ClusterState, partitions: &[PartitionState]) -> Vec<&'static str> {
        problems(cluster, partitions).into_iter().map(|problem| problem.kind).collect()
    }

    #[test]
    fn a_cluster_in_which_all_is_well_has_no_problem() {
        assert_eq!(kinds(&cluster(vec![node(1), node(2)]), &[partition(&[true, true])]), [] as [&str; 0]);
    }

    #[test]
    fn each_thing_that_is_not_well_is_named() {
        let down = NodeState { up: false, ..node(2) };
        let draining = NodeState { draining: true, ..node(3) };
        let gone = ClusterState { control_leader: None, ..cluster(vec![node(1), down, draining]) };
        let leaderless = PartitionState { leader_node: None, ..partition(&[false]) };
        let moving = PartitionState { moving_to: vec![1, 4], ..partition(&[true]) };
        let closed = PartitionState { closed: "damaged".into(), ..partition(&[true]) };
        let states = [partition(&[true, false]), leaderless, moving, closed];
        assert_eq!(
            kinds(&gone, &states),
            ["no-leader", "node-down", "node-draining", "behind", "no-leader", "moving", "closed"]
        );
    }
}
