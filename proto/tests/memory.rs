//! Claims of gigabytes take no memory. Alone in its process: it reads how much the process ever took.
#![cfg(all(target_os = "linux", feature = "codecs"))]
#![expect(clippy::unwrap_used, reason = "what helps the test here fails like a test")]

use std::io::Write;

use bytes::Bytes;
use caudal_proto::batch::{Builder, Codec, Error, HEADER_BYTES, check, records};

/// A peak of this process by its name in `/proc/self/status`, in MiB.
fn peak_mib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// A batch whose length and checksum are true, with these attributes, count and records.
fn sealed(attributes: u8, count: i32, records: &[u8]) -> Bytes {
    let mut builder = Builder::new();
    builder.push(0, None, None, []).unwrap();
    let mut batch = builder.finish(Codec::None, None).unwrap().to_vec();
    batch.truncate(HEADER_BYTES);
    batch.extend_from_slice(records);
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = attributes;
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

/// Batches of some dozen bytes that claim gigabytes, by what claims them.
fn claims() -> Vec<(&'static str, Bytes)> {
    const MAX: [u8; 5] = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let xerial = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
    let snappy_4_gib = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00];
    vec![
        ("records", sealed(0, i32::MAX, &[12, 0, 0, 0, 1, 1, 0])),
        ("a record", sealed(0, 1, &[&MAX[..], &[0, 0, 0, 1, 1, 0]].concat())),
        ("a key", sealed(0, 1, &[&[20, 0, 0, 0][..], &MAX, &[1, 0]].concat())),
        ("headers", sealed(0, 1, &[&[20, 0, 0, 0, 1, 1][..], &MAX].concat())),
        ("raw snappy", sealed(2, 1, &snappy_4_gib)),
        ("framed snappy", sealed(2, 1, &[&xerial[..], &[0, 0, 0, 7], &snappy_4_gib].concat())),
        ("a snappy block", sealed(2, 1, &[&xerial[..], &[0x7f, 0xff, 0xff, 0xff, 0]].concat())),
        // A content size of 2⁶² and blocks of 4 MiB; the header's checksum is in its last byte.
        (
            "lz4",
            sealed(
                3,
                1,
                &[4, 0x22, 0x4d, 0x18, 0x68, 0x70, 0, 0, 0, 0, 0, 0, 0, 0x40, 0xcc, 0xff, 0xff, 0xff, 0x7f],
            ),
        ),
        // A content size of 2⁶² in a single segment, and a window of 2³⁰.
        (
            "zstd content",
            sealed(4, 1, &[0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x01, 0, 0]),
        ),
        ("zstd window", sealed(4, 1, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0, 0])),
    ]
}

/// Batches that do inflate to 256 MiB of zeros.
fn bombs() -> Vec<(Codec, Bytes)> {
    const CHUNK: usize = 1 << 20;
    const CHUNKS: usize = 256;
    let zeros = vec![0; CHUNK];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::bulk::compress(&zeros, 1).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    for _ in 0..CHUNKS {
        lz4.write_all(&zeros).unwrap();
    }
    let block = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
    let block = [&(block.len() as u32).to_be_bytes()[..], &block].concat();
    let snappy =
        [b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01".as_slice(), &block.repeat(CHUNKS)].concat();
    vec![
        (Codec::Gzip, sealed(1, 1, &gzip.repeat(CHUNKS))),
        (Codec::Snappy, sealed(2, 1, &snappy)),
        (Codec::Lz4, sealed(3, 1, &lz4.finish().unwrap())),
        (Codec::Zstd, sealed(4, 1, &zstd.repeat(CHUNKS))),
    ]
}

#[test]
fn claims_of_gigabytes_and_bombs_take_no_memory() {
    let (claims, bombs) = (claims(), bombs());
    let (taken, reserved) = (peak_mib("VmHWM:"), peak_mib("VmPeak:"));
    for (name, batch) in &claims {
        let _ = check(batch);
        let read =
            records(batch, usize::MAX).and_then(|mut read| read.try_for_each(|record| record.map(|_| ())));
        assert!(read.is_err(), "{name}: {read:?}");
    }
    let claimed = peak_mib("VmPeak:").saturating_sub(reserved);
    assert!(claimed < 256, "claims alone made {claimed} MiB be reserved");

    const MAX: usize = 2 << 20;
    for (codec, batch) in &bombs {
        check(batch).unwrap();
        let read = records(batch, MAX).map(|_| ());
        assert_eq!(read, Err(Error::InflatesTooLarge { max: MAX }), "{codec}");
    }
    let inflated = peak_mib("VmHWM:").saturating_sub(taken);
    assert!(inflated < 32, "bombs capped at 2 MiB took {inflated} MiB");
    // The measure itself: what is taken does show.
    let mut whole = records(&bombs[3].1, 1 << 30).unwrap();
    assert!(whole.bytes() == 256 << 20 && whole.next().unwrap().is_err());
    assert!(peak_mib("VmHWM:").saturating_sub(taken) > 200);
}
