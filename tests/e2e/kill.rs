//! `kill -9` at random moments under load: nothing acknowledged is lost, doubled, changed or out of order.
//!
//! Ten rounds; `CAUDAL_KILL_ROUNDS` asks for more. The page cache survives such a kill: what it says about syncs is
//! little, which is why there are real power cuts in `tests/faults/powercut.py`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use caudal_harness::broker_bin::{Broker, binary, caudal};
use caudal_harness::history_text::TextHistory;

use crate::api::start;

const TOPIC: &str = "kills";
const PARTITIONS: u32 = 3;

/// A seed that differs from run to run and is printed: the moments are random, the values are not.
fn seed() -> u64 {
    let drawn = tempfile::Builder::new().rand_bytes(8).tempfile().expect("a scratch file can be made");
    let name = drawn.path().as_os_str().as_encoded_bytes();
    name.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The next of a row of numbers that look random.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// `caudal produce` on one partition, which writes until it is told to end.
struct Writer {
    child: Child,
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    fn start(address: &str, partition: u32, history: &Arc<Mutex<Vec<String>>>) -> Writer {
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
    fn goes_on(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends its input; it must end well: every record acknowledged.
    fn finish(mut self) {
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
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn scan(broker: &Broker, history: &Mutex<Vec<String>>) {
    let form = r"read\t%p\t%o\t%v\n";
    let out =
        caudal(broker.address(), &["consume", TOPIC, "-o", "start", "-e", "-f", form], b"").expect("it runs");
    assert!(out.status.success(), "consume: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("values are text");
    let mut history = history.lock().expect("no panic");
    history.push("scan".to_owned());
    history.extend(text.lines().map(str::to_owned));
    history.push("end".to_owned());
}

fn rounds() -> u64 {
    std::env::var("CAUDAL_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

fn kill_rounds(data: &Path, durability: &str) {
    let mut broker = start(data, &[]);
    let partitions = PARTITIONS.to_string();
    let durability = format!("durability={durability}");
    // Small segments, so that kills meet rolls.
    let small = ["-c", "segment.bytes=1048576", "-c", "max.message.bytes=65536"];
    let create = [&["topic", "create", TOPIC, "-p", &partitions, "-c", &durability], &small[..]].concat();
    let out = caudal(broker.address(), &create, b"").expect("it runs");
    assert!(out.status.success(), "create: {}", String::from_utf8_lossy(&out.stderr));

    let mut random = seed();
    eprintln!("seed {random}");
    let history = Arc::new(Mutex::new(Vec::new()));
    let mut writers: Vec<Writer> =
        (0..PARTITIONS).map(|p| Writer::start(broker.address(), p, &history)).collect();
    let counts: Vec<_> = writers.iter().map(|w| Arc::clone(&w.acked)).collect();
    let acked = || counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
    for _ in 0..rounds() {
        // A kill before anything was acknowledged since the last one would prove nothing.
        let before = acked();
        while acked() < before + 50 {
            assert!(writers.iter_mut().all(Writer::goes_on), "a producer gave up: what it said is above");
            pause(1);
        }
        pause(next(&mut random) % 300);
        broker.kill().expect("a broker can be killed");
        if next(&mut random).is_multiple_of(4) {
            broker
                .restart_and_kill(Duration::from_millis(next(&mut random) % 50))
                .expect("it can be started");
        }
        broker.restart().expect("the broker starts again");
        if next(&mut random).is_multiple_of(2) {
            scan(&broker, &history);
        }
    }
    for writer in writers {
        writer.finish();
    }
    // What memory acknowledged becomes visible with the next sync. This kill comes before it, if it can.
    broker.kill().expect("a broker can be killed");
    broker.restart().expect("the broker starts again");
    scan(&broker, &history);
    assert!(broker.stop().expect("it stops").success());

    let mut text = TextHistory::default();
    for line in history.lock().expect("no panic").iter() {
        assert!(text.line(line), "{line:?}");
    }
    let report = text.report();
    eprintln!("{report}");
    assert!(report.proves_something() && !report.is_bad(), "{report}");
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    kill_rounds(&folder.path().join("data"), "synced");
}

#[test]
fn a_memory_acknowledgement_survives_the_death_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    kill_rounds(&folder.path().join("data"), "memory");
}
