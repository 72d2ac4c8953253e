//! The command line: global flags and verbs. Each verb's own flags are in its file.

use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::values::parse_duration;
use crate::{bench, cluster, completions, consume, log, produce, serve, topic};

const EXAMPLES: &str = "Examples:
  caudal serve
  caudal topic create flights -p 12
  cat flights.csv | caudal produce flights
  caudal consume flights -o start -n 10
Each command has its own help: caudal topic create --help";

/// Caudal, a log-structured message broker: the broker and every tool for it.
#[derive(Debug, Parser)]
#[command(name = "caudal", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that stand before or after the verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Brokers to begin with; any one that answers is enough [env: CAUDAL_BROKERS] [default: 127.0.0.1:7171]
    #[arg(short, long, global = true, value_name = "HOST:PORT[,…]")]
    pub(crate) brokers: Option<String>,
    /// Connection settings [profile.NAME] of $XDG_CONFIG_HOME/caudal/config.toml
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// How long one request may take, with its retries [default: 10s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Tables for people, or one JSON document for scripts
    #[arg(long, global = true, value_enum, default_value_t = Form::Table, value_name = "FORM")]
    pub(crate) output: Form,
    /// More on stderr: the causes of an error, too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// The form of a command's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Aligned columns.
    Table,
    /// One document a command.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::Args),
    Topic(topic::Args),
    Cluster(cluster::Args),
    Produce(produce::Args),
    Consume(consume::Args),
    Log(log::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}
