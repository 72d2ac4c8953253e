//! The broker under measure: a process of its own, started, watched, stopped and killed by its id.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::floors::micros;

/// Ticks of `/proc/PID/stat` in a second: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A broker that runs. Dropping it kills it.
pub(crate) struct Broker {
    child: Child,
    /// HOST:PORT of its gRPC listener.
    pub(crate) address: String,
    /// From its start to the line that says it is ready, in ms.
    pub(crate) ready_ms: f64,
    data: PathBuf,
}

impl Broker {
    /// Starts a broker over a folder, on a free port of the loopback. What it logs goes beside the folder.
    pub(crate) fn start(caudal: &Path, data: &Path) -> io::Result<Broker> {
        let log = File::options().create(true).append(true).open(data.with_extension("log"))?;
        let began = clock::now();
        let mut child = Command::new(caudal)
            .args(["serve", "--set", "grpc.listen=127.0.0.1:0", "--set", "peer.listen=127.0.0.1:0"])
            .args(["--set", "http.listen=127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready_ms = micros(began) / 1e3;
        let address = line.split_whitespace().find_map(|field| field.strip_prefix("grpc="));
        let address = address.unwrap_or_default().to_owned();
        let broker = Broker { child, address, ready_ms, data: data.to_owned() };
        if broker.address.is_empty() {
            let log = fs::read_to_string(data.with_extension("log")).unwrap_or_default();
            return Err(io::Error::other(format!("the broker did not start; it logged:\n{log}")));
        }
        Ok(broker)
    }

    /// SIGTERM, and the end.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the broker ended with {status}")))
    }

    /// `kill -9`, and the end.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Memory that is its own (`RssAnon`), and mapped pages of files (`RssFile`), in MB.
    pub(crate) fn memory(&self) -> io::Result<(f64, f64)> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(f64::NAN) * 1024.0 / 1e6
        };
        Ok((of("RssAnon:"), of("RssFile:")))
    }

    /// The share of a core that it uses over a while, in percent.
    pub(crate) fn processor(&self, during: Duration) -> io::Result<f64> {
        let (before, began) = (self.ticks()?, clock::now());
        clock::sleep(during);
        let seconds = micros(began) / 1e6;
        Ok((self.ticks()? - before) / TICKS_PER_SECOND / seconds * 100.0)
    }

    /// Ticks of user and system time.
    fn ticks(&self) -> io::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is a name in brackets, which may hold anything; user and system time are 14 and 15.
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        Ok(rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum())
    }

    /// Blocks of the disk that its folder takes, in MB.
    #[expect(clippy::cast_precision_loss, reason = "a size in MB")]
    pub(crate) fn disk(&self) -> io::Result<f64> {
        Ok(blocks(&self.data)? as f64 * 512.0 / 1e6)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; then both fail and nothing is left to do.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn blocks(path: &Path) -> io::Result<u64> {
    let about = fs::symlink_metadata(path)?;
    let mut sum = about.blocks();
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            sum += blocks(&entry?.path())?;
        }
    }
    Ok(sum)
}
