//! What opening makes of damage: holes, lost ends, files that do not belong there.

use super::tests::{crashed, ranges, stored_all};
use super::*;
use crate::log::rig::{BIG, PARTITION, Rig, SMALL, Script, payload_at};
use crate::log::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};

#[test]
fn damage_of_a_payload_below_the_mark_is_a_hole() {
    for config in [BIG, SMALL] {
        let (mut rig, entries) = crashed(config, 8, 2);
        // Entry 15 lies in the newest segment, or in a sealed one.
        let sequence = if config == BIG { 1 } else { 2 };
        let place = rig.frames(sequence).iter().find(|(_, h)| h.index == Index(15)).unwrap().0;
        rig.damage(sequence, payload_at(place) + 70, |bytes| bytes[0] ^= 1);
        rig.remove_indexes();
        let before = std::fs::read(rig.segment(sequence)).unwrap();
        let mut recovered = rig.restart();
        assert_eq!(ranges(&recovered.damage), [(12, 14)]);
        assert_eq!(recovered.last_index, Index(20));
        assert!(!recovered.lost_end);
        recovered = rig.restart();
        assert_eq!(ranges(&recovered.damage), [(12, 14)], "it is remembered");
        assert_eq!(std::fs::read(rig.segment(sequence)).unwrap(), before, "damage is never cut");
        let reader = rig.log.reader();
        let end = rig.log.last().2;
        assert_eq!(reader.read(Offset(0), end, usize::MAX, true).unwrap().next_offset, Offset(12));
        let refused = reader.read(Offset(13), end, usize::MAX, true).unwrap_err();
        assert_eq!(refused.to_string(), "offsets 13..=14 are damaged");
        assert_eq!(reader.read(Offset(15), end, usize::MAX, true).unwrap().batches.len(), 5);
        let read = reader.entries(Index(11), Index(21), usize::MAX).unwrap();
        assert_eq!(read, stored_all(&entries[..4]));
        assert!(reader.entries(Index(15), Index(21), usize::MAX).is_err());
        let mut script = Script { index: 21, term: 6, offset: 30 };
        rig.append(&script.batches(2));
        rig.settle();
        assert_eq!(rig.restart().last_index, Index(22));
    }
}

#[test]
fn damage_of_a_header_below_the_mark_is_a_hole_when_frames_go_on_behind_it() {
    for config in [BIG, SMALL] {
        let (mut rig, entries) = crashed(config, 8, 2);
        let sequence = if config == BIG { 1 } else { 2 };
        let place = rig.frames(sequence).iter().find(|(_, h)| h.index == Index(15)).unwrap().0;
        rig.damage(sequence, place + 20, |bytes| bytes[0] ^= 1);
        rig.remove_indexes();
        let recovered = rig.restart();
        assert_eq!(ranges(&recovered.damage), [(12, 14)]);
        assert_eq!((recovered.last_index, recovered.next_offset), (Index(20), Offset(30)));
        assert!(!recovered.lost_end);
        let (reader, end) = (rig.log.reader(), rig.log.last().2);
        assert_eq!(reader.read(Offset(0), end, usize::MAX, true).unwrap().next_offset, Offset(12));
        assert!(reader.read(Offset(12), end, usize::MAX, true).is_err());
        assert_eq!(reader.read(Offset(15), end, usize::MAX, true).unwrap().batches.len(), 5);
        assert_eq!(reader.entries(Index(16), Index(21), usize::MAX).unwrap(), stored_all(&entries[5..]));
        let mut script = Script { index: 21, term: 6, offset: 30 };
        rig.append(&script.batches(2));
        rig.settle();
        assert_eq!(rig.restart().last_index, Index(22));
    }
}

#[test]
fn a_payload_that_looks_like_frames_is_not_taken_for_the_log() {
    let mut rig = Rig::new(BIG);
    let mut script = Script::start();
    let mut entries = script.batches(2);
    // A record whose value holds a run of frames up to the durable mark, as if they followed entry 12.
    let mut forged = Script { index: 14, term: 6, offset: 100 };
    let mut gather = crate::log::Gather::default();
    let mut chain = 99;
    for entry in forged.batches(4) {
        chain = gather.push(&entry, chain).crc;
    }
    let value: Vec<u8> = gather.slices().iter().flat_map(|slice| slice.to_vec()).collect();
    let mut builder = caudal_proto::batch::Builder::new();
    builder.push(5, None, Some(&value), []).unwrap();
    let hostile = builder.finish(caudal_proto::batch::Codec::None, None).unwrap();
    let mut entry = script.noop();
    (entry.kind, entry.count, entry.payload) = (Kind::Batch, 1, hostile);
    script.offset += 1;
    entries.push(entry);
    entries.extend(script.batches(4));
    rig.append(&entries);
    rig.mark();
    let place = rig.frames(1)[2].0;
    rig.damage(1, place, |bytes| bytes[30] ^= 1);
    let recovered = rig.restart();
    assert_eq!(ranges(&recovered.damage), [(6, 6)]);
    assert_eq!((recovered.last_index, recovered.next_offset), (Index(17), Offset(19)));
    assert!(!recovered.lost_end);
}

#[test]
fn an_end_below_the_mark_is_lost_and_what_is_left_is_served() {
    let (mut rig, entries) = crashed(BIG, 5, 0);
    let place = rig.frames(1)[3].0;
    rig.damage(1, place, |bytes| bytes.fill(0));
    let before = std::fs::read(rig.segment(1)).unwrap();
    let recovered = rig.restart();
    assert!(recovered.lost_end);
    assert_eq!(recovered.last_index, Index(13));
    assert_eq!(rig.entries(), stored_all(&entries[..3]));
    assert_eq!(rig.offsets().len(), 3);
    assert!(rig.log.append(&Script { index: 14, term: 6, offset: 9 }.batches(1)).is_err());
    assert_eq!(std::fs::read(rig.segment(1)).unwrap(), before);
    assert!(rig.restart().lost_end);
}

#[test]
fn a_log_whose_files_are_gone_is_lost_and_never_made_anew() {
    let (mut rig, _) = crashed(BIG, 5, 0);
    std::fs::remove_dir_all(rig.folder()).unwrap();
    assert!(matches!(rig.try_reopen(), Err(OpenError::Missing { durable: Index(15), .. })));
    let mut rig = Rig::new(BIG);
    std::fs::remove_dir_all(rig.folder()).unwrap();
    assert!(matches!(rig.try_reopen(), Err(OpenError::NotMade { .. })), "nothing was ever in it");
}

#[test]
fn a_missing_segment_is_a_hole() {
    let (mut rig, entries) = crashed(SMALL, 8, 2);
    std::fs::remove_file(rig.segment(2)).unwrap();
    let recovered = rig.restart();
    assert_eq!(ranges(&recovered.damage), [(9, 17)]);
    assert_eq!(recovered.last_index, Index(20));
    let (reader, end) = (rig.log.reader(), rig.log.last().2);
    assert!(reader.read(Offset(9), end, usize::MAX, true).is_err());
    assert_eq!(reader.read(Offset(18), end, usize::MAX, true).unwrap().batches.len(), 4);
    assert_eq!(reader.entries(Index(17), Index(21), usize::MAX).unwrap(), stored_all(&entries[6..]));
    assert!(reader.entries(Index(15), Index(21), usize::MAX).is_err());
}

#[test]
fn a_damaged_first_frame_of_the_newest_segment_is_a_hole() {
    for header in [vec![0xFF; FRAME_HEADER_BYTES], vec![0; FRAME_HEADER_BYTES]] {
        let (mut rig, _) = crashed(SMALL, 6, 0);
        rig.damage(2, SEGMENT_HEADER_BYTES, |bytes| bytes[..FRAME_HEADER_BYTES].copy_from_slice(&header));
        let recovered = rig.restart();
        assert_eq!(ranges(&recovered.damage), [(9, 11)]);
        assert_eq!(recovered.last_index, Index(16));
        assert!(!recovered.lost_end);
        assert_eq!(rig.log.segments_len(), 2);
    }
}

#[test]
fn a_damaged_segment_header_hides_nothing() {
    let (mut rig, entries) = crashed(SMALL, 8, 0);
    for sequence in [1, 3] {
        rig.damage(sequence, 9, |bytes| bytes[0] ^= 1);
    }
    assert_eq!(rig.restart().last_index, Index(18));
    assert_eq!(rig.entries(), stored_all(&entries));
}

#[test]
fn a_file_with_frames_is_never_taken_for_an_unfinished_one() {
    let (mut rig, _) = crashed(SMALL, 6, 0);
    rig.damage(2, 0, |bytes| bytes[..SEGMENT_HEADER_BYTES as usize + 72].fill(0));
    let recovered = rig.restart();
    assert_eq!(ranges(&recovered.damage), [(9, 11)]);
    assert_eq!((recovered.last_index, recovered.lost_end), (Index(16), false));
}

#[test]
fn a_file_of_another_log_is_refused() {
    let (mut rig, _) = crashed(SMALL, 8, 0);
    let header = SegmentHeader { partition: PARTITION, generation: 2, sequence: 2 };
    rig.damage(2, 0, |bytes| bytes[..4096].copy_from_slice(&header.to_block()));
    assert!(matches!(rig.try_reopen(), Err(OpenError::Header { error: HeaderError::Foreign, .. })));
}

#[test]
fn an_unknown_kind_stops_the_log() {
    let (mut rig, _) = crashed(BIG, 2, 1);
    let (place, header) = rig.frames(1)[2];
    rig.damage(1, place, |bytes| {
        let mut changed = header.encode();
        changed[5] = 77;
        let crc = crc32fast::hash(&changed[..68]);
        changed[68..].copy_from_slice(&crc.to_le_bytes());
        bytes[..FRAME_HEADER_BYTES].copy_from_slice(&changed);
    });
    let error = rig.try_reopen().err().unwrap();
    assert!(error.to_string().contains("entry kind 77"), "{error}");
}
