//! `kill -9` at random moments under load: nothing acknowledged is lost, doubled, changed or out of order.
//!
//! Ten rounds; `CAUDAL_KILL_ROUNDS` asks for more. The page cache survives such a kill: what it says about syncs is
//! little, which is why there are real power cuts in `tests/faults/powercut.py`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caudal_harness::broker_bin::caudal;

use crate::api::start;
use crate::load::{PARTITIONS, TOPIC, Writer, judge, more_acked, next, pause, rounds, scan, seed};

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
    for _ in 0..rounds(10) {
        more_acked(&mut writers, 50);
        pause(next(&mut random) % 300);
        broker.kill().expect("a broker can be killed");
        if next(&mut random).is_multiple_of(4) {
            broker
                .restart_and_kill(Duration::from_millis(next(&mut random) % 50))
                .expect("it can be started");
        }
        broker.restart().expect("the broker starts again");
        if next(&mut random).is_multiple_of(2) {
            scan(broker.address(), &history);
        }
    }
    for writer in writers {
        writer.finish();
    }
    // What memory acknowledged becomes visible with the next sync. This kill comes before it, if it can.
    broker.kill().expect("a broker can be killed");
    broker.restart().expect("the broker starts again");
    scan(broker.address(), &history);
    assert!(broker.stop().expect("it stops").success());

    judge(&history);
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
