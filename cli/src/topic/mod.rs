//! `caudal topic`: create, list, describe, alter, add-partitions, trim, delete.

mod add_partitions;
mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod trim;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  caudal topic create flights -p 12 -c retention.ms=30d
  caudal topic list 'flight*'
  caudal topic describe flights
  caudal topic delete flights --yes";

/// Make, see, change and remove topics
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Args),
    List(list::Args),
    Describe(describe::Args),
    Alter(alter::Args),
    AddPartitions(add_partitions::Args),
    Trim(trim::Args),
    Delete(delete::Args),
}

/// Runs one of the verbs.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Create(args) => create::run(context, args).await,
        Verb::List(args) => list::run(context, args).await,
        Verb::Describe(args) => describe::run(context, args).await,
        Verb::Alter(args) => alter::run(context, args).await,
        Verb::AddPartitions(args) => add_partitions::run(context, args).await,
        Verb::Trim(args) => trim::run(context, args).await,
        Verb::Delete(args) => delete::run(context, args).await,
    }
}

/// Names as the SDK takes them.
fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
