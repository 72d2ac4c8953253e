//! Reads beside the writer.

use super::*;
use crate::ids::Term;
use crate::log::rig::{BIG, Rig, SMALL, Script, payload, payload_at, stored};
use crate::log::{Entry, FRAME_HEADER_BYTES, Kind, LogConfig};

fn filled(config: LogConfig, batches: usize) -> (Rig, Vec<Entry>) {
    let mut rig = Rig::new(config);
    let entries = Script::start().batches(batches);
    rig.append(&entries);
    rig.settle();
    (rig, entries)
}

fn bases(read: &ReadBatches) -> Vec<i64> {
    read.batches.iter().map(|b| caudal_proto::batch::Header::parse(b).unwrap().base_offset).collect()
}

#[test]
fn whole_batches_from_the_one_that_holds_the_offset_to_the_end_that_is_given() {
    for config in [BIG, SMALL] {
        let (rig, entries) = filled(config, 8);
        let reader = rig.log.reader();
        for from in 0..24 {
            for end in [24, 18, 3] {
                let read = reader.read(Offset(from), Offset(end), usize::MAX, true).unwrap();
                let expected: Vec<i64> = (from / 3 * 3..end).step_by(3).collect();
                assert_eq!(bases(&read), expected, "{from}..{end}");
                assert_eq!(read.next_offset, Offset(from.max(end)));
                for batch in &read.batches {
                    let header = caudal_proto::batch::check(batch).unwrap();
                    assert_eq!(batch, &stored(&entries[header.base_offset as usize / 3]).payload);
                }
                assert_eq!(read.bytes, read.batches.iter().map(Bytes::len).sum::<usize>());
            }
        }
        assert!(reader.read(Offset(24), Offset(24), usize::MAX, true).unwrap().batches.is_empty());
    }
}

#[test]
fn about_as_many_bytes_as_asked_for_and_at_least_one_batch() {
    for config in [BIG, SMALL] {
        let (rig, entries) = filled(config, 8);
        let (reader, one) = (rig.log.reader(), entries[0].payload.len());
        for (max, batches) in [(0, 1), (1, 1), (one, 1), (one + 1, 2), (4 * one, 4)] {
            let read = reader.read(Offset(4), Offset(24), max, true).unwrap();
            assert_eq!(read.batches.len(), batches, "{max} bytes");
            assert_eq!(read.next_offset, Offset(3 + 3 * batches as i64));
        }
    }
}

#[test]
fn offsets_between_batches_lead_to_the_next_one() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let mut entries = script.batches(2);
    script.offset += 100;
    entries.extend(script.batches(4));
    script.offset += 100;
    entries.push(script.noop());
    entries.extend(script.batches(1));
    rig.append(&entries);
    rig.settle();
    let reader = rig.log.reader();
    let end = Offset(script.offset);
    for from in [6, 50, 105] {
        assert_eq!(bases(&reader.read(Offset(from), end, 1, true).unwrap()), [106], "{from}");
    }
    for from in [118, 200, 217] {
        assert_eq!(bases(&reader.read(Offset(from), end, 1, true).unwrap()), [218], "{from}");
    }
    assert_eq!(reader.read(Offset(50), Offset(80), 1, true).unwrap().next_offset, Offset(80));
    assert_eq!(bases(&reader.read(Offset(0), end, usize::MAX, true).unwrap()).len(), 7);
}

#[test]
fn batches_are_slices_of_the_map() {
    let (rig, _) = filled(BIG, 2);
    let reader = rig.log.reader();
    let (a, b) = (
        reader.read(Offset(0), Offset(6), 1, true).unwrap(),
        reader.read(Offset(0), Offset(6), 1, false).unwrap(),
    );
    assert_eq!(a.batches[0].as_ptr(), b.batches[0].as_ptr());
}

#[test]
fn long_logs_are_read_from_everywhere_through_the_index() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    let mut entries = Vec::new();
    for n in 0..600 {
        entries.push(if n % 7 == 3 { script.noop() } else { script.sized(300) });
    }
    rig.append(&entries);
    rig.settle();
    assert!(rig.log.active.contents.indexes.read().0.entries().len() > 10);
    for restarted in [false, true] {
        if restarted {
            rig.close();
            rig.restart();
        }
        let (reader, end) = (rig.log.reader(), Offset(script.offset));
        for from in 0..script.offset {
            let read = reader.read(Offset(from), end, 1, true).unwrap();
            assert_eq!(bases(&read), [from / 3 * 3]);
        }
        for entry in &entries {
            let read = reader.entries(entry.index, entry.index.next(), 1).unwrap();
            assert_eq!(read, [stored(entry)]);
        }
    }
}

#[test]
fn a_reader_stays_valid_over_rolls_and_retention() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let reader = rig.log.reader();
    let mut held = Vec::new();
    for n in 0..12 {
        rig.append(&script.batches(1));
        rig.settle();
        held.extend(reader.read(Offset(3 * n), Offset(3 * n + 3), 1, true).unwrap().batches);
    }
    rig.log.set_log_start(Offset(10), Index(100));
    rig.settle();
    let gone = reader.read(Offset(9), Offset(36), 1, true).unwrap_err();
    assert_eq!(gone.to_string(), "the log begins at offset 10, entry 14");
    assert_eq!(bases(&reader.read(Offset(10), Offset(36), usize::MAX, true).unwrap()).len(), 9);
    assert!(matches!(reader.entries(Index(13), Index(20), 1), Err(ReadError::BelowStart { .. })));
    for (n, batch) in held.iter().enumerate() {
        let header = caudal_proto::batch::check(batch).unwrap();
        assert_eq!(header.base_offset, 3 * n as i64, "also of segments that are gone");
    }
}

#[test]
fn damage_found_by_a_read_is_marked_refused_and_passed_by() {
    for header in [false, true] {
        for config in [BIG, SMALL] {
            let (rig, _) = filled(config, 8);
            let sequence = if config == BIG { 1 } else { 2 };
            let place = rig.frames(sequence).iter().find(|(_, h)| h.base_offset == Offset(12)).unwrap().0;
            let at = if header { place + 30 } else { payload_at(place) + 65 };
            rig.damage(sequence, at, |bytes| bytes[0] ^= 4);
            let reader = rig.log.reader();
            let read = reader.read(Offset(0), Offset(24), usize::MAX, true).unwrap();
            assert_eq!(bases(&read), [0, 3, 6, 9]);
            let refused = reader.read(read.next_offset, Offset(24), usize::MAX, true).unwrap_err();
            assert!(matches!(refused, ReadError::Damaged { first: Offset(12), last: Offset(14) }));
            let read = reader.read(Offset(15), Offset(24), usize::MAX, true).unwrap();
            assert_eq!(bases(&read), [15, 18, 21]);
            assert_eq!(reader.damage().len(), 1);
            assert_eq!(reader.damage()[0].first, Offset(12));
            assert!(matches!(
                reader.entries(Index(15), Index(18), 1),
                Err(ReadError::DamagedEntry { index: Index(15) })
            ));
            assert_eq!(reader.entries(Index(11), Index(19), usize::MAX).unwrap().len(), 4);
        }
    }
}

#[test]
fn damage_at_the_end_reaches_to_the_end_that_was_asked_for() {
    let (rig, _) = filled(BIG, 5);
    let place = rig.frames(1)[3].0;
    rig.damage(1, place, |bytes| bytes[..600].fill(9));
    let refused = rig.log.reader().read(Offset(9), Offset(12), 1, true).unwrap_err();
    assert!(matches!(refused, ReadError::Damaged { first: Offset(9), last: Offset(11) }));
}

#[test]
fn the_recent_tail_is_read_unverified_and_everything_else_is_not() {
    let (rig, _) = filled(BIG, 2);
    let place = rig.frames(1)[0].0;
    rig.damage(1, payload_at(place) + 80, |bytes| bytes[0] ^= 1);
    let reader = rig.log.reader();
    assert_eq!(reader.read(Offset(0), Offset(6), 1, false).unwrap().batches.len(), 1);
    assert!(reader.read(Offset(0), Offset(6), 1, true).is_err());
}

#[test]
fn entries_are_copies_of_every_kind() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let entries = [script.noop(), script.batch(), script.command("c"), script.batch(), script.batch()];
    rig.append(&entries);
    rig.settle();
    let reader = rig.log.reader();
    let expected: Vec<Entry> = entries.iter().map(stored).collect();
    assert_eq!(reader.entries(Index(11), Index(16), usize::MAX).unwrap(), expected);
    assert_eq!(reader.entries(Index(12), Index(14), usize::MAX).unwrap(), expected[1..3]);
    assert_eq!(reader.entries(Index(12), Index(16), 1).unwrap(), expected[1..2]);
    let two = FRAME_HEADER_BYTES + 1;
    assert_eq!(reader.entries(Index(11), Index(16), two).unwrap(), expected[..2]);
    assert!(reader.entries(Index(16), Index(17), 1).unwrap().is_empty());
    assert!(matches!(reader.entries(Index(10), Index(12), 1), Err(ReadError::BelowStart { .. })));
}

#[test]
fn offsets_by_time_are_exact_whatever_order_clients_write_in() {
    let mut rig = Rig::new(SMALL);
    let mut script = Script::start();
    let times = [500, 100, 100, 900, 200, 903, 50, 2000, 10];
    let mut records = Vec::new();
    for &time in &times {
        let mut entry = script.noop();
        (entry.kind, entry.count, entry.payload) = (Kind::Batch, 3, payload(3, time, 100, None));
        (entry.max_timestamp, entry.base_offset) = (time + 2, Offset(script.offset));
        records.extend((0..3).map(|n| (script.offset + n, time + n)));
        script.offset += 3;
        rig.append(&[entry]);
    }
    rig.settle();
    assert!(rig.log.segments_len() > 2);
    for restarted in [false, true] {
        if restarted {
            rig.restart();
        }
        let reader = rig.log.reader();
        for end in [27, 12] {
            for time in [0, 50, 100, 102, 103, 499, 502, 503, 902, 904, 905, 906, 2001, 2003, i64::MAX] {
                let expected = records.iter().find(|&&(offset, at)| at >= time && offset < end).copied();
                let found = reader.offset_for_time(time, Offset(end)).unwrap();
                assert_eq!(found.map(|(offset, at)| (offset.0, at)), expected, "{time} below {end}");
            }
        }
    }
    rig.log.set_log_start(Offset(13), Index(10));
    let found = rig.log.reader().offset_for_time(0, Offset(27)).unwrap();
    assert_eq!(found, Some((Offset(13), 201)), "nothing before the log's start");
}

#[test]
fn times_in_a_compressed_batch_are_found() {
    use caudal_proto::batch::{Builder, Codec};
    let mut rig = Rig::new(BIG);
    let mut builder = Builder::new();
    for n in 0..50 {
        builder.push(100 + n, None, Some(b"value"), []).unwrap();
    }
    let mut entry = Script::start().noop();
    (entry.kind, entry.count, entry.max_timestamp) = (Kind::Batch, 50, 149);
    entry.payload = builder.finish(Codec::Zstd, None).unwrap();
    rig.append(&[entry]);
    let found = rig.log.reader().offset_for_time(120, Offset(50)).unwrap();
    assert_eq!(found, Some((Offset(20), 120)));
}

#[test]
fn the_log_knows_its_bytes() {
    let (rig, entries) = filled(SMALL, 8);
    let bytes: u64 = entries.iter().map(|e| (e.payload.len() + FRAME_HEADER_BYTES) as u64).sum();
    assert_eq!(rig.log.reader().bytes(), bytes);
    assert_eq!(rig.log.segments().iter().map(|facts| facts.bytes).sum::<u64>(), bytes);
    assert_eq!(rig.log.last(), (Index(18), Term(6), Offset(24)));
}
