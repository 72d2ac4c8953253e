//! What the system says of this process and of the disk under its data folder. Linux only, like the broker.

use std::path::Path;

/// The process, as `/proc` shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessReading {
    /// Memory that lies in RAM, with the mapped pages of segments that others may use too.
    pub resident_bytes: u64,
    /// Of it, what is this process's own: no page of a file.
    pub anonymous_bytes: u64,
    /// Processor time, of all threads, in user and kernel mode.
    pub cpu_seconds: f64,
    /// File descriptors that are open.
    pub open_files: u64,
    /// Threads.
    pub threads: u64,
}

/// The file system of a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskReading {
    /// Its size.
    pub size_bytes: u64,
    /// What this process may still write.
    pub free_bytes: u64,
}

/// The process; `None` where `/proc` is not there.
pub fn read() -> Option<ProcessReading> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let kilobytes = |name: &str| field(&status, name).map_or(0, |kilobytes| kilobytes * 1024);
    Some(ProcessReading {
        resident_bytes: kilobytes("VmRSS:"),
        anonymous_bytes: kilobytes("RssAnon:"),
        cpu_seconds: cpu_ticks(&stat)? as f64 / rustix::param::clock_ticks_per_second() as f64,
        open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
        threads: field(&status, "Threads:").unwrap_or(0),
    })
}

/// The disk under `folder`. May block where the disk does.
pub fn disk(folder: &Path) -> Option<DiskReading> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(DiskReading { size_bytes: disk.f_blocks * disk.f_frsize, free_bytes: disk.f_bavail * disk.f_frsize })
}

/// The number of a line of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and kernel time in `/proc/self/stat`: the 14th and 15th field, counted behind the name, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, kernel): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive() {
        let process = read().unwrap();
        assert!(process.resident_bytes > 0 && process.open_files > 0 && process.threads > 0);
        assert!(process.anonymous_bytes <= process.resident_bytes);
        let disk = disk(Path::new("/")).unwrap();
        assert!(disk.size_bytes > 0 && disk.free_bytes <= disk.size_bytes);
        assert_eq!(super::disk(Path::new("/there/is/nothing")), None);
    }

    #[test]
    fn a_name_with_brackets_does_not_mislead() {
        let stat = "1 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 70 7 0";
        assert_eq!(cpu_ticks(stat), Some(77));
        assert_eq!(cpu_ticks("1 (a"), None);
    }
}
