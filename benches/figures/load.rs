//! The load: `caudal bench` and `caudal topic` as a user runs them, each a process that ends by itself.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::broker::Broker;

/// What a benchmark of the command line reports.
pub(crate) struct Report(Value);

impl Report {
    /// Records a second.
    pub(crate) fn records_per_second(&self) -> f64 {
        self.0["records_per_second"].as_f64().unwrap_or(f64::NAN)
    }

    /// Bytes of values a second, in MB (10⁶).
    pub(crate) fn mb_per_second(&self) -> f64 {
        self.0["mib_per_second"].as_f64().unwrap_or(f64::NAN) * 1_048_576.0 / 1e6
    }

    /// The p50 of the latency, in µs.
    pub(crate) fn p50_us(&self) -> f64 {
        self.0["latency_us"]["p50"].as_f64().unwrap_or(f64::NAN)
    }
}

/// Runs `caudal bench …` against a broker.
pub(crate) fn bench(caudal: &Path, broker: &Broker, arguments: &str) -> io::Result<Report> {
    let stdout = run(caudal, broker, &format!("--output json bench {arguments}"))?;
    let report = serde_json::from_slice(&stdout).map_err(io::Error::other)?;
    Ok(Report(report))
}

/// Runs a command line of `caudal` against a broker, to its end.
pub(crate) fn run(caudal: &Path, broker: &Broker, arguments: &str) -> io::Result<Vec<u8>> {
    let output = command(caudal, broker, arguments).output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("`caudal {arguments}` ended with {}: {stderr}", output.status)))
}

/// A command line of `caudal` against a broker, to be started.
pub(crate) fn command(caudal: &Path, broker: &Broker, arguments: &str) -> Command {
    let mut command = Command::new(caudal);
    command
        .args(arguments.split_whitespace())
        .env("CAUDAL_BROKERS", &broker.address)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}
