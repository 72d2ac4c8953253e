//! The gates of the writer, step by step.

use super::*;
use crate::log::rig::{BIG, FIRST, Rig, SMALL, Script, stored};
use crate::log::{Job, MetaField, Round};

fn indexes(log: &Log) -> (u64, u64) {
    (log.written().0, log.synced().0)
}

fn jobs(round: &Round) -> Vec<String> {
    round
        .jobs
        .iter()
        .map(|job| match job {
            Job::Prepare { sequence, .. } => format!("prepare {sequence}"),
            Job::Remove { files, .. } => {
                format!("remove {}", files[0].file_name().unwrap().to_string_lossy())
            }
            _ => panic!("not a log's job"),
        })
        .collect()
}

fn metas(round: &Round) -> Vec<&MetaField> {
    round.meta.iter().map(|change| &change.what).collect()
}

#[test]
fn entries_are_written_at_once_and_synced_by_a_round() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    let entries = script.batches(3);
    rig.append(&entries);
    assert_eq!(indexes(&rig.log), (13, 10));
    let round = rig.plan();
    rig.append(&script.batches(1));
    rig.finish(round);
    assert_eq!(indexes(&rig.log), (14, 13), "a sync covers what was written before it began");
    rig.round();
    assert_eq!(indexes(&rig.log), (14, 14));
    assert_eq!(rig.entries()[..3], entries.iter().map(stored).collect::<Vec<_>>());
}

#[test]
fn an_idle_log_asks_for_nothing() {
    let mut rig = Rig::new(BIG);
    assert!(rig.plan().is_empty());
    rig.append(&Script::start().batches(2));
    rig.mark();
    assert!(!rig.log.has_work());
    rig.now_ms += 100_000;
    assert!(rig.plan().is_empty());
}

#[test]
fn the_durable_mark_speaks_of_completed_syncs_and_comes_once_a_second() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    let round = rig.plan();
    assert!(metas(&round).is_empty(), "nothing is synced yet");
    rig.finish(round);
    rig.append(&script.batches(1));
    let round = rig.plan();
    assert_eq!(metas(&round), [&MetaField::Durable { index: Index(12), term: Term(6) }]);
    rig.finish(round);
    rig.append(&script.batches(1));
    let round = rig.plan();
    assert!(metas(&round).is_empty(), "it was written a moment ago");
    rig.finish(round);
    rig.now_ms += 1000;
    let round = rig.plan();
    assert_eq!(metas(&round), [&MetaField::Durable { index: Index(14), term: Term(6) }]);
    rig.finish(round);
    assert_eq!(rig.meta().durable_index, 14);
}

#[test]
fn a_full_segment_is_synced_and_sealed_before_the_next_one_is_written() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    rig.append(&script.batches(5));
    assert_eq!(rig.log.written(), Index(13), "two wait for the next segment");
    let round = rig.plan();
    assert_eq!(jobs(&round), ["prepare 2"]);
    assert_eq!(round.sync.len(), 1);
    rig.finish(round);
    assert_eq!(indexes(&rig.log), (15, 13));
    assert_eq!(rig.log.segments_len(), 2);
    rig.settle();
    let facts = rig.log.segments();
    let ends: Vec<_> = facts.iter().map(|f| (f.first_index.0, f.last_index.0, f.sealed)).collect();
    assert_eq!(ends, [(11, 13, true), (14, 15, false)]);
    assert_eq!(rig.entries().len(), 5);
}

#[test]
fn what_is_written_after_the_sync_began_keeps_a_segment_open() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    let round = rig.plan();
    assert_eq!(jobs(&round), ["prepare 2"], "half full");
    rig.append(&script.batches(2));
    assert_eq!(rig.log.written(), Index(13));
    rig.finish(round);
    assert_eq!(rig.log.written(), Index(13), "entry 13 is in no completed sync: entry 14 still waits");
    rig.round();
    assert_eq!(rig.log.written(), Index(14));
}

#[test]
fn an_entry_larger_than_a_segment_gets_one_of_its_own() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let entries = [script.batch(), script.sized(50_000), script.batch()];
    rig.append(&entries);
    rig.settle();
    assert_eq!(rig.log.segments().iter().map(|f| f.last_index.0).collect::<Vec<_>>(), [11, 12, 13]);
    assert_eq!(rig.offsets(), [(0, 2), (3, 5), (6, 8)]);
    assert_eq!(rig.restart().last_index, Index(13));
}

#[test]
fn a_segment_is_sealed_by_age_also_when_nothing_more_comes() {
    let mut rig = Rig::new(LogConfig { segment_ms: 1000, ..BIG });
    rig.append(&Script::start().batches(2));
    rig.settle();
    rig.log.roll_if_old(1011 + 999);
    assert!(!rig.log.has_work());
    rig.log.roll_if_old(1011 + 1000);
    rig.settle();
    assert_eq!(rig.log.segments_len(), 2);
    rig.log.roll_if_old(i64::MAX);
    rig.settle();
    assert_eq!(rig.log.segments_len(), 2, "an empty segment has no age");
}

#[test]
fn a_no_op_has_no_age() {
    let mut rig = Rig::new(LogConfig { segment_ms: 1000, ..BIG });
    let mut script = Script::start();
    let noop = script.noop();
    rig.append(&[noop]);
    rig.settle();
    rig.log.roll_if_old(i64::MAX);
    assert!(!rig.log.has_work());
    rig.append(&script.batches(1));
    rig.settle();
    rig.log.roll_if_old(1012 + 999);
    assert!(!rig.log.has_work());
    rig.log.roll_if_old(1012 + 1000);
    rig.settle();
    assert_eq!(rig.log.segments_len(), 2);
}

#[test]
fn a_smaller_segment_size_acts_at_once() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    rig.append(&script.batches(4));
    rig.log.set_config(SMALL);
    rig.append(&script.batches(1));
    rig.settle();
    assert_eq!(rig.log.segments_len(), 2);
    assert_eq!(rig.log.written(), Index(15));
}

#[test]
fn entries_that_do_not_follow_are_refused() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    rig.append(&script.batches(3));
    let good = script.batch();
    for wrong in [
        Entry { index: Index(15), ..good.clone() },
        Entry { index: Index(5), ..good.clone() },
        Entry { term: Term(5), ..good.clone() },
        Entry { base_offset: Offset(8), ..good.clone() },
        Entry { append_time: 0, ..good.clone() },
        Entry { count: 0, ..good.clone() },
        Entry { kind: Kind::Noop, ..good.clone() },
        Entry { payload: bytes::Bytes::from_static(b"short"), ..good.clone() },
    ] {
        assert!(rig.log.append(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
    }
    rig.append(&[good]);
    assert_eq!(rig.log.written(), Index(14));
}

#[test]
fn a_suffix_that_no_mark_speaks_of_is_cut_at_once() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    let mut other = Script { term: 7, ..script };
    rig.append(&script.batches(3));
    let round = rig.plan();
    let entries = [other.noop(), other.batch()];
    rig.append(&entries);
    assert_eq!(rig.log.truncations(), 1);
    assert_eq!(indexes(&rig.log), (14, 10));
    rig.finish(round);
    assert_eq!(indexes(&rig.log), (14, 12), "the sync began before the cut");
    rig.settle();
    assert_eq!(indexes(&rig.log), (14, 14));
    assert_eq!(rig.entries()[2..], entries.iter().map(stored).collect::<Vec<_>>());
    assert_eq!(rig.frames(1).len(), 4, "the next header's place is zeros");
}

#[test]
fn a_cut_below_the_durable_mark_waits_until_the_mark_is_lowered() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    let mut other = Script { term: 7, ..script };
    rig.append(&script.batches(3));
    rig.mark();
    assert_eq!(rig.meta().durable_index, 15);
    let before = rig.frames(1);
    rig.append(&[other.batch()]);
    assert_eq!(indexes(&rig.log), (12, 12));
    assert_eq!(rig.frames(1), before, "nothing is overwritten yet");
    let round = rig.plan();
    assert_eq!(metas(&round), [&MetaField::LowerDurable { index: Index(12), term: Term(6) }]);
    rig.finish(round);
    assert_eq!(indexes(&rig.log), (13, 12));
    rig.mark();
    assert_eq!((rig.meta().durable_index, rig.meta().durable_term), (13, 7));
}

#[test]
fn a_second_cut_while_the_first_waits_counts_alone() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    let (second, mut third) = (Script { term: 8, ..script }, Script { term: 7, ..script });
    rig.append(&script.batches(3));
    rig.mark();
    third.index += 1;
    third.offset += 3;
    rig.append(&[third.batch()]);
    let round = rig.plan();
    let mut second = second;
    rig.append(&[second.batch()]);
    rig.finish(round);
    assert_eq!(rig.log.written(), Index(12), "the lower cut waits for a mark of its own");
    rig.settle();
    assert_eq!(indexes(&rig.log), (13, 13));
    assert_eq!(rig.entries()[2].term, Term(8));
    assert_eq!(rig.entries().len(), 3);
}

#[test]
fn waiting_entries_are_cut_in_memory() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let mut other = script;
    rig.append(&script.batches(6));
    assert_eq!(rig.log.written(), Index(13));
    other.batches(4);
    other.term = 7;
    rig.append(&[other.batch()]);
    rig.settle();
    assert_eq!(rig.log.written(), Index(15));
    assert_eq!(rig.entries().iter().map(|entry| entry.term.0).collect::<Vec<_>>(), [6, 6, 6, 6, 7]);
}

#[test]
fn a_cut_into_a_sealed_segment_removes_those_behind_it_first_the_newest_first() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    let mut other = Script { term: 7, ..script };
    rig.append(&script.batches(7));
    rig.mark();
    assert_eq!(rig.log.segments_len(), 3);
    let entries = other.batches(4);
    rig.append(&entries);
    assert_eq!(indexes(&rig.log), (12, 12));
    let round = rig.plan();
    assert_eq!(metas(&round), [&MetaField::LowerDurable { index: Index(12), term: Term(6) }]);
    let removed = jobs(&round);
    assert_eq!(
        removed[removed.len() - 3..],
        ["remove 0000000003.log", "remove 0000000002.log", "remove 0000000001.idx"]
    );
    rig.finish(round);
    assert!(!rig.segment(2).exists());
    assert_eq!(rig.log.written(), Index(13));
    rig.settle();
    assert_eq!(rig.log.written(), Index(16));
    assert_eq!(rig.entries()[2..], entries.iter().map(stored).collect::<Vec<_>>());
    let recovered = rig.restart();
    assert_eq!(
        (recovered.last_index, recovered.terms),
        (Index(16), vec![(Index(11), Term(6)), (Index(13), Term(7))])
    );
}

#[test]
fn room_is_taken_ahead_and_grows_by_doubling() {
    let mut rig = Rig::new(BIG);
    let length = |rig: &Rig| std::fs::metadata(rig.segment(1)).unwrap().len();
    assert_eq!(length(&rig), 64 * 1024);
    rig.log.reserve(1000).unwrap();
    assert_eq!(length(&rig), 64 * 1024);
    rig.log.reserve(60_000).unwrap();
    assert_eq!(length(&rig), 128 * 1024);
    rig.log.reserve(900_000).unwrap();
    assert_eq!(length(&rig), 1 << 20);
}

#[test]
fn room_for_several_entries_adds_up_until_they_are_appended() {
    let mut rig = Rig::new(BIG);
    for _ in 0..3 {
        rig.log.reserve(30_000).unwrap();
    }
    assert_eq!(std::fs::metadata(rig.segment(1)).unwrap().len(), 128 * 1024);
}

#[test]
fn log_start_drops_whole_segments_below_both_marks_after_the_meta_record() {
    let mut rig = Rig::new(SMALL);
    rig.append(&Script::start().batches(8));
    rig.settle();
    assert_eq!(rig.log.segments_len(), 3);
    rig.log.set_log_start(Offset(13), Index(12));
    let round = rig.plan();
    assert_eq!(jobs(&round), [] as [&str; 0], "entry 13 may still be needed");
    rig.finish(round);
    assert_eq!(rig.log.start().log_start, Offset(13));
    rig.log.set_log_start(Offset(13), Index(18));
    let round = rig.plan();
    let start = rig.log.start();
    assert_eq!((start.first_index, start.next_offset, start.log_start), (Index(14), Offset(9), Offset(13)));
    assert_eq!(metas(&round), [&MetaField::Start(start)]);
    assert_eq!(jobs(&round), ["remove 0000000001.log"]);
    rig.finish(round);
    assert!(!rig.segment(1).exists());
    assert_eq!(
        rig.offsets(),
        [(12, 14), (15, 17), (18, 20), (21, 23)],
        "the batch that holds the start is whole"
    );
    let recovered = rig.restart();
    assert_eq!((recovered.last_index, rig.log.start()), (Index(18), start));
    assert_eq!(rig.log.segments()[0].first_index, Index(14));
    assert_eq!(rig.entries().len(), 5);
}

#[test]
fn a_log_that_is_dropped_as_a_whole_gives_its_bytes_back() {
    let mut rig = Rig::new(BIG);
    rig.append(&Script::start().batches(8));
    rig.settle();
    rig.log.set_log_start(Offset(24), Index(18));
    rig.settle();
    assert!(!rig.segment(1).exists());
    assert_eq!(rig.log.reader().bytes(), 0);
    let recovered = rig.restart();
    assert_eq!((recovered.last_index, recovered.next_offset), (Index(18), Offset(24)));
    assert_eq!((rig.log.start().first_index, recovered.last_term), (Index(19), Term(6)));
}

#[test]
fn the_recent_tail_begins_with_this_process() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    rig.append(&script.batches(2));
    assert!(rig.log.reader().is_recent(Offset(0)));
    rig.settle();
    rig.restart();
    assert!(!rig.log.reader().is_recent(Offset(5)));
    assert!(rig.log.reader().is_recent(Offset(6)));
    let config = LogConfig { segment_bytes: 64 << 20, ..BIG };
    let mut rig = Rig::new(config);
    let mut script = Script::start();
    for _ in 0..20 {
        rig.append(&[script.sized(200_000)]);
    }
    assert!(!rig.log.reader().is_recent(Offset(0)));
    assert!(rig.log.reader().is_recent(Offset(script.offset - 1)));
    assert_eq!(FIRST + 20, script.index);
}
