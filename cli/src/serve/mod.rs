//! `caudal serve`: runs a broker until a signal comes.

mod logging;
mod signals;

use std::path::PathBuf;

use caudal_broker::config::Config;
use caudal_broker::server::{self, Ready, ServeError};

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

/// Runs the broker until it is told to stop.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let sets: Vec<String> = args.set.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    let mut config = Config::load(args.config.as_deref(), &sets).map_err(cannot_start)?;
    if let Some(dir) = args.data_dir {
        config.data_dir = dir;
    }
    logging::start(config.log_level, args.log_format.unwrap_or_else(|| config.log_format.into()))?;
    let stop = signals::listen()?;
    let stopped = server::run(config, stop, |ready| {
        // Whoever started the broker may not read its stdout: that is no reason to stop.
        drop(print(ready_line(&ready).as_bytes()));
    });
    stopped.map_err(|error| match error {
        ServeError::Disk(_) => Failure::new(Code::Disk, error.to_string()).caused_by(error),
        error => cannot_start(error),
    })
}

fn cannot_start(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::refused(error.to_string()).caused_by(error)
}

fn ready_line(ready: &Ready) -> String {
    let Ready { grpc, peer, http, node, cluster } = ready;
    format!("ready grpc={grpc} peer={peer} http={http} node={node} cluster={cluster}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_what_scripts_wait_for() {
        let ready = Ready {
            grpc: "127.0.0.1:40000".to_owned(),
            peer: "off".to_owned(),
            http: "off".to_owned(),
            node: 1,
            cluster: "c".to_owned(),
        };
        assert_eq!(ready_line(&ready), "ready grpc=127.0.0.1:40000 peer=off http=off node=1 cluster=c\n");
    }
}
