//! Producers that write while brokers are killed, and the history of what they and the readers were told.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use caudal_harness::broker_bin::{binary, caudal};
use caudal_harness::history_text::TextHistory;

/// The topic that is written to.
pub(crate) const TOPIC: &str = "kills";

/// Its partitions.
pub(crate) const PARTITIONS: u32 = 3;

/// A seed that differs from run to run and is printed: the moments are random, the values are not.
pub(crate) fn seed() -> u64 {
    let drawn = tempfile::Builder::new().rand_bytes(8).tempfile().expect("a scratch file can be made");
    let name = drawn.path().as_os_str().as_encoded_bytes();
    name.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The next of a row of numbers that look random.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// `caudal produce` on one partition, which writes until it is told to end.
pub(crate) struct Writer {
    child: Child,
    stop: Arc<AtomicBool>,
    /// Records acknowledged so far.
    pub(crate) acked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(address: &str, partition: u32, history: &Arc<Mutex<Vec<String>>>) -> Writer {
        let mut child = Command::new(binary())
            .args(["produce", TOPIC, "-p", &partition.to_string(), "--print", r"%p\t%o\t%v\n"])
            .env("CAUDAL_BROKERS", address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary under test runs");
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let feed = std::thread::spawn({
            let (stop, history) = (stop.clone(), history.clone());
            move || {
                for place in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let value = format!("{partition}-{place}-{}", "x".repeat((place % 7 * 40) as usize));
                    history
                        .lock()
                        .expect("no panic")
                        .push(format!("send\t{partition}\t{partition}\t{value}"));
                    if writeln!(stdin, "{value}").is_err() {
                        return;
                    }
                    if place % 20 == 0 {
                        pause(2);
                    }
                }
            }
        });
        let listen = std::thread::spawn({
            let (acked, history) = (acked.clone(), history.clone());
            move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    history.lock().expect("no panic").push(format!("ack\t{line}"));
                    acked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Writer { child, stop, acked, threads: vec![feed, listen] }
    }

    /// Whether it has not ended.
    pub(crate) fn goes_on(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends its input; it must end well: every record acknowledged.
    pub(crate) fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let status = self.child.wait().expect("it can be waited for");
        assert!(status.success(), "caudal produce ended with {status}");
        for thread in self.threads {
            thread.join().expect("no panic");
        }
    }
}

/// Lets the load go on for a while; nothing is decided by how long.
#[expect(clippy::disallowed_methods, reason = "the moment of a kill is random, and load is paced")]
pub(crate) fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Reads everything there is, as seen from the brokers at `address`.
pub(crate) fn scan(address: &str, history: &Mutex<Vec<String>>) {
    let form = r"read\t%p\t%o\t%v\n";
    let out = caudal(address, &["consume", TOPIC, "-o", "start", "-e", "-f", form], b"").expect("it runs");
    assert!(out.status.success(), "consume: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("values are text");
    let mut history = history.lock().expect("no panic");
    history.push("scan".to_owned());
    history.extend(text.lines().map(str::to_owned));
    history.push("end".to_owned());
}

/// How many rounds, where not `CAUDAL_KILL_ROUNDS` says so.
pub(crate) fn rounds(default: u64) -> u64 {
    std::env::var("CAUDAL_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// The same for rounds in which brokers stand still: `CAUDAL_PAUSE_ROUNDS`.
pub(crate) fn pauses(default: u64) -> u64 {
    std::env::var("CAUDAL_PAUSE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// How long a broker stands still, in milliseconds: some moments, where not `CAUDAL_PAUSE_SECONDS` says so.
pub(crate) fn standstill(random: &mut u64) -> u64 {
    let asked = std::env::var("CAUDAL_PAUSE_SECONDS").ok().and_then(|n| n.parse::<u64>().ok());
    asked.map_or_else(|| 1000 + next(random) % 2000, |seconds| seconds * 1000)
}

/// Waits until more is acknowledged than before: a fault under no load would prove nothing.
pub(crate) fn more_acked(writers: &mut [Writer], more: u64) {
    let acked =
        |writers: &[Writer]| writers.iter().map(|writer| writer.acked.load(Ordering::Relaxed)).sum::<u64>();
    let before = acked(writers);
    while acked(writers) < before + more {
        assert!(writers.iter_mut().all(Writer::goes_on), "a producer gave up: what it said is above");
        pause(1);
    }
}

/// Judges what was written down.
pub(crate) fn judge(history: &Mutex<Vec<String>>) {
    let mut text = TextHistory::default();
    for line in history.lock().expect("no panic").iter() {
        assert!(text.line(line), "{line:?}");
    }
    let report = text.report();
    eprintln!("{report}");
    assert!(report.proves_something() && !report.is_bad(), "{report}");
}
