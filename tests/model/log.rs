//! A log against a `Vec` of entries, while the process and the power die at any moment, calls fail, and a leader
//! overwrites what is not committed.
//!
//! What must hold after each end: every entry that was reported as synced, and not cut since, is there; what is there
//! is the beginning of a history that was; nothing counts as damaged; readers get, byte for byte, what was committed.

mod check;
mod damage;
mod entries;
mod world;

use proptest::prelude::*;

use entries::Maker;
use world::{Step, World};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1..6usize, 0..400usize).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        6 => Just(Step::Plan),
        6 => Just(Step::Finish),
        2 => (0..12u64, 1..4usize).prop_map(|(back, count)| Step::Overwrite { back, count }),
        3 => Just(Step::Commit),
        3 => (any::<u16>(), 0..3000usize).prop_map(|(at, bytes)| Step::Read { at, bytes }),
        1 => any::<u16>().prop_map(|at| Step::ReadEntries { at }),
        1 => any::<u16>().prop_map(|at| Step::ByTime { at }),
        1 => any::<u16>().prop_map(|at| Step::MoveStart { at }),
        1 => Just(Step::Roll),
        1 => (0..3u64).prop_map(|size| Step::Configure { size }),
        1 => (0..5000u64).prop_map(|bytes| Step::Reserve { bytes }),
        2 => any::<bool>().prop_map(|power| Step::Crash { power }),
        1 => Just(Step::Close),
        2 => (0..40u64, any::<bool>()).prop_map(|(after, power)| Step::CutAfter { after, power }),
        1 => (0..4u64, any::<bool>()).prop_map(|(after, write)| Step::Fail { after, write }),
        1 => (0..30_000u64).prop_map(|room| Step::FullDisk { room }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_synced_is_there_after_every_end(seed: u64, steps in steps()) {
        let mut world = World::new(seed);
        for step in &steps {
            world.run(step);
        }
        world.finish();
    }
}

/// An ordinary life, with the power cut at every single call of it.
#[test]
fn a_cut_at_every_call() {
    let life = [
        Step::Append { count: 5, bytes: 300 },
        Step::Plan,
        Step::Append { count: 3, bytes: 300 },
        Step::Finish,
        Step::Plan,
        Step::Finish,
        Step::Append { count: 9, bytes: 200 },
        Step::Plan,
        Step::Finish,
        Step::Plan,
        Step::Finish,
        Step::Overwrite { back: 12, count: 3 },
        Step::Plan,
        Step::Finish,
        Step::Plan,
        Step::Finish,
        Step::Commit,
        Step::MoveStart { at: u16::MAX },
        Step::Plan,
        Step::Finish,
        Step::Append { count: 2, bytes: 10 },
        Step::Plan,
        Step::Finish,
    ];
    let mut world = World::new(0);
    for step in &life {
        world.run(step);
    }
    let calls = world.finish();
    for after in 0..calls {
        let mut world = World::new(after);
        world.run(&Step::CutAfter { after, power: true });
        for step in &life {
            world.run(step);
        }
        world.finish();
    }
}

/// One flipped byte of a log at rest: exactly the entry that holds it is damaged, or, where nothing goes on behind it,
/// the end is known to be lost. Everything else is served.
#[test]
fn one_flipped_byte_damages_one_entry() {
    let mut lost = 0;
    for seed in 0..150 {
        let mut world = World::new(seed);
        let mut maker = Maker::new(seed);
        for _ in 0..4 {
            world.run(&Step::Append { count: 1 + maker.below(5) as usize, bytes: maker.below(400) as usize });
            world.settle();
        }
        lost += u64::from(world.flip_and_check());
    }
    assert!((1..75).contains(&lost), "{lost} of 150 flips hit the last header");
}

/// A block of a log at rest that cannot be read: only entries in it are damaged, everything else is served.
#[test]
fn an_unreadable_block_damages_what_it_holds() {
    let mut opened = 0;
    for seed in 0..60 {
        let mut world = World::new(seed);
        world.run(&Step::Configure { size: 40 });
        for _ in 0..6 {
            world.run(&Step::Append { count: 20, bytes: 500 });
            world.settle();
        }
        opened += u64::from(world.lose_block_and_check());
    }
    assert!(opened >= 40, "{opened} of 60 logs opened");
}
