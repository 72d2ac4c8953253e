//! The table by example; `oracle.rs` compares it with a naive one.

use super::*;

mod oracle;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A log of one partition as a leader makes it: one record a second.
#[derive(Default)]
struct Log {
    table: Producers,
    last: u64,
    now: i64,
}

impl Log {
    fn append(&mut self, id: i64, epoch: i16, first_sequence: i32, count: u32) -> ProducerFrame {
        self.last += 1;
        self.now += 1000;
        let frame = ProducerFrame {
            index: Index(self.last),
            term: Term(1),
            base_offset: Offset(self.last as i64 * 100),
            count,
            append_time: self.now,
            producer_id: id,
            epoch,
            first_sequence,
        };
        self.table.append(frame);
        frame
    }

    fn commit(&mut self) {
        self.table.commit(Index(self.last));
    }
}

fn committed(frame: ProducerFrame) -> Verdict {
    Verdict::DuplicateCommitted {
        base_offset: frame.base_offset,
        index: frame.index,
        term: frame.term,
        append_time: frame.append_time,
    }
}

fn out_of_order(sequence: i32, expected: i32) -> Verdict {
    Verdict::Refuse(Refusal::OutOfOrderSequence { producer_id: 7, sequence, expected })
}

fn duplicate(sequence: i32) -> Verdict {
    Verdict::Refuse(Refusal::DuplicateSequence { producer_id: 7, sequence })
}

#[test]
fn an_unknown_producer_begins_at_zero_in_any_epoch() {
    let table = Producers::default();
    assert_eq!(table.check(7, 0, 0, 5), Verdict::Accept);
    assert_eq!(table.check(7, 9, 0, 5), Verdict::Accept);
    let unknown = Verdict::Refuse(Refusal::ProducerUnknown { producer_id: 7 });
    assert_eq!(table.check(7, 0, 1, 5), unknown);
}

#[test]
fn the_next_batch_is_accepted_and_a_gap_is_not() {
    let mut log = Log::default();
    log.append(7, 0, 0, 5);
    for committed in [false, true] {
        if committed {
            log.commit();
        }
        assert_eq!(log.table.check(7, 0, 5, 1), Verdict::Accept);
        assert_eq!(log.table.check(7, 0, 6, 1), out_of_order(6, 5));
        assert_eq!(log.table.check(7, 0, 3, 2), out_of_order(3, 5), "a part of a batch is no repeat");
        assert_eq!(log.table.check(8, 0, 0, 1), Verdict::Accept, "another producer");
    }
}

#[test]
fn a_repeat_waits_for_the_first_copy_and_then_has_its_receipt() {
    let mut log = Log::default();
    let first = log.append(7, 0, 0, 5);
    assert_eq!(log.table.check(7, 0, 0, 5), Verdict::DuplicatePending(first));
    let second = log.append(7, 0, 5, 2);
    assert_eq!(log.table.check(7, 0, 0, 5), Verdict::DuplicatePending(first));
    log.table.commit(first.index);
    assert_eq!(log.table.check(7, 0, 0, 5), committed(first));
    assert_eq!(log.table.check(7, 0, 5, 2), Verdict::DuplicatePending(second));
    assert_eq!(log.table.check(7, 0, 5, 3), out_of_order(5, 7), "as many records belong to a repeat");
}

#[test]
fn five_batches_are_remembered_and_older_repeats_are_said_to_be_in_the_log() {
    let mut log = Log::default();
    let frames: Vec<_> = (0..8).map(|n| log.append(7, 0, n * 10, 10)).collect();
    assert_eq!(log.table.check(7, 0, 0, 10), Verdict::DuplicatePending(frames[0]));
    log.commit();
    for frame in &frames[3..] {
        assert_eq!(log.table.check(7, 0, frame.first_sequence, 10), committed(*frame));
    }
    for frame in &frames[..3] {
        assert_eq!(log.table.check(7, 0, frame.first_sequence, 10), duplicate(frame.first_sequence));
    }
    assert_eq!(log.table.check(7, 0, 25, 10), out_of_order(25, 80), "overlaps what is remembered");
}

#[test]
fn sequences_go_from_the_largest_to_zero() {
    let mut log = Log::default();
    log.append(7, 0, 0, 1);
    log.commit();
    let before = log.append(7, 0, i32::MAX - 1, 1);
    log.commit();
    assert_eq!(log.table.check(7, 0, i32::MAX, 3), Verdict::Accept);
    let across = log.append(7, 0, i32::MAX, 3);
    log.commit();
    assert_eq!(log.table.check(7, 0, 2, 1), Verdict::Accept);
    assert_eq!(log.table.check(7, 0, i32::MAX, 3), committed(across));
    assert_eq!(log.table.check(7, 0, i32::MAX - 1, 1), committed(before));
    assert_eq!(log.table.check(7, 0, i32::MAX - 20, 5), duplicate(i32::MAX - 20));
    assert_eq!(log.table.check(7, 0, 3, 1), out_of_order(3, 2));
}

#[test]
fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
    let mut log = Log::default();
    log.append(7, 1, 0, 5);
    log.commit();
    assert_eq!(log.table.check(7, 2, 5, 1), out_of_order(5, 0));
    assert_eq!(log.table.check(7, 2, 0, 1), Verdict::Accept);
    let fenced = |epoch, current_epoch| {
        Verdict::Refuse(Refusal::ProducerFenced { producer_id: 7, epoch, current_epoch })
    };
    assert_eq!(log.table.check(7, 0, 0, 5), fenced(0, 1));
    let newer = log.append(7, 2, 0, 1);
    assert_eq!(log.table.check(7, 1, 0, 5), fenced(1, 2), "also before it is committed");
    assert_eq!(log.table.check(7, 2, 0, 1), Verdict::DuplicatePending(newer));
    log.commit();
    assert_eq!(log.table.check(7, 2, 0, 1), committed(newer));
    assert_eq!(log.table.check(7, 1, 5, 1), fenced(1, 2));
}

#[test]
fn a_truncation_takes_the_overlay_back() {
    let mut log = Log::default();
    let first = log.append(7, 0, 0, 5);
    log.commit();
    log.append(7, 0, 5, 5);
    log.append(7, 1, 0, 5);
    log.append(8, 0, 0, 5);
    log.table.truncate(Index(2));
    assert_eq!(log.table.check(7, 0, 5, 5), Verdict::Accept);
    assert_eq!(log.table.check(7, 0, 0, 5), committed(first));
    assert_eq!(log.table.check(8, 0, 0, 5), Verdict::Accept);
    log.commit();
    assert_eq!(log.table.len(), 1);
}

#[test]
fn an_append_at_an_old_index_takes_the_place_of_what_was_there() {
    let mut log = Log::default();
    log.append(7, 0, 0, 5);
    let lost = log.append(7, 0, 5, 5);
    let instead = ProducerFrame { producer_id: 8, term: Term(2), first_sequence: 0, ..lost };
    log.table.append(instead);
    assert_eq!(log.table.check(7, 0, 5, 5), Verdict::Accept);
    assert_eq!(log.table.check(8, 0, 0, 5), Verdict::DuplicatePending(instead));
}

#[test]
fn a_producer_expires_a_day_after_its_last_batch_when_another_batch_is_folded() {
    let mut log = Log::default();
    let last = log.append(7, 0, 0, 5);
    log.commit();
    log.now = last.append_time + DAY_MS - 1000;
    log.append(8, 0, 0, 1);
    assert_eq!(log.table.check(7, 0, 5, 1), Verdict::Accept, "a day old to the ms, and nothing folded");
    log.commit();
    assert_eq!(log.table.check(7, 0, 5, 1), Verdict::Accept, "a day old to the ms");
    log.append(8, 0, 1, 1);
    log.commit();
    assert_eq!(log.table.check(7, 0, 5, 1), Verdict::Refuse(Refusal::ProducerUnknown { producer_id: 7 }));
    assert_eq!(log.table.check(7, 0, 0, 1), Verdict::Accept);
}

#[test]
fn above_the_limit_the_producer_that_wrote_longest_ago_is_forgotten() {
    let mut log = Log { table: Producers::with_limit(3), ..Log::default() };
    for id in 1..=3 {
        log.append(id, 0, 0, 1);
    }
    log.append(1, 0, 1, 1);
    log.append(4, 0, 0, 1);
    log.commit();
    assert_eq!(log.table.len(), 3);
    assert_eq!(log.table.check(1, 0, 2, 1), Verdict::Accept);
    assert_eq!(log.table.check(2, 0, 1, 1), Verdict::Refuse(Refusal::ProducerUnknown { producer_id: 2 }));
}

#[test]
fn a_forgotten_producer_that_comes_back_does_not_find_its_old_batches() {
    let mut log = Log::default();
    log.append(7, 0, 0, 5);
    log.commit();
    log.now += DAY_MS;
    let back = log.append(7, 0, 0, 3);
    log.commit();
    assert_eq!(log.table.check(7, 0, 0, 3), committed(back));
    assert_eq!(log.table.check(7, 0, 0, 5), out_of_order(0, 3));
}

#[test]
fn what_was_folded_before_is_passed_over() {
    let mut log = Log::default();
    let frames = [log.append(7, 0, 0, 5), log.append(7, 0, 5, 5)];
    log.commit();
    let before = log.table.clone();
    for frame in frames {
        log.table.fold(frame);
    }
    assert_eq!(log.table, before);
}

#[test]
fn a_snapshot_holds_the_committed_part_only() {
    let mut log = Log::default();
    log.append(8, 3, 0, 1);
    for n in 0..7 {
        log.append(7, 1, n * 3, 3);
    }
    log.commit();
    let table = log.table.clone();
    log.append(7, 1, 21, 1);
    let restored = Producers::restore(&log.table.snapshot()).unwrap();
    assert_eq!(restored, table);
    assert_eq!(restored.snapshot(), table.snapshot());
}

#[test]
fn snapshots_that_cannot_be_are_errors() {
    assert!(matches!(Producers::restore(&[255; 9]), Err(ProducersError::Malformed(_))));
    assert_eq!(Producers::restore(&[]), Err(ProducersError::Version { found: 0 }));
    assert_eq!(Producers::restore(&[8, 2]), Err(ProducersError::Version { found: 2 }));
    // A producer without a batch.
    assert_eq!(Producers::restore(&[8, 1, 26, 2, 8, 7]), Err(ProducersError::Producer { producer_id: 7 }));
    let mut log = Log::default();
    log.append(7, 0, 0, 5);
    log.append(8, 0, 0, 5);
    log.commit();
    let snapshot = log.table.snapshot();
    let twice = [&snapshot[..], &snapshot[..]].concat();
    assert_eq!(Producers::restore(&twice), Err(ProducersError::Producer { producer_id: 7 }));
}

#[test]
fn fields_of_a_later_release_are_passed_over() {
    // Version 1, folded 9, and of producer 7 in epoch 0 the reserved field 3 and a batch at index 9, sequence 0, count 1.
    let later = [8, 1, 16, 9, 26, 14, 8, 7, 16, 0, 24, 5, 130, 1, 5, 8, 9, 16, 1, 32, 1];
    let mut later = later.to_vec();
    later[5] = (later.len() - 6) as u8;
    later[14] = (later.len() - 15) as u8;
    let table = Producers::restore(&later).unwrap();
    assert_eq!(table.check(7, 0, 1, 1), Verdict::Accept);
}
