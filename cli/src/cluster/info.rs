//! `caudal cluster info`.

use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;

const EXAMPLES: &str = "Examples:
  caudal cluster info
  caudal cluster info --output json";

/// See which cluster it is, and who decides in it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Document {
    cluster_id: String,
    control_leader: Option<i32>,
    nodes: usize,
    nodes_up: usize,
    partitions: usize,
    answered_by: i32,
}

pub(super) async fn run(context: &Context, _: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let state = admin.cluster_state().await?;
    let partitions = admin.partition_states(None, false).await?.len();
    let document = Document {
        nodes: state.nodes.len(),
        nodes_up: state.nodes.iter().filter(|node| node.up).count(),
        cluster_id: state.cluster_id,
        control_leader: state.control_leader,
        partitions,
        answered_by: state.node_id,
    };
    if context.json {
        return context.print_json(&document);
    }
    let mut table = Table::facts();
    let leader = document.control_leader.map_or("none".to_owned(), |node| node.to_string());
    table.row(["cluster".to_owned(), document.cluster_id]);
    table.row(["decided by node".to_owned(), leader]);
    table.row(["nodes".to_owned(), format!("{} ({} up)", document.nodes, document.nodes_up)]);
    table.row(["partitions".to_owned(), document.partitions.to_string()]);
    table.row(["answered by node".to_owned(), document.answered_by.to_string()]);
    context.print_table(&table)
}
