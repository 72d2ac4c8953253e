//! The simulator: brokers' whole lives from one seed, with crashes, lost and torn writes, failing syncs, full disks, and
//! between them a network that loses, doubles, delays, reorders and cuts.
//!
//! `CAUDAL_SEEDS=FIRST..LAST` runs other seeds than the default ones, `CAUDAL_STEPS` longer lives, `CAUDAL_BROKERS`
//! another number of brokers. A failure prints the command that repeats it.

mod agreement;
mod broker;
mod coverage;
mod frames;
mod hosts;
mod moves;
mod network;
mod reading;
mod replies;
mod rng;
mod rot;
mod scenes;
mod world;
mod writer;

use coverage::Counts;
use world::run;

/// What lives are lived by default.
struct Plan {
    brokers: usize,
    seeds: std::ops::Range<u64>,
    steps: u64,
}

const ALONE: Plan = Plan { brokers: 1, seeds: 0..150, steps: 600 };
const THREE: Plan = Plan { brokers: 3, seeds: 0..100, steps: 1500 };
const FIVE: Plan = Plan { brokers: 5, seeds: 0..25, steps: 2500 };

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn seeds(plan: &Plan) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("CAUDAL_SEEDS") else { return plan.seeds.clone() };
    let (first, last) = text.split_once("..").expect("CAUDAL_SEEDS=FIRST..LAST");
    first.parse().expect("a number")..last.parse().expect("a number")
}

/// Lives the lives of a plan; what they came to together.
fn live(plan: &Plan) -> (u64, Counts) {
    let mut sum = Counts::default();
    if number("CAUDAL_BROKERS").is_some_and(|brokers| brokers as usize != plan.brokers) {
        return (0, sum);
    }
    let steps = number("CAUDAL_STEPS").unwrap_or(plan.steps);
    for seed in seeds(plan) {
        let outcome = run(seed, plan.brokers, steps);
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}: {:#?}\nagain: CAUDAL_BROKERS={} CAUDAL_SEEDS={seed}..{} CAUDAL_STEPS={steps} cargo test -p \
             caudal-tests --test sim",
            outcome.violations,
            plan.brokers,
            seed + 1,
        );
        sum += outcome.counts;
    }
    let count = seeds(plan).count() as u64;
    eprintln!("{count} lives of {} brokers: {sum:?}", plan.brokers);
    (count, sum)
}

#[test]
fn nothing_acknowledged_is_lost_whatever_happens_to_the_disk() {
    let (count, sum) = live(&ALONE);
    // A run whose faults had no effect proves nothing.
    assert!(sum.crashes >= count * 2, "{} crashes in {count} lives", sum.crashes);
    assert!(sum.acked >= count * 20, "{} records acknowledged in {count} lives", sum.acked);
}

#[test]
fn three_brokers_agree_and_lose_nothing_whatever_happens_to_them() {
    let (count, sum) = live(&THREE);
    assert!(sum.crashes >= count * 2, "{} crashes in {count} lives", sum.crashes);
    assert!(sum.leaders >= count * 6, "{} leaders in {count} lives", sum.leaders);
    assert!(sum.acked >= count * 20, "{} records acknowledged in {count} lives", sum.acked);
    assert!(sum.stalls >= count / 10, "{} stalled disks of leaders in {count} lives", sum.stalls);
    assert!(sum.early >= count, "{} batches acknowledged early in {count} lives", sum.early);
    assert!(sum.jumps >= count / 10, "{} jumps in {count} lives", sum.jumps);
    assert!(sum.data_jumps >= count / 50, "{} jumps of topics in {count} lives", sum.data_jumps);
    assert!(sum.truncations >= count / 25, "{} truncations in {count} lives", sum.truncations);
    assert!(sum.lost >= count / 20, "{} lost logs in {count} lives", sum.lost);
}

#[test]
fn five_brokers_agree_and_lose_nothing_whatever_happens_to_them() {
    let (count, sum) = live(&FIVE);
    assert!(sum.leaders >= count * 4, "{} leaders in {count} lives", sum.leaders);
    assert!(sum.acked >= count * 20, "{} records acknowledged in {count} lives", sum.acked);
    assert!(sum.jumps >= count, "{} jumps in {count} lives", sum.jumps);
    assert!(sum.joints >= count / 2, "{} joint configurations in {count} lives", sum.joints);
    assert!(sum.moves >= count, "{} moves in {count} lives", sum.moves);
    assert!(sum.joined >= count / 10 && sum.removed >= count / 10, "{sum:?} in {count} lives");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for (brokers, seed) in [(1, 1), (1, 2), (3, 3), (3, 4)] {
        assert_eq!(run(seed, brokers, 600).trace, run(seed, brokers, 600).trace, "seed {seed}");
    }
}
