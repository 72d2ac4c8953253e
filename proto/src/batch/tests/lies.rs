//! Each lie that a batch can tell is found, by its name.

use super::*;

/// Three records: with a header, with nothing, with a value.
fn batch() -> Vec<u8> {
    let mut builder = Builder::new();
    builder.push(1000, Some(b"k"), Some(b"v"), [("h", Some(&b"x"[..]))]).unwrap();
    builder.push(1001, None, None, []).unwrap();
    builder.push(1002, None, Some(b"vv"), []).unwrap();
    builder.finish(Codec::None, Some(Producer { id: 9, epoch: 1, sequence: 0 })).unwrap().to_vec()
}

/// What `check` says once `bytes` stand at `at` and the checksum is true again.
fn with(at: usize, bytes: &[u8]) -> Result<Header, Error> {
    let mut batch = batch();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut batch);
    check(&batch)
}

/// A batch of one record whose bytes, with their length in front, are `record`.
fn one(record: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new();
    builder.push(0, None, None, []).unwrap();
    let mut batch = builder.finish(Codec::None, None).unwrap().to_vec();
    batch.truncate(HEADER_BYTES);
    batch.extend_from_slice(record);
    seal(&mut batch);
    batch
}

fn lie(record: u32, lie: Lie) -> Error {
    Error::Record { record, lie }
}

#[test]
fn every_length_but_the_true_one() {
    let whole = batch();
    for bytes in (0..whole.len()).chain([whole.len() + 1]) {
        let mut other = whole.clone();
        other.resize(bytes, 0);
        let claimed = whole.len() as i64;
        let expected =
            if bytes < HEADER_BYTES { Error::TooShort { bytes } } else { Error::Length { claimed, bytes } };
        assert_eq!(check(&other), Err(expected.clone()));
        assert_eq!(records(&other.into(), INFLATE_MAX).map(|_| ()), Err(expected));
    }
    for length in [i32::MIN, -1, 0, 48, whole.len() as i32 - 13, whole.len() as i32 - 11, i32::MAX] {
        let mut other = whole.clone();
        other[8..12].copy_from_slice(&length.to_be_bytes());
        let expected = Error::Length { claimed: i64::from(length) + 12, bytes: whole.len() };
        assert_eq!(check(&other), Err(expected));
    }
    let two = [whole.clone(), whole.clone()].concat();
    assert_eq!(check(&two), Err(Error::Length { claimed: whole.len() as i64, bytes: two.len() }));
}

#[test]
fn other_formats() {
    for magic in [0, 1, 3, -1i8] {
        assert_eq!(with(16, &[magic as u8]), Err(Error::Magic { magic }));
    }
    // A message of format 1 may be shorter than our header.
    let mut short = [0; 30];
    short[16] = 1;
    assert_eq!(check(&short), Err(Error::Magic { magic: 1 }));
}

#[test]
fn every_flipped_bit_behind_the_checksum() {
    let whole = batch();
    for bit in 17 * 8..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(check(&flipped), Err(Error::Checksum { .. })), "bit {bit}");
        assert!(matches!(records(&flipped.into(), INFLATE_MAX), Err(Error::Checksum { .. })), "bit {bit}");
    }
}

#[test]
fn attributes() {
    for codec in 5..=7u8 {
        assert_eq!(with(21, &[0, codec]), Err(Error::UnknownCodec { codec }));
    }
    for bits in [0x08u16, 0x40, 0x80, 0x0100, 0x8000] {
        assert_eq!(with(21, &bits.to_be_bytes()), Err(Error::Attributes { bits }));
    }
    assert!(with(21, &[0, 0x10]).unwrap().is_transactional());
    assert!(with(21, &[0, 0x20]).unwrap().is_control());
}

#[test]
fn counts() {
    for (count, last_offset_delta) in
        [(0, -1), (-1, -2), (i32::MIN, i32::MAX), (3, 3), (3, 1), (3, -1), (i32::MAX, 2)]
    {
        let mut batch = batch();
        batch[23..27].copy_from_slice(&i32::to_be_bytes(last_offset_delta));
        batch[57..61].copy_from_slice(&i32::to_be_bytes(count));
        seal(&mut batch);
        assert_eq!(check(&batch), Err(Error::Count { count, last_offset_delta }));
    }
    // Both lie alike: the records tell.
    let claims = |count: i32| {
        let mut batch = batch();
        batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        seal(&mut batch);
        check(&batch)
    };
    assert_eq!(claims(2), Err(lie(2, Lie::Follows { bytes: 9 })));
    assert_eq!(claims(4), Err(lie(3, Lie::Ends)));
    assert_eq!(claims(i32::MAX), Err(lie(3, Lie::Ends)));
}

#[test]
fn timestamps() {
    assert_eq!(with(35, &999i64.to_be_bytes()), Err(Error::Timestamps { max: 999, found: 1000 }));
    assert_eq!(with(35, &1001i64.to_be_bytes()), Err(Error::Timestamps { max: 1001, found: 1002 }));
    assert!(with(35, &5000i64.to_be_bytes()).is_ok());
    let mut far = batch();
    far[27..35].copy_from_slice(&i64::MAX.to_be_bytes());
    far[35..43].copy_from_slice(&i64::MAX.to_be_bytes());
    seal(&mut far);
    assert_eq!(check(&far), Err(lie(1, Lie::Timestamp { delta: 1 })));
}

#[test]
fn producers() {
    let producer = |attributes: u8, id: i64, epoch: i16, sequence: i32| {
        let mut batch = batch();
        batch[22] = attributes;
        batch[43..51].copy_from_slice(&id.to_be_bytes());
        batch[51..53].copy_from_slice(&epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&sequence.to_be_bytes());
        seal(&mut batch);
        check(&batch).map(|header| header.has_producer())
    };
    let refused = |id, epoch, sequence| Err(Error::Producer { id, epoch, sequence });
    assert_eq!(producer(0, 0, 0, 0), Ok(true));
    assert_eq!(producer(0, i64::MAX, i16::MAX, i32::MAX), Ok(true));
    assert_eq!(producer(0, 1, -1, 0), refused(1, -1, 0));
    assert_eq!(producer(0, 1, 0, -1), refused(1, 0, -1));
    assert_eq!(producer(0, -2, 0, 0), refused(-2, 0, 0));
    // Without an id the rest means nothing; some clients leave it 0.
    assert_eq!(producer(0, -1, -1, -1), Ok(false));
    assert_eq!(producer(0, -1, -1, 0), Ok(false));
    assert_eq!(producer(0x10, -1, -1, -1), refused(-1, -1, -1));
    assert_eq!(producer(0x30, 1, 0, -1), Ok(true));
}

#[test]
fn records_of_every_wrong_form() {
    const NUMBER_TOO_LONG: [u8; 11] = [0xff; 11];
    let cases: [(&[u8], Lie); 22] = [
        (&[], Lie::Ends),
        (&[0x80], Lie::Ends),
        (&[1], Lie::NegativeLength),
        (&[0], Lie::Ends),
        (&[12, 0, 0, 0, 1, 1], Lie::Ends),
        (&[8, 0, 0, 0, 1, 1, 0], Lie::Ends),
        (&NUMBER_TOO_LONG, Lie::Number),
        // A length of 2³¹, of 2³¹ − 1, and the same of a key and of a value.
        (&[0x80, 0x80, 0x80, 0x80, 0x10, 0], Lie::Number),
        (&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0], Lie::Ends),
        (&[20, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 0], Lie::Ends),
        (&[20, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0], Lie::Ends),
        (&[12, 0, 0, 0, 3, 1, 0], Lie::NegativeLength),
        (&[12, 0, 0, 0, 1, 3, 0], Lie::NegativeLength),
        (&[12, 0, 0, 0, 1, 1, 1], Lie::HeaderCount { count: -1 }),
        (&[12, 0, 0, 0, 1, 1, 2], Lie::HeaderCount { count: 1 }),
        (&[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f], Lie::HeaderCount { count: i32::MAX }),
        // A header without a key, one whose value is cut, and one with something behind it.
        (&[16, 0, 0, 0, 1, 1, 2, 1, 0], Lie::NegativeLength),
        (&[16, 0, 0, 0, 1, 1, 2, 0, 2], Lie::Ends),
        (&[18, 0, 0, 0, 1, 1, 2, 0, 0, 0], Lie::Slack { bytes: 1 }),
        (&[14, 0, 0, 0, 1, 1, 0, 0], Lie::Slack { bytes: 1 }),
        (&[12, 0, 0, 2, 1, 1, 0], Lie::OffsetDelta { found: 1 }),
        (&[12, 0, 0, 1, 1, 1, 0], Lie::OffsetDelta { found: -1 }),
    ];
    for (bytes, expected) in cases {
        let batch = one(bytes);
        assert_eq!(check(&batch), Err(lie(0, expected)), "{bytes:?}");
        let mut read = records(&batch.into(), INFLATE_MAX).unwrap();
        assert_eq!(read.next(), Some(Err(lie(0, expected))), "{bytes:?}");
        assert_eq!(read.next(), None);
    }
}

#[test]
fn a_number_that_takes_more_bytes_than_it_needs_is_no_lie() {
    let padded = one(&[14, 0, 0x80, 0x00, 0, 1, 1, 0]);
    assert_eq!(check(&padded).map(|header| header.count), Ok(1));
}

#[test]
fn bytes_behind_the_last_record() {
    let batch = one(&[12, 0, 0, 0, 1, 1, 0, 0, 0]);
    let expected = lie(1, Lie::Follows { bytes: 2 });
    assert_eq!(check(&batch), Err(expected.clone()));
    let read: Vec<_> = records(&batch.into(), INFLATE_MAX).unwrap().collect();
    assert_eq!((read.len(), &read[1]), (2, &Err(expected)));
}

#[test]
fn each_has_a_message_of_its_own() {
    let errors = [
        Error::TooShort { bytes: 18 },
        Error::Length { claimed: 100, bytes: 90 },
        Error::UnknownCodec { codec: 5 },
        lie(2, Lie::OffsetDelta { found: 7 }),
    ];
    let messages = [
        "18 bytes are too few for a record batch, whose header alone takes 61",
        "the batch says it has 100 bytes, there are 90",
        "codec 5 is unknown: use none (0), gzip (1), snappy (2), lz4 (3) or zstd (4)",
        "record 2 of the batch: its offset is base + 7, which does not follow the record before it",
    ];
    assert_eq!(errors.map(|error| error.to_string()), messages);
}
