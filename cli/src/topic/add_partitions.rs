//! `caudal topic add-partitions`.

use serde::Serialize;

use crate::context::{Context, print};
use crate::counted::counted;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  caudal topic add-partitions flights -n 4
  caudal topic add-partitions flights -n 4 --dry-run";

/// Give a topic more partitions; keys may land in other partitions from then on
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The topic
    #[arg(value_name = "NAME")]
    name: String,
    /// How many more
    #[arg(short = 'n', long = "count", value_name = "N", allow_negative_numbers = true)]
    count: i32,
    /// Check everything, change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    dry_run: bool,
    name: &'a str,
    partitions: i32,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let partitions = admin.add_partitions(&args.name, args.count, args.dry_run).await?;
    if context.json {
        return context.print_json(&Document { dry_run: args.dry_run, name: &args.name, partitions });
    }
    let has = if args.dry_run { "would have" } else { "has" };
    print(
        format!("topic {} {has} {}\n", args.name, counted(partitions.unsigned_abs().into(), "partition"))
            .as_bytes(),
    )
}
