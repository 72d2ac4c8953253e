//! `caudal topic trim`.

use caudal_client::{EachPartition, TrimBefore, TrimmedPartition};
use serde::Serialize;

use crate::clock;
use crate::confirm::confirm;
use crate::context::Context;
use crate::counted::counted;
use crate::failure::Failure;
use crate::table::Table;
use crate::tally::{ErrorDocument, Tally};
use crate::values::Time;

const EXAMPLES: &str = "Examples:
  caudal topic trim flights -p 3 --before-offset 1000
  caudal topic trim flights --before-time -7d --dry-run
  caudal topic trim flights --before-time 2026-11-01T00:00:00Z --yes";

/// Remove a topic's oldest records: the log start moves forward
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("before").required(true).args(["before_offset", "before_time"]))]
pub(crate) struct Args {
    /// The topic
    #[arg(value_name = "NAME")]
    name: String,
    /// Only this partition [default: all]
    #[arg(short, long, value_name = "P", allow_negative_numbers = true)]
    partition: Option<i32>,
    /// The first offset that stays
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true)]
    before_offset: Option<i64>,
    /// Records stay from the first at or after this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    before_time: Option<Time>,
    /// Show what would go, remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    dry_run: bool,
    name: &'a str,
    partitions: Vec<PartitionDocument>,
}

#[derive(Serialize)]
struct PartitionDocument {
    partition: i32,
    log_start_before: Option<i64>,
    log_start_after: Option<i64>,
    error: Option<ErrorDocument>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let before = match (args.before_offset, args.before_time) {
        (Some(offset), _) => TrimBefore::Offset(offset),
        (None, Some(time)) => TrimBefore::TimestampMs(time.resolve(clock::wall_ms())),
        (None, None) => return Err(Failure::usage("--before-offset or --before-time is needed")),
    };
    let admin = context.connect().await?.admin();
    if !args.dry_run && !args.yes {
        let plan = admin.trim_topic(&args.name, args.partition, before, true).await?;
        confirm(&question(&args.name, &plan), false)?;
    }
    let answers = admin.trim_topic(&args.name, args.partition, before, args.dry_run).await?;

    let mut tally = Tally::default();
    let partitions = answers.into_iter().map(|(partition, answer)| match tally.take(answer) {
        Ok(trimmed) => PartitionDocument {
            partition,
            log_start_before: Some(trimmed.log_start_before),
            log_start_after: Some(trimmed.log_start_after),
            error: None,
        },
        Err(error) => {
            PartitionDocument { partition, log_start_before: None, log_start_after: None, error: Some(error) }
        }
    });
    let document = Document { dry_run: args.dry_run, name: &args.name, partitions: partitions.collect() };
    if context.json {
        context.print_json(&document)?;
    } else {
        context.print_table(&table(&document))?;
    }
    tally.finish("partitions", "trimmed")
}

fn question(name: &str, plan: &EachPartition<TrimmedPartition>) -> String {
    let trimmed = plan.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let moved: Vec<_> = trimmed.filter(|p| p.log_start_after > p.log_start_before).collect();
    let offsets: i64 = moved.iter().map(|p| p.log_start_after - p.log_start_before).sum();
    let partitions = counted(moved.len() as u64, "partition");
    format!("remove {offsets} offsets of {partitions} of topic {name}")
}

fn table(document: &Document<'_>) -> Table {
    let after = if document.dry_run { "would be" } else { "log-start" };
    let mut table = Table::new(&["partition", "before", after]).right(&[0, 1, 2]);
    let number = |n: Option<i64>| n.map_or("-".to_owned(), |n| n.to_string());
    for p in &document.partitions {
        table.row([p.partition.to_string(), number(p.log_start_before), number(p.log_start_after)]);
    }
    table
}
