//! The simulator: a broker's whole life from one seed, with crashes, lost and torn writes, failing syncs, full disks.
//!
//! `CAUDAL_SEEDS=FIRST..LAST` runs other seeds than the default ones, `CAUDAL_STEPS` longer lives. A failure prints
//! the command that repeats it.

mod broker;
mod frames;
mod reading;
mod replies;
mod rng;
mod world;
mod writer;

use world::{Outcome, run};

const STEPS: u64 = 600;
const SEEDS: std::ops::Range<u64> = 0..150;

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("CAUDAL_SEEDS") else { return SEEDS };
    let (first, last) = text.split_once("..").expect("CAUDAL_SEEDS=FIRST..LAST");
    first.parse().expect("a number")..last.parse().expect("a number")
}

fn steps() -> u64 {
    std::env::var("CAUDAL_STEPS").ok().map_or(STEPS, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_acknowledged_is_lost_whatever_happens_to_the_disk() {
    let (mut crashes, mut acked) = (0, 0);
    for seed in seeds() {
        let outcome: Outcome = run(seed, steps());
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}: {:#?}\nagain: CAUDAL_SEEDS={seed}..{} CAUDAL_STEPS={} cargo test -p caudal-tests --test sim",
            outcome.violations,
            seed + 1,
            steps(),
        );
        crashes += outcome.crashes;
        acked += outcome.acked;
    }
    // A run whose faults had no effect proves nothing.
    let count = seeds().count() as u64;
    eprintln!("{count} lives, {crashes} crashes, {acked} records acknowledged");
    assert!(crashes >= count * 2, "{crashes} crashes in {count} lives");
    assert!(acked >= count * 20, "{acked} records acknowledged in {count} lives");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed, STEPS).trace, run(seed, STEPS).trace, "seed {seed}");
    }
}
