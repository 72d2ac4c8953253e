//! `caudal log`: looks into a broker's files, offline. Nothing is changed or locked.
//!
//! [`files`] finds the segments behind a path, [`walk`] reads their frames and names what does not validate.

mod dump;
mod entry;
mod files;
mod resync;
mod verify;
mod walk;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  caudal log dump ./caudal-data -n 20
  caudal log verify ./caudal-data";

/// Look into a broker's files, offline
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Dump(dump::Args),
    Verify(verify::Args),
}

/// Runs one of the verbs.
pub(crate) fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Dump(args) => dump::run(context, &args),
        Verb::Verify(args) => verify::run(context, &args),
    }
}
