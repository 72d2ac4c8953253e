//! `caudal cluster partitions` and `move-status`.

use caudal_client::PartitionState;
use serde::Serialize;

use super::place::numbers;
use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;

const EXAMPLES: &str = "Examples:
  caudal cluster partitions
  caudal cluster partitions flights --output json";

const STATUS_EXAMPLES: &str = "Examples:
  caudal cluster move-status
  caudal cluster move-status --output json";

/// See where partitions are, and how their replicas stand
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this topic
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// Also the brokers' own topics
    #[arg(long)]
    internal: bool,
}

/// See which partitions move, and how far they are
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct MoveStatusArgs {}

#[derive(Serialize)]
struct Document {
    partitions: Vec<PartitionDocument>,
}

#[derive(Serialize)]
struct PartitionDocument {
    topic: String,
    partition: i32,
    leader_node: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<ReplicaDocument>,
    high_watermark: i64,
    moving_to: Vec<i32>,
    closed: Option<String>,
}

#[derive(Serialize)]
struct ReplicaDocument {
    node_id: i32,
    replica_id: u64,
    voter: bool,
    in_step: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let states = admin.partition_states(args.topic.as_deref(), args.internal).await?;
    show(context, states)
}

pub(super) async fn run_move_status(context: &Context, _: MoveStatusArgs) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let mut states = admin.partition_states(None, false).await?;
    states.retain(|state| !state.moving_to.is_empty());
    if states.is_empty() {
        context.note("no partition moves");
    }
    show(context, states)
}

fn document(state: PartitionState) -> PartitionDocument {
    let replicas = state.replicas.into_iter().map(|replica| ReplicaDocument {
        node_id: replica.node_id,
        replica_id: replica.replica_id,
        voter: replica.voter,
        in_step: replica.in_step,
    });
    PartitionDocument {
        topic: state.topic,
        partition: state.partition,
        leader_node: state.leader_node,
        leader_epoch: state.leader_epoch,
        replicas: replicas.collect(),
        high_watermark: state.high_watermark,
        moving_to: state.moving_to,
        closed: Some(state.closed).filter(|why| !why.is_empty()),
    }
}

fn show(context: &Context, states: Vec<PartitionState>) -> Result<(), Failure> {
    let document = Document { partitions: states.into_iter().map(document).collect() };
    if context.json {
        return context.print_json(&document);
    }
    let columns =
        ["topic", "partition", "leader", "epoch", "replicas", "behind", "high-watermark", "moving-to"];
    let mut table = Table::new(&columns).right(&[1, 2, 3, 6]);
    for state in document.partitions {
        let all: Vec<i32> = state.replicas.iter().map(|replica| replica.node_id).collect();
        let behind: Vec<i32> =
            state.replicas.iter().filter(|replica| !replica.in_step).map(|replica| replica.node_id).collect();
        let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        table.row([
            state.topic,
            state.partition.to_string(),
            state.leader_node.map_or("-".to_owned(), |node| node.to_string()),
            state.leader_epoch.to_string(),
            numbers(&all),
            or_none(numbers(&behind)),
            state.high_watermark.to_string(),
            or_none(numbers(&state.moving_to)),
        ]);
    }
    context.print_table(&table)
}
