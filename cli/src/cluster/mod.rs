//! `caudal cluster`: brokers, where partitions are, and moving them.

mod change;
mod health;
mod info;
mod nodes;
mod partitions;
mod place;
mod recover;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  caudal cluster health
  caudal cluster partitions flights
  caudal cluster move flights:3 --to 1,2,4
  caudal cluster drain 2";

/// See the brokers of a cluster, and change what they do
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Info(info::Args),
    Health(health::Args),
    Nodes(nodes::Args),
    Partitions(partitions::Args),
    Move(change::MoveArgs),
    MoveStatus(partitions::MoveStatusArgs),
    MoveCancel(change::CancelArgs),
    TransferLeader(change::TransferArgs),
    Balance(change::BalanceArgs),
    Drain(change::DrainArgs),
    Undrain(change::UndrainArgs),
    Remove(change::RemoveArgs),
    Recover(recover::Args),
}

/// Runs one of the verbs.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Info(args) => info::run(context, args).await,
        Verb::Health(args) => health::run(context, args).await,
        Verb::Nodes(args) => nodes::run(context, args).await,
        Verb::Partitions(args) => partitions::run(context, args).await,
        Verb::Move(args) => change::run_move(context, args).await,
        Verb::MoveStatus(args) => partitions::run_move_status(context, args).await,
        Verb::MoveCancel(args) => change::run_cancel(context, args).await,
        Verb::TransferLeader(args) => change::run_transfer(context, args).await,
        Verb::Balance(args) => change::run_balance(context, args).await,
        Verb::Drain(args) => change::run_drain(context, args.node, true).await,
        Verb::Undrain(args) => change::run_drain(context, args.node, false).await,
        Verb::Remove(args) => change::run_remove(context, args).await,
        Verb::Recover(args) => recover::run(context, args).await,
    }
}
