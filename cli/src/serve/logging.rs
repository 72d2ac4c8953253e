//! The broker's log, on stderr.

use std::io::{self, IsTerminal};

use caudal_broker::config::{LogFormat as ConfiguredFormat, LogLevel};
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Overrides the configured level, for all or for parts: `debug`, `caudal_broker::runtime=debug,warn`.
const VARIABLE: &str = "CAUDAL_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl From<ConfiguredFormat> for LogFormat {
    fn from(configured: ConfiguredFormat) -> LogFormat {
        match configured {
            ConfiguredFormat::Text => LogFormat::Text,
            ConfiguredFormat::Json => LogFormat::Json,
        }
    }
}

/// Sends the log of this process to stderr.
pub(super) fn start(level: LogLevel, format: LogFormat) -> Result<(), Failure> {
    let wanted = std::env::var(VARIABLE).ok().filter(|wanted| !wanted.is_empty());
    let filter = filter(wanted.as_deref(), level)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            lines.with_ansi(!plain && io::stderr().is_terminal()).try_init()
        }
    };
    started.map_err(|error| Failure::refused(format!("the log cannot be started: {error}")))
}

fn filter(wanted: Option<&str>, level: LogLevel) -> Result<EnvFilter, Failure> {
    match wanted {
        Some(wanted) => EnvFilter::try_new(wanted).map_err(|error| {
            Failure::refused(format!("{VARIABLE}={wanted}: {error}; write error, warn, info, debug or trace"))
        }),
        // Libraries beneath the broker speak up when something is wrong.
        None => EnvFilter::try_new(format!("warn,caudal_broker={level},caudal_cli={level}"))
            .map_err(|error| Failure::refused(format!("log.level={level}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_configuration() {
        assert_eq!(filter(Some("debug"), LogLevel::Info).unwrap().to_string(), "debug");
        let configured = filter(None, LogLevel::Debug).unwrap().to_string();
        assert!(configured.contains("caudal_broker=debug"), "{configured}");
        assert!(filter(Some("caudal_broker=loud"), LogLevel::Info).is_err());
    }
}
