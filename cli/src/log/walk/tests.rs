//! What a walk finds in whole, torn and damaged segments.

use std::io::Write;

use caudal_broker::ids::{Offset, PartitionId, Term};
use caudal_broker::log::{Entry, Kind};
use caudal_proto::batch::{Builder, Codec, stamp};

use super::*;

const UNKNOWN: Surroundings = Surroundings { before: None, newest: true, durable: Index(0) };

/// A segment of batches with one record each, and where each frame begins; the last one is where the next would.
fn segment(entries: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = SegmentHeader { partition: PartitionId::CONTROL, generation: 1, sequence: 1 }.to_block();
    let mut positions = vec![bytes.len()];
    let mut prev = 7;
    for index in 5..5 + entries {
        let offset = i64::try_from(index).unwrap() + 95;
        let mut builder = Builder::new();
        builder.push(1000, None, Some(b"value of some length"), []).unwrap();
        let mut batch = builder.finish(Codec::None, None).unwrap().to_vec();
        stamp(&mut batch, offset, 3);
        let entry = Entry {
            index: Index(index),
            term: Term(3),
            kind: Kind::Batch,
            base_offset: Offset(offset),
            count: 1,
            max_timestamp: 1000,
            append_time: 2000,
            payload: batch.into(),
        };
        let header = FrameHeader::of(&entry, prev);
        prev = header.crc;
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&entry.payload);
        positions.push(bytes.len());
    }
    bytes.resize(bytes.len() + 5000, 0);
    (bytes, positions)
}

fn walk(bytes: &[u8], around: Surroundings) -> Vec<Step> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut walk = Walk::open(file.path(), around).unwrap();
    let mut steps = Vec::new();
    while let Some(step) = walk.step().unwrap() {
        steps.push(step);
    }
    steps
}

/// The indexes of the intact frames, and the bad ranges.
fn sort(steps: &[Step]) -> (Vec<u64>, Vec<(u64, u64)>, u64) {
    let (mut frames, mut bad, mut torn) = (Vec::new(), Vec::new(), 0);
    for step in steps {
        match step {
            Step::Frame { header, .. } => frames.push(header.index.0),
            Step::Bad(range) => bad.push((range.from, range.to)),
            Step::Torn { bytes, .. } => torn += bytes,
        }
    }
    (frames, bad, torn)
}

#[test]
fn a_whole_segment_has_only_frames() {
    let (bytes, positions) = segment(4);
    let steps = walk(&bytes, UNKNOWN);
    assert_eq!(sort(&steps), (vec![5, 6, 7, 8], vec![], 0));
    let Step::Frame { position, header, .. } = &steps[1] else { panic!("{steps:?}") };
    assert_eq!((*position, header.base_offset), (positions[1] as u64, Offset(101)));
}

#[test]
fn a_flipped_bit_anywhere_in_a_frame_is_named_and_the_others_are_read() {
    let (bytes, positions) = segment(4);
    for at in positions[1]..positions[2] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 16;
        let (frames, bad, torn) = sort(&walk(&bytes, UNKNOWN));
        assert_eq!(frames, [5, 7, 8], "byte {at}");
        assert_eq!(bad, [(positions[1] as u64, positions[2] as u64)], "byte {at}");
        assert_eq!(torn, 0, "byte {at}");
    }
}

#[test]
fn an_unfinished_write_is_a_torn_tail_only_where_it_can_be_one() {
    let (bytes, positions) = segment(3);
    let mut cut = bytes[..positions[3] - 10].to_vec();
    cut.resize(bytes.len(), 0);
    let tail = (positions[2], positions[3] - 10);
    let (frames, bad, torn) = sort(&walk(&cut, UNKNOWN));
    assert_eq!((frames, bad), (vec![5, 6], vec![]));
    assert_eq!(torn, (tail.1 - tail.0) as u64);
    for around in [Surroundings { newest: false, ..UNKNOWN }, Surroundings { durable: Index(7), ..UNKNOWN }] {
        let (frames, bad, torn) = sort(&walk(&cut, around));
        assert_eq!(frames, [5, 6], "{around:?}");
        assert_eq!(bad.len(), 1, "{around:?}");
        assert_eq!(bad[0].0, tail.0 as u64, "{around:?}");
        assert_eq!(torn, 0, "{around:?}");
    }
}

#[test]
fn an_end_that_is_gone_below_the_durable_mark_is_damage() {
    let (bytes, positions) = segment(3);
    let mut gone = bytes[..positions[2]].to_vec();
    gone.resize(bytes.len(), 0);
    assert_eq!(sort(&walk(&gone, UNKNOWN)), (vec![5, 6], vec![], 0));
    let (frames, bad, _) = sort(&walk(&gone, Surroundings { durable: Index(7), ..UNKNOWN }));
    assert_eq!((frames, bad), (vec![5, 6], vec![(positions[2] as u64, positions[2] as u64)]));
}

#[test]
fn a_frame_of_another_history_is_no_frame_of_this_one() {
    let (bytes, _) = segment(2);
    let before = |index, chain| Tip {
        index: Index(index),
        term: Term(3),
        next_offset: Offset(100),
        append_time: 0,
        chain,
    };
    let follows = Surroundings { before: Some(before(4, 7)), ..UNKNOWN };
    assert_eq!(sort(&walk(&bytes, follows)).0, [5, 6]);
    let (_, bad, _) =
        sort(&walk(&bytes, Surroundings { before: Some(before(4, 8)), newest: false, ..UNKNOWN }));
    assert_eq!(bad.len(), 1);
    let steps = walk(&bytes, Surroundings { before: Some(before(2, 7)), ..UNKNOWN });
    let Step::Bad(range) = &steps[0] else { panic!("{steps:?}") };
    assert!(range.why.contains("entries 3 to 4 are missing"), "{range:?}");
    assert_eq!(sort(&steps).0, [5, 6]);
}

#[test]
fn hostile_files_end() {
    assert!(matches!(walk(b"", UNKNOWN)[..], [Step::Bad(_)]));
    assert!(matches!(walk(&[0xff; 3000], UNKNOWN)[..], [Step::Bad(_)]));
    let (mut bytes, positions) = segment(1);
    // A header that claims four gigabytes, with a checksum that fits.
    let header = FrameHeader::parse(&bytes[positions[0]..]).unwrap();
    let large = FrameHeader { payload_len: u32::MAX, ..header }.encode();
    bytes[positions[0]..positions[0] + large.len()].copy_from_slice(&large);
    let (frames, bad, torn) = sort(&walk(&bytes, UNKNOWN));
    assert_eq!((frames, bad), (vec![], vec![]));
    assert!(torn > 0);
}
