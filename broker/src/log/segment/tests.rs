//! Segment headers, and how empty segments are made.

use super::*;
use crate::log::DiskFs;
use crate::log::rig::PARTITION;

const HEADER: SegmentHeader = SegmentHeader { partition: PARTITION, generation: 2, sequence: 9 };

#[test]
fn a_header_names_exactly_one_segment() {
    let block = HEADER.to_block();
    assert_eq!(block.len() as u64, SEGMENT_HEADER_BYTES);
    assert_eq!(HEADER.check(&block), Ok(()));
    let other = PartitionId { partition: 4, ..PARTITION };
    for header in [
        SegmentHeader { partition: other, ..HEADER },
        SegmentHeader { generation: 3, ..HEADER },
        SegmentHeader { sequence: 10, ..HEADER },
    ] {
        assert_eq!(header.check(&block), Err(HeaderError::Foreign));
    }
}

#[test]
fn a_torn_or_changed_header_is_none() {
    let block = HEADER.to_block();
    for bit in 0..USED_BYTES * 8 {
        let mut changed = block.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(HEADER.check(&changed), Err(HeaderError::NotAHeader), "bit {bit}");
    }
    assert_eq!(HEADER.check(&block[..USED_BYTES - 1]), Err(HeaderError::NotAHeader));
    assert_eq!(HEADER.check(&[0; 4096]), Err(HeaderError::NotAHeader));
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut block = HEADER.to_block();
    block[4] = 2;
    let sum = crc32fast::hash(&block[..SUMMED_BYTES]);
    block[SUMMED_BYTES..USED_BYTES].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(HEADER.check(&block), Err(HeaderError::Version(2)));
}

#[test]
fn an_empty_segment_has_its_header_and_room_of_zeros_and_can_be_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = paths::segment_path(dir.path(), 9);
    for _ in 0..2 {
        create(&DiskFs, dir.path(), &HEADER, 64 * 1024).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 64 * 1024);
        assert_eq!(HEADER.check(&bytes), Ok(()));
        assert!(bytes[SEGMENT_HEADER_BYTES as usize..].iter().all(|&byte| byte == 0));
        // The next round finds a file that an interrupted job left.
        std::fs::write(&path, vec![7; 10_000]).unwrap();
    }
}
