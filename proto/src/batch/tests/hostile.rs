//! Bytes of any kind: no panic, and no answer that another answer contradicts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Goes through everything that takes bytes from outside.
fn read_all(bytes: &[u8]) {
    let checked = check(bytes);
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(header) = Header::parse(&bytes) {
        let _ = (header.last_offset(), header.codec(), header.size());
    }
    let read = records(&bytes, INFLATE_MAX);
    if let Ok(header) = &checked {
        assert!(header.codec() != Ok(Codec::None) || read.is_ok());
    }
    if let Ok(mut read) = read {
        let good = read.by_ref().map_while(|record| record.ok()).inspect(|record| {
            assert_eq!(record.headers.iter().count(), record.headers.len());
        });
        let good = good.count();
        assert_eq!(read.next(), None);
        if let Ok(header) = &checked
            && header.codec() == Ok(Codec::None)
        {
            assert_eq!(good, header.count as usize);
        }
    }
    let split: usize = batches(&bytes).map_while(|batch| batch.ok()).map(|batch| batch.len()).sum();
    assert!(split <= bytes.len());
    let mut stamped = bytes.to_vec();
    stamp(&mut stamped, 7, 8);
    assert_eq!(stamped.get(STAMP_BYTES..), bytes.get(STAMP_BYTES..));
    assert!(stamped.len() >= STAMP_BYTES || stamped == bytes);
}

/// A header that is true as far as it can be, with the attributes given, before any bytes.
fn with_header(attributes: u8, count: i32, records: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new();
    builder.push(0, None, None, []).unwrap();
    let mut batch = builder.finish(Codec::None, None).unwrap().to_vec();
    batch.truncate(HEADER_BYTES);
    batch[22] = attributes;
    batch[23..27].copy_from_slice(&count.wrapping_sub(1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(records);
    seal(&mut batch);
    batch
}

fn real(codec: Codec) -> Vec<u8> {
    let mut builder = Builder::new();
    for at in 0..20 {
        builder.push(at, Some(b"key"), Some(&[7; 100]), [("h", None), ("i", Some(&b"x"[..]))]).unwrap();
    }
    builder.finish(codec, None).unwrap().to_vec()
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn any_records_behind_a_true_header(attributes in 0..5u8, count in 0..9i32, records in vec(any::<u8>(), 0..200)) {
        read_all(&with_header(attributes, count, &records));
    }

    #[test]
    fn small_numbers_behind_a_true_header(count in 1..4i32, records in vec(prop_oneof![0..6u8, 12..20u8], 0..60)) {
        read_all(&with_header(0, count, &records));
    }

    #[test]
    fn changed_bytes_of_a_real_batch(
        number in 0..5usize,
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        keep in any::<Index>(),
        cut in any::<bool>(),
        sealed in any::<bool>(),
    ) {
        let codec = if cfg!(feature = "codecs") { Codec::ALL[number] } else { Codec::None };
        let mut batch = real(codec);
        for (at, byte) in changes {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        if cut {
            batch.truncate(keep.index(batch.len()));
        }
        if sealed && batch.len() >= HEADER_BYTES {
            batch[16] = 2;
            seal(&mut batch);
        }
        read_all(&batch);
    }
}

#[test]
#[cfg(feature = "codecs")]
fn a_bomb_is_capped_at_the_byte() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = Builder::new();
        builder.push(0, None, Some(&vec![0; 1 << 20]), []).unwrap();
        let inflated = builder.bytes() - HEADER_BYTES;
        let batch = builder.finish(codec, None).unwrap();
        assert!(batch.len() < inflated / 15);
        assert_eq!(records(&batch, inflated).map(|read| read.bytes()), Ok(inflated));
        for max in [inflated - 1, 1000, 1, 0] {
            assert_eq!(records(&batch, max).map(|_| ()), Err(Error::InflatesTooLarge { max }), "{codec}");
        }
    }
}

#[test]
#[cfg(feature = "codecs")]
fn compressed_records_that_lie_are_found_when_read() {
    let plain = real(Codec::None);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let compressed = compression::deflate(codec, &plain[HEADER_BYTES..], 0).unwrap();
        for (count, lie) in [(19, Lie::Follows { bytes: 119 }), (21, Lie::Ends)] {
            let batch = with_header(codec as u8, count, &compressed);
            assert!(check(&batch).is_ok(), "what is compressed is not looked into");
            let last = records(&batch.into(), INFLATE_MAX).unwrap().last();
            let record = count.min(20) as u32;
            assert_eq!(last, Some(Err(Error::Record { record, lie })), "{codec}");
        }
        let cut = with_header(codec as u8, 20, &compressed[..compressed.len() / 2]);
        assert!(matches!(records(&cut.into(), INFLATE_MAX), Err(Error::Inflate { .. })), "{codec}");
    }
}
