//! `caudal bench`: the load generator, through the public SDK.
//!
//! * `produce`: how fast records are acknowledged; `consume`: how fast they are read; `latency`: how long one takes
//!   from end to end, open loop, counted from the time it should have been sent.
//! * [`payload`] makes what is sent and knows it again; [`pace`] says when; [`report`] is what is printed.

mod consume;
mod latency;
mod pace;
mod payload;
mod produce;
mod progress;
mod read_back;
mod report;
mod sender;
mod topic;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  caudal bench produce --size 1KiB --duration 10s
  caudal bench consume --records 1000000
  caudal bench latency --rate 1000/s --output json";

/// Measure a cluster: throughput of writing and reading, latency from end to end
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Produce(produce::Args),
    Consume(consume::Args),
    Latency(latency::Args),
}

/// Runs one of the verbs.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Produce(args) => produce::run(context, args).await,
        Verb::Consume(args) => consume::run(context, args).await,
        Verb::Latency(args) => latency::run(context, args).await,
    }
}
