//! `caudal cluster move`, `move-cancel`, `transfer-leader`, `balance`, `drain`, `undrain`, `remove`.

use caudal_client::{ClusterState, PartitionState};
use serde::Serialize;

use super::place::{Place, numbers};
use crate::confirm::confirm;
use crate::context::Context;
use crate::counted::counted;
use crate::failure::Failure;
use crate::table::Table;
use crate::tally::Tally;

const MOVE_EXAMPLES: &str = "Examples:
  caudal cluster move flights:3 --to 1,2,4
  caudal cluster move flights:3 --to 1,2,4 --dry-run
  caudal cluster move-status";

/// Move a partition's replicas to other brokers, under load
#[derive(Debug, clap::Args)]
#[command(after_help = MOVE_EXAMPLES)]
pub(crate) struct MoveArgs {
    /// The partition
    #[arg(value_name = "TOPIC:P")]
    place: Place,
    /// The brokers that shall have it, the preferred leader first: 1, 3 or 5
    #[arg(long, required = true, value_delimiter = ',', value_name = "NODE[,…]")]
    to: Vec<i32>,
    /// Check it, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

const CANCEL_EXAMPLES: &str = "Examples:
  caudal cluster move-cancel flights:3";

/// Undo a move that is under way: the replicas go back to where they were
#[derive(Debug, clap::Args)]
#[command(after_help = CANCEL_EXAMPLES)]
pub(crate) struct CancelArgs {
    /// The partition
    #[arg(value_name = "TOPIC:P")]
    place: Place,
}

const TRANSFER_EXAMPLES: &str = "Examples:
  caudal cluster transfer-leader flights:3 --to 2";

/// Hand a partition's leadership to another of its replicas
#[derive(Debug, clap::Args)]
#[command(after_help = TRANSFER_EXAMPLES)]
pub(crate) struct TransferArgs {
    /// The partition
    #[arg(value_name = "TOPIC:P")]
    place: Place,
    /// The broker that shall lead
    #[arg(long, value_name = "NODE")]
    to: i32,
}

const BALANCE_EXAMPLES: &str = "Examples:
  caudal cluster balance --dry-run
  caudal cluster balance";

/// Hand leaderships to the replicas that are meant to lead
#[derive(Debug, clap::Args)]
#[command(after_help = BALANCE_EXAMPLES)]
pub(crate) struct BalanceArgs {
    /// Show what would be handed over
    #[arg(long)]
    dry_run: bool,
}

const DRAIN_EXAMPLES: &str = "Examples:
  caudal cluster drain 2
  caudal cluster undrain 2";

/// Move leaderships off a broker; its replicas stay
#[derive(Debug, clap::Args)]
#[command(after_help = DRAIN_EXAMPLES)]
pub(crate) struct DrainArgs {
    /// The broker
    #[arg(value_name = "NODE")]
    pub(super) node: i32,
}

/// Let a broker that was drained lead again
#[derive(Debug, clap::Args)]
#[command(after_help = DRAIN_EXAMPLES)]
pub(crate) struct UndrainArgs {
    /// The broker
    #[arg(value_name = "NODE")]
    pub(super) node: i32,
}

const REMOVE_EXAMPLES: &str = "Examples:
  caudal cluster remove 4 --dry-run
  caudal cluster remove 4 --yes";

/// Move a broker's replicas to the others, then take it out for ever
#[derive(Debug, clap::Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub(crate) struct RemoveArgs {
    /// The broker
    #[arg(value_name = "NODE")]
    node: i32,
    /// Check it, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Done {
    dry_run: bool,
    done: String,
}

/// Says in one line what was done.
fn say(context: &Context, dry_run: bool, done: String) -> Result<(), Failure> {
    if context.json {
        return context.print_json(&Done { dry_run, done });
    }
    let mut table = Table::facts();
    table.row([done]);
    context.print_table(&table)
}

pub(super) async fn run_move(context: &Context, args: MoveArgs) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let (Place { topic, partition }, to) = (&args.place, numbers(&args.to));
    if args.dry_run || !args.yes {
        admin.move_partition(topic, *partition, &args.to, true).await?;
    }
    if args.dry_run {
        return say(context, true, format!("{topic}:{partition} can be moved to nodes {to}"));
    }
    confirm(&format!("move the replicas of {topic}:{partition} to nodes {to}"), args.yes)?;
    admin.move_partition(topic, *partition, &args.to, false).await?;
    say(context, false, format!("{topic}:{partition} moves to nodes {to}; see caudal cluster move-status"))
}

pub(super) async fn run_cancel(context: &Context, args: CancelArgs) -> Result<(), Failure> {
    let Place { topic, partition } = &args.place;
    context.connect().await?.admin().cancel_move(topic, *partition).await?;
    say(context, false, format!("{topic}:{partition} goes back to where it was"))
}

pub(super) async fn run_transfer(context: &Context, args: TransferArgs) -> Result<(), Failure> {
    let Place { topic, partition } = &args.place;
    context.connect().await?.admin().transfer_leader(topic, *partition, args.to).await?;
    say(context, false, format!("{topic}:{partition} is handed to node {}", args.to))
}

#[derive(Serialize)]
struct Transfers {
    dry_run: bool,
    transfers: Vec<Transfer>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Transfer {
    topic: String,
    partition: i32,
    from: i32,
    to: i32,
}

/// Partitions that another replica leads than the one that is meant to, where that one can.
fn transfers(cluster: &ClusterState, partitions: &[PartitionState]) -> Vec<Transfer> {
    let able = |node: i32| {
        cluster
            .nodes
            .iter()
            .any(|known| known.node_id == node && known.up && !known.draining && !known.removing)
    };
    let transfer = |state: &PartitionState| {
        let (first, from) = (state.replicas.first()?, state.leader_node?);
        let meant = first.node_id != from && first.voter && first.in_step && able(first.node_id);
        (meant && state.moving_to.is_empty()).then(|| Transfer {
            topic: state.topic.clone(),
            partition: state.partition,
            from,
            to: first.node_id,
        })
    };
    partitions.iter().filter_map(transfer).collect()
}

pub(super) async fn run_balance(context: &Context, args: BalanceArgs) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let wanted = transfers(&admin.cluster_state().await?, &admin.partition_states(None, false).await?);
    let mut tally = Tally::default();
    for transfer in wanted.iter().filter(|_| !args.dry_run) {
        let answer = admin.transfer_leader(&transfer.topic, transfer.partition, transfer.to).await;
        // What failed is named on stderr when all are tried.
        let _told = tally.take(answer);
    }
    let count = wanted.len() as u64;
    if context.json {
        context.print_json(&Transfers { dry_run: args.dry_run, transfers: wanted })?;
    } else if count == 0 {
        context.note("every partition is led by the replica that is meant to");
    } else {
        let mut table = Table::new(&["topic", "partition", "from", "to"]).right(&[1, 2, 3]);
        for transfer in wanted {
            let Transfer { topic, partition, from, to } = transfer;
            table.row([topic, partition.to_string(), from.to_string(), to.to_string()]);
        }
        context.print_table(&table)?;
    }
    if args.dry_run { Ok(()) } else { tally.finish("partitions", "handed over") }
}

pub(super) async fn run_drain(context: &Context, node: i32, drain: bool) -> Result<(), Failure> {
    context.connect().await?.admin().drain_node(node, drain).await?;
    let done = match drain {
        true => format!("node {node} gives its leaderships away"),
        false => format!("node {node} leads again"),
    };
    say(context, false, done)
}

pub(super) async fn run_remove(context: &Context, args: RemoveArgs) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let node = args.node;
    admin.remove_node(node, true).await?;
    let replicas = admin.cluster_state().await?.nodes.into_iter().find(|known| known.node_id == node);
    let replicas = counted(replicas.map_or(0, |known| u64::from(known.replicas)), "replica");
    if args.dry_run {
        return say(context, true, format!("node {node} can be removed; it has {replicas}"));
    }
    confirm(&format!("move {replicas} off node {node} and take it out for ever"), args.yes)?;
    admin.remove_node(node, false).await?;
    say(context, false, format!("node {node} is emptied and then taken out; see caudal cluster nodes"))
}

#[cfg(test)]
mod tests {
    use caudal_client::{NodeState, ReplicaState};

    use super::*;

    #[test]
    fn leadership_goes_to_the_first_replica_where_that_one_can_lead() {
        let node = |node_id, up, draining| NodeState {
            node_id,
            address: String::new(),
            peer_address: String::new(),
            rack: String::new(),
            up,
            draining,
            removing: false,
            leaders: 0,
            replicas: 0,
        };
        let nodes = vec![node(1, true, false), node(2, false, false), node(3, true, true)];
        let cluster = ClusterState { cluster_id: String::new(), control_leader: None, node_id: 1, nodes };
        let state = |partition, first, in_step, leader_node| PartitionState {
            topic: "t".into(),
            partition,
            leader_node,
            leader_epoch: 1,
            replicas: vec![ReplicaState { node_id: first, replica_id: 9, voter: true, in_step }],
            high_watermark: 0,
            moving_to: Vec::new(),
            closed: String::new(),
        };
        let states = [
            state(0, 1, true, Some(2)),
            state(1, 1, true, Some(1)),
            state(2, 1, false, Some(2)),
            state(3, 2, true, Some(1)),
            state(4, 3, true, Some(1)),
            state(5, 1, true, None),
        ];
        let wanted = transfers(&cluster, &states);
        assert_eq!(wanted, [Transfer { topic: "t".into(), partition: 0, from: 2, to: 1 }]);
    }
}
