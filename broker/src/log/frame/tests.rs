//! Frames byte by byte.

use super::*;
use crate::log::Gather;
use crate::log::rig::{Script, stored};

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut gather = Gather::default();
    let mut chain = 7;
    for entry in entries {
        chain = gather.push(entry, chain).crc;
    }
    gather.slices().iter().flat_map(|slice| slice.to_vec()).collect()
}

#[test]
fn a_header_lies_on_disk_as_the_format_says() {
    let entry = Entry {
        index: Index(0x0102_0304),
        term: Term(9),
        kind: Kind::Command,
        base_offset: Offset(5),
        count: 0,
        max_timestamp: -1,
        append_time: 77,
        payload: Bytes::from_static(b"123456789"),
    };
    let bytes = FrameHeader::of(&entry, 0xAABB_CCDD).encode();
    let mut expected = Vec::new();
    expected.extend_from_slice(b"CDLF");
    expected.extend_from_slice(&[1, 3, 0, 0, 72, 0, 0, 0, 9, 0, 0, 0]);
    expected.extend_from_slice(&[4, 3, 2, 1, 0, 0, 0, 0]);
    expected.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(&[5, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(&[0, 0, 0, 0]);
    expected.extend_from_slice(&0xE306_9283_u32.to_le_bytes()); // CRC32C's check value
    expected.extend_from_slice(&[0xFF; 8]);
    expected.extend_from_slice(&[77, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(&[0xDD, 0xCC, 0xBB, 0xAA]);
    assert_eq!(bytes[..68], expected);
    assert_eq!(bytes[68..], crc32fast::hash(&expected).to_le_bytes());
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let header = FrameHeader::of(&Script::start().batch(), 3);
    assert_eq!(FrameHeader::parse(&header.encode()), Ok(header));
    assert_eq!(FrameHeader::parse(&header.encode()[..71]), Err(FrameError::Short));
    assert_eq!(FrameHeader::parse(&[0; 72]), Err(FrameError::Magic));
}

#[test]
fn no_changed_bit_of_a_header_passes() {
    let bytes = FrameHeader::of(&Script::start().batch(), 3).encode();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(FrameHeader::parse(&changed).is_err(), "bit {bit}");
    }
}

#[test]
fn an_intact_header_of_another_form_is_told_from_damage() {
    let summed = |change: fn(&mut [u8])| {
        let mut bytes = FrameHeader::of(&Script::start().noop(), 3).encode();
        change(&mut bytes);
        let crc = crc32fast::hash(&bytes[..68]);
        bytes[68..].copy_from_slice(&crc.to_le_bytes());
        FrameHeader::parse(&bytes)
    };
    assert_eq!(summed(|bytes| bytes[4] = 2), Err(FrameError::Version { version: 2, flags: 0 }));
    assert_eq!(summed(|bytes| bytes[6] = 1), Err(FrameError::Version { version: 1, flags: 1 }));
    assert_eq!(summed(|bytes| bytes[8] = 80), Err(FrameError::Version { version: 1, flags: 0 }));
    assert_eq!(summed(|bytes| bytes[5] = 99), Err(FrameError::Kind(99)));
}

#[test]
fn a_batch_is_stamped_on_its_way_and_the_entry_keeps_its_bytes() {
    for bytes in [10, 5000] {
        let mut script = Script { index: 20, term: 9, offset: 1234 };
        let entry = script.sized(bytes);
        let before = entry.payload.clone();
        let written = written(std::slice::from_ref(&entry));
        assert_eq!(entry.payload, before);
        assert_eq!(written[72..], stored(&entry).payload);
        let header = caudal_proto::batch::check(&written[72..]).unwrap();
        assert_eq!((header.base_offset, header.leader_epoch), (1234, 9));
        assert_eq!(header.crc, FrameHeader::of(&entry, 7).payload_crc);
    }
}

#[test]
fn a_frame_is_the_same_for_the_producer_s_bytes_and_for_stored_ones() {
    let entry = Script { index: 20, term: 9, offset: 1234 }.batch();
    assert_eq!(written(std::slice::from_ref(&entry)), written(&[stored(&entry)]));
}

#[test]
fn no_changed_byte_of_a_stored_batch_passes() {
    let entry = Script { index: 20, term: 9, offset: 1234 }.batch();
    let (header, payload) = (FrameHeader::of(&entry, 7), stored(&entry).payload);
    assert!(header.check_payload(&payload));
    for at in 0..payload.len() {
        let mut changed = payload.to_vec();
        changed[at] ^= 0x10;
        assert!(!header.check_payload(&changed), "byte {at}");
    }
    assert!(!header.check_payload(&payload[1..]));
    assert!(!header.check_payload(&entry.payload), "not stamped");
}

#[test]
fn frames_of_one_write_are_chained_and_small_ones_share_a_slice() {
    let mut script = Script::start();
    let entries = [script.batch(), script.noop(), script.command("x"), script.sized(3000), script.batch()];
    let mut gather = Gather::default();
    let mut tip = Tip { index: Index(10), term: Term(5), next_offset: Offset(0), append_time: 0, chain: 7 };
    for entry in &entries {
        let header = gather.push(entry, tip.chain);
        assert!(tip.is_followed_by(&header), "{header:?}");
        tip = Tip::of(&header);
    }
    // Four small ones with the large one's head, the large payload, the last one.
    assert_eq!(gather.slices().len(), 3);
    let bytes: usize = gather.slices().iter().map(|slice| slice.len()).sum();
    assert_eq!(gather.bytes(), bytes as u64);
}

#[test]
fn only_the_next_entry_follows() {
    let mut script = Script::start();
    let first = FrameHeader::of(&script.batch(), 7);
    let tip = Tip::of(&first);
    let second = FrameHeader::of(&script.batch(), first.crc);
    assert!(tip.is_followed_by(&second));
    let wrong = [
        FrameHeader { prev: 8, ..second },
        FrameHeader { index: Index(13), ..second },
        FrameHeader { term: Term(5), ..second },
        FrameHeader { base_offset: Offset(2), ..second },
        FrameHeader { append_time: 5, ..second },
        FrameHeader { kind: Kind::Noop, ..second },
    ];
    for header in wrong {
        assert!(!tip.is_followed_by(&header), "{header:?}");
    }
    assert!(tip.is_followed_by(&FrameHeader { base_offset: Offset(100), ..second }), "offsets may have gaps");
}
