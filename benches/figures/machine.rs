//! What the machine is, and whether anything else runs on it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::clock;

/// A share of all cores that others may use before the figures are called noisy.
pub(crate) const BUSY_SHARE_MAX: f64 = 0.10;

/// Bytes of written pages that the kernel still owes the disk at which a measurement may begin.
const DIRTY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The longest wait for the kernel to write them.
const SETTLE_ROUNDS: u32 = 100;

/// One line: cores, kernel, file system.
pub(crate) fn describe(folder: &Path) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores, Linux {}, {} below {}", kernel.trim(), file_system(folder), folder.display())
}

/// The load averages, as the kernel gives them.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The share of all cores that is in use over half a second, while nothing is measured.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(crate) fn busy_share() -> f64 {
    let (busy, all) = ticks();
    clock::sleep(Duration::from_millis(500));
    let (busy_after, all_after) = ticks();
    let all = all_after.saturating_sub(all).max(1);
    busy_after.saturating_sub(busy) as f64 / all as f64
}

/// Waits until what others have written is on the disk, so that it is not measured here.
pub(crate) fn settle() {
    rustix::fs::sync();
    for _ in 0..SETTLE_ROUNDS {
        if dirty_bytes() <= DIRTY_BYTES_MAX {
            return;
        }
        clock::sleep(Duration::from_millis(100));
    }
}

/// Bytes that the file system of a folder has left.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Busy and all ticks of all cores since the start.
fn ticks() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal
    let ticks: Vec<u64> = first.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

fn dirty_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    (of("Dirty:") + of("Writeback:")) * 1024
}

/// The type of the file system that holds a folder.
fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut best = (0, "an unknown file system".to_owned());
    for line in mounts.lines() {
        let mut fields = line.split_whitespace().skip(1);
        let (Some(at), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if folder.starts_with(at) && at.len() >= best.0 {
            best = (at.len(), kind.to_owned());
        }
    }
    best.1
}
