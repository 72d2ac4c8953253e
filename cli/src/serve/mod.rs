//! `caudal serve`: runs a broker until a signal comes.

mod logging;

use std::path::PathBuf;

use caudal_broker::config::Config;
use caudal_broker::server::{self, Ready, ServeError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::context::print;
use crate::failure::{Code, Failure};
use crate::values::Pair;
use logging::LogFormat;

const EXAMPLES: &str = "Examples:
  caudal serve
  caudal serve -c broker.toml
  caudal serve --data-dir /var/lib/caudal --set grpc.listen=127.0.0.1:0
  caudal serve --set topic.retention.ms=86400000 --log-format json";

/// Run a broker
///
/// Without a file: loopback only, data in ./caudal-data. When it accepts requests it prints one line on stdout that
/// begins with `ready`. SIGTERM or SIGINT stops it in order; a second signal at once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The configuration file; config/broker.toml shows every key
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the data lies; the same as --set data.dir=DIR
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Overrides a key of the configuration
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Pair>,
    /// How log lines look [default: log.format of the configuration]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}
