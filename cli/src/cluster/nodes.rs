//! `caudal cluster nodes`.

use caudal_client::NodeState;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;

const EXAMPLES: &str = "Examples:
  caudal cluster nodes
  caudal cluster nodes --output json";

/// See the brokers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Document {
    nodes: Vec<NodeDocument>,
}

#[derive(Serialize)]
struct NodeDocument {
    node_id: i32,
    address: String,
    peer_address: String,
    rack: Option<String>,
    state: &'static str,
    control_leader: bool,
    leaders: u32,
    replicas: u32,
}

/// One word for how a broker is.
fn word(node: &NodeState) -> &'static str {
    match node {
        NodeState { up: false, .. } => "down",
        NodeState { removing: true, .. } => "removing",
        NodeState { draining: true, .. } => "draining",
        NodeState { .. } => "up",
    }
}

pub(super) async fn run(context: &Context, _: Args) -> Result<(), Failure> {
    let state = context.connect().await?.admin().cluster_state().await?;
    let leader = state.control_leader;
    let nodes = state.nodes.into_iter().map(|node| NodeDocument {
        state: word(&node),
        control_leader: leader == Some(node.node_id),
        node_id: node.node_id,
        address: node.address,
        peer_address: node.peer_address,
        rack: Some(node.rack).filter(|rack| !rack.is_empty()),
        leaders: node.leaders,
        replicas: node.replicas,
    });
    let document = Document { nodes: nodes.collect() };
    if context.json {
        return context.print_json(&document);
    }
    let columns = ["node", "state", "grpc", "peers", "rack", "leaders", "replicas", "decides"];
    let mut table = Table::new(&columns).right(&[0, 5, 6]);
    for node in document.nodes {
        table.row([
            node.node_id.to_string(),
            node.state.to_owned(),
            node.address,
            node.peer_address,
            node.rack.unwrap_or("-".to_owned()),
            node.leaders.to_string(),
            node.replicas.to_string(),
            if node.control_leader { "yes".to_owned() } else { "-".to_owned() },
        ]);
    }
    context.print_table(&table)
}
