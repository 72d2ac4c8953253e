//! Opening after crashes and damage. Power cuts between any two writes are in `tests/model/`.

use super::*;
use crate::log::rig::{BIG, FIRST, PARTITION, Rig, SMALL, Script, payload_at, stored};

/// A log of so many batches that a crash hits; with `marked` of them below the durable mark.
pub(super) fn crashed(config: LogConfig, marked: usize, unmarked: usize) -> (Rig, Vec<Entry>) {
    let mut rig = Rig::new(config);
    let mut script = Script::start();
    let mut entries = script.batches(marked);
    rig.append(&entries);
    rig.mark();
    let more = script.batches(unmarked);
    rig.append(&more);
    rig.settle();
    entries.extend(more);
    (rig, entries)
}

pub(super) fn stored_all(entries: &[Entry]) -> Vec<Entry> {
    entries.iter().map(stored).collect()
}

pub(super) fn ranges(damage: &[OffsetRange]) -> Vec<(i64, i64)> {
    damage.iter().map(|range| (range.first.0, range.last.0)).collect()
}

#[test]
fn an_empty_log_opens_empty() {
    let mut rig = Rig::new(BIG);
    let recovered = rig.restart();
    assert_eq!((recovered.last_index, recovered.last_term), (Index(FIRST - 1), Term(5)));
    assert_eq!((recovered.next_offset, recovered.terms.len()), (Offset(0), 0));
    assert!(!recovered.lost_end);
}

#[test]
fn everything_written_is_there_again_and_is_synced_by_opening() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let mut entries = vec![script.noop()];
    entries.extend(script.batches(4));
    script.term = 9;
    entries.push(script.command("do"));
    entries.extend(script.batches(3));
    rig.append(&entries);
    while rig.log.written().0 < script.index - 1 {
        rig.round();
    }
    let chain = rig.log.chain();
    let recovered = rig.restart();
    assert_eq!((recovered.last_index, recovered.last_term), (Index(script.index - 1), Term(9)));
    assert_eq!((recovered.next_offset, recovered.append_time), (Offset(21), 1019));
    assert_eq!(recovered.terms, [(Index(11), Term(6)), (Index(16), Term(9))]);
    assert_eq!(recovered.chain, chain);
    assert_eq!(recovered.control, [entries[0].clone(), entries[5].clone()]);
    assert_eq!(rig.log.synced(), rig.log.written());
    assert_eq!(rig.entries(), stored_all(&entries));
    rig.append(&script.batches(2));
    rig.settle();
    assert_eq!(rig.entries().len(), entries.len() + 2);
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    let entries: Vec<Entry> = (0..4).map(|_| script.sized(1)).collect();
    rig.append(&entries[..2]);
    rig.mark();
    rig.append(&entries[2..]);
    rig.settle();
    let frames = rig.frames(1);
    let (start, middle, end) = (frames[2].0, frames[3].0, frames[3].0 + frames[3].1.frame_bytes());
    let whole = std::fs::read(rig.segment(1)).unwrap();
    for torn in start..end {
        let mut bytes = whole.clone();
        bytes[torn as usize..end as usize].fill(if torn % 8 == 0 { 0 } else { 0xEE });
        std::fs::write(rig.segment(1), &bytes).unwrap();
        let recovered = rig.open_log();
        // Zeros in the place of zeros are no tear.
        let intact = |to: u64| bytes[..to as usize] == whole[..to as usize];
        let left = 2 + usize::from(intact(middle)) + usize::from(intact(end));
        assert_eq!(recovered.last_index, Index(FIRST - 1 + left as u64), "torn at {torn}");
        assert!(!recovered.lost_end && recovered.damage.is_empty());
        rig.log = recovered.log;
        assert_eq!(rig.entries(), stored_all(&entries[..left]));
    }
}

#[test]
fn after_the_cut_the_next_header_s_place_is_zeros_on_disk() {
    let (mut rig, _) = crashed(BIG, 2, 2);
    let frames = rig.frames(1);
    rig.damage(1, payload_at(frames[2].0) + 50, |bytes| bytes[0] ^= 1);
    assert_eq!(rig.restart().last_index, Index(12));
    let bytes = std::fs::read(rig.segment(1)).unwrap();
    let place = frames[2].0 as usize;
    assert!(bytes[place..place + FRAME_HEADER_BYTES].iter().all(|&byte| byte == 0));
    assert!(bytes[place + FRAME_HEADER_BYTES..].iter().any(|&byte| byte != 0), "old bytes follow");
}

#[test]
fn frames_behind_a_torn_one_are_not_believed() {
    let (mut rig, entries) = crashed(BIG, 2, 3);
    let frames = rig.frames(1);
    rig.damage(1, frames[3].0, |bytes| bytes[..FRAME_HEADER_BYTES].fill(0));
    assert_eq!(rig.restart().last_index, Index(13));
    // Another entry of the same size in the torn one's place: the old frame behind it must stay dead.
    let mut script = Script { index: 14, term: 7, offset: 9 };
    rig.append(&script.batches(1));
    rig.settle();
    let recovered = rig.restart();
    assert_eq!((recovered.last_index, recovered.last_term), (Index(14), Term(7)));
    assert_eq!(rig.entries()[..3], stored_all(&entries[..3]));
}

#[test]
fn a_mixture_of_two_truncated_histories_is_not_believed() {
    // Entries 12 and 13 of term 6; then 12 of term 7 took the place of 12, and the cut left 13 of term 6 behind it.
    let (mut rig, _) = crashed(BIG, 1, 2);
    let frames = rig.frames(1);
    let old = std::fs::read(rig.segment(1)).unwrap();
    let mut other = Script { index: 12, term: 7, offset: 3 };
    rig.append(&other.batches(1));
    rig.settle();
    let thirteen = frames[2].0 as usize..(frames[2].0 + frames[2].1.frame_bytes()) as usize;
    rig.damage(1, frames[2].0, |bytes| bytes[..thirteen.len()].copy_from_slice(&old[thirteen]));
    let recovered = rig.restart();
    assert_eq!((recovered.last_index, recovered.last_term), (Index(12), Term(7)));
}

#[test]
fn frames_of_another_partition_are_not_believed() {
    let (mut rig, _) = crashed(BIG, 0, 2);
    let frames = rig.frames(1);
    let other = crc32fast::hash(b"another partition");
    rig.damage(1, frames[0].0, |bytes| {
        let header = FrameHeader { prev: other, ..frames[0].1 };
        bytes[..FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
    });
    assert_eq!(rig.restart().last_index, Index(FIRST - 1));
}

#[test]
fn index_files_are_caches() {
    let (mut rig, entries) = crashed(SMALL, 10, 0);
    rig.close();
    let whole = rig.restart();
    let facts = rig.log.segments();
    for change in [0, 1, 2] {
        for sequence in 1..=4 {
            let path = paths::index_path(&rig.folder(), sequence);
            let Ok(mut bytes) = std::fs::read(&path) else { continue };
            if bytes.is_empty() {
                continue;
            }
            match change {
                0 => bytes.clear(),
                1 => bytes.truncate(bytes.len() - 1),
                _ => *bytes.last_mut().unwrap() ^= 1,
            }
            std::fs::write(&path, bytes).unwrap();
        }
        let again = rig.restart();
        assert_eq!(rig.log.segments(), facts);
        assert_eq!((again.chain, &again.terms), (whole.chain, &whole.terms));
        assert_eq!(rig.entries(), stored_all(&entries));
    }
    rig.remove_indexes();
    rig.restart();
    assert_eq!(rig.log.segments(), facts);
    assert!(paths::index_path(&rig.folder(), 1).exists(), "made anew");
}

#[test]
fn an_index_file_of_an_older_history_is_not_believed() {
    let (mut rig, entries) = crashed(SMALL, 4, 0);
    let stale = std::fs::read(paths::index_path(&rig.folder(), 1)).unwrap();
    let mut other = Script { index: 12, term: 7, offset: 3 };
    let new = other.batches(4);
    rig.append(&new);
    rig.settle();
    std::fs::write(paths::index_path(&rig.folder(), 1), stale).unwrap();
    let recovered = rig.restart();
    assert_eq!(recovered.terms, [(Index(11), Term(6)), (Index(12), Term(7))]);
    let mut expected = vec![stored(&entries[0])];
    expected.extend(stored_all(&new));
    assert_eq!(rig.entries(), expected);
}

#[test]
fn after_a_clean_stop_only_the_end_of_the_newest_segment_is_read() {
    let (mut rig, _) = crashed(BIG, 5, 3);
    rig.close();
    // Damage below the checkpoint is found by whoever reads it, not by opening.
    let place = rig.frames(1)[1].0;
    rig.damage(1, payload_at(place) + 70, |bytes| bytes[0] ^= 1);
    let recovered = rig.restart();
    assert!(recovered.damage.is_empty());
    assert_eq!(recovered.last_index, Index(18));
    assert!(rig.log.reader().read(Offset(3), rig.log.last().2, 1, true).is_err());
    assert_eq!(ranges(&rig.log.damage()), [(3, 5)]);
}

#[test]
fn a_checkpoint_of_frames_that_were_cut_is_not_believed() {
    let (mut rig, _) = crashed(BIG, 5, 0);
    rig.close();
    rig.restart();
    let mut other = Script { index: 13, term: 7, offset: 6 };
    rig.append(&other.batches(4));
    rig.mark();
    let recovered = rig.restart();
    assert_eq!(recovered.terms, [(Index(11), Term(6)), (Index(13), Term(7))]);
    assert_eq!(rig.entries().len(), 6);
}

#[test]
fn a_cut_removes_the_index_file_before_it_overwrites() {
    let (mut rig, entries) = crashed(BIG, 5, 0);
    rig.close();
    rig.restart();
    let index = paths::index_path(&rig.folder(), 1);
    let stale = std::fs::read(&index).unwrap();
    // So short that the old last frame stays where it was, behind the new end.
    let mut other = Script { index: 13, term: 7, offset: 6 };
    rig.append(&[other.noop(), other.noop(), other.noop()]);
    assert_eq!(rig.log.written(), Index(12));
    let round = rig.plan();
    assert!(index.exists());
    rig.finish(round);
    assert!(!index.exists());
    assert_eq!(rig.log.written(), Index(15));
    rig.mark();
    assert_eq!(rig.restart().terms, [(Index(11), Term(6)), (Index(13), Term(7))]);
    assert_eq!(rig.entries()[..2], stored_all(&entries[..2]));
    // With the file there it would be believed: that is why it goes first.
    std::fs::write(&index, stale).unwrap();
    assert_eq!(rig.restart().last_term, Term(6));
}

#[test]
fn producers_are_known_again_across_segments_and_without_index_files() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let mut entries: Vec<Entry> = Vec::new();
    for n in 0..24 {
        entries.push(script.produced(if n < 12 { 1 } else { 2 + n % 2 }, n as i32 * 2));
    }
    rig.append(&entries);
    rig.settle();
    assert!(rig.log.segments_len() > 2);
    let with = rig.restart().producers;
    rig.remove_indexes();
    let without = rig.restart().producers;
    assert_eq!(with, without);
    let of =
        |id: i64| with.iter().filter(|b| b.producer_id == id).map(|b| b.first_sequence).collect::<Vec<_>>();
    assert_eq!(of(1), [4, 6, 8, 10, 12, 14, 16, 18, 20, 22]);
    assert_eq!(of(2), [24, 28, 32, 36, 40, 44]);
    assert!(with.is_sorted_by_key(|batch| batch.index));
    let last = with.last().unwrap();
    assert_eq!((last.producer_id, last.epoch, last.count), (3, 1, 2));
    assert_eq!((last.index, last.base_offset), (Index(34), Offset(46)));
}

#[test]
fn producers_of_a_cut_suffix_are_forgotten() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let mut other = script;
    let kept: Vec<Entry> = (0..8).map(|n| script.produced(1, n * 2)).collect();
    for n in 0..8 {
        other.produced(1, n * 2);
    }
    rig.append(&kept);
    let cut: Vec<Entry> = (8..30).map(|n| script.produced(1, n * 2)).collect();
    rig.append(&cut);
    rig.mark();
    other.term = 7;
    rig.append(&[other.noop()]);
    rig.settle();
    for _ in 0..2 {
        let producers = rig.restart().producers;
        let sequences: Vec<i32> = producers.iter().map(|batch| batch.first_sequence).collect();
        assert_eq!(sequences, [0, 2, 4, 6, 8, 10, 12, 14]);
    }
}

#[test]
fn control_entries_are_given_above_what_is_applied() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let entries: Vec<Entry> =
        (0..40).map(|n| if n % 4 == 0 { script.noop() } else { script.command("change") }).collect();
    rig.append(&entries);
    rig.settle();
    let change = |what| crate::log::MetaChange { partition: PARTITION, what };
    let round = crate::log::Round {
        meta: vec![
            change(crate::log::MetaField::Snapshot { index: Index(20), term: Term(6) }),
            change(crate::log::MetaField::Conf { applied: Index(30), voters: Default::default() }),
        ],
        ..Default::default()
    };
    rig.disk.run(vec![round]).unwrap();
    let recovered = rig.restart();
    assert_eq!(recovered.control, entries[20..], "entries 31 and on");
    let commands: Vec<u64> = recovered.commands.iter().map(|entry| entry.index.0).collect();
    assert_eq!(commands, [21, 22, 24, 25, 26, 28, 29, 30]);
}

#[test]
fn a_prepared_segment_is_taken_again_and_an_unfinished_one_goes() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    rig.settle();
    assert!(rig.segment(2).exists());
    std::fs::write(rig.segment(3), [0; 5000]).unwrap();
    rig.restart();
    assert!(rig.segment(2).exists() && !rig.segment(3).exists());
    rig.append(&script.batches(3));
    rig.settle();
    assert_eq!(rig.log.segments_len(), 2);
    assert_eq!(rig.restart().last_index, Index(15));
}

#[test]
fn a_torn_first_frame_leaves_the_segment_before_sealed() {
    let (mut rig, entries) = crashed(SMALL, 3, 1);
    let place = rig.frames(2)[0].0;
    rig.damage(2, place, |bytes| bytes[5] ^= 1);
    let recovered = rig.restart();
    assert_eq!(recovered.last_index, Index(13));
    assert!(!recovered.lost_end);
    let mut script = Script { index: 14, term: 8, offset: 9 };
    rig.append(&script.batches(1));
    rig.settle();
    rig.restart();
    assert_eq!(rig.entries()[..3], stored_all(&entries[..3]));
    assert_eq!(rig.entries()[3].term, Term(8));
}

#[test]
fn segments_below_the_start_are_swept_when_their_removal_was_cut_short() {
    let (mut rig, _) = crashed(SMALL, 8, 0);
    let kept: Vec<_> = [1, 2].map(|n| (rig.segment(n), std::fs::read(rig.segment(n)).unwrap())).into();
    rig.log.set_log_start(Offset(20), Index(18));
    rig.settle();
    for (path, bytes) in &kept {
        std::fs::write(path, bytes).unwrap();
    }
    let recovered = rig.restart();
    assert_eq!(recovered.last_index, Index(18));
    assert!(kept.iter().all(|(path, _)| !path.exists()));
    assert!(recovered.damage.is_empty());
}
