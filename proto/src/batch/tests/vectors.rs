//! Batches that others made: one by hand from the published layout, the rest by the client kafka-python 3.0.12.

use super::*;

const TIME: i64 = 1_700_000_000_000;

/// Two records of producer 4711, epoch 3, sequence 17: `k` → `abc` with the header `h` twice, null and empty;
/// 300 ms later null → null.
#[rustfmt::skip]
const BY_HAND: [u8; 86] = [
    0, 0, 0, 0, 0, 0, 0, 42, // base offset
    0, 0, 0, 74, // length: what follows it
    0, 0, 0, 7, // leader epoch
    2, // magic
    0x01, 0xa7, 0x52, 0x2b, // CRC32C of what follows it
    0, 0, // attributes
    0, 0, 0, 1, // last offset delta
    0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, // base timestamp
    0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x69, 0x2c, // max timestamp
    0, 0, 0, 0, 0, 0, 0x12, 0x67, // producer id
    0, 3, // producer epoch
    0, 0, 0, 17, // base sequence
    0, 0, 0, 2, // count
    32, // record 0: length 16, zig-zag
    0, // attributes
    0, // timestamp delta 0
    0, // offset delta 0
    2, b'k', // key of 1 byte
    6, b'a', b'b', b'c', // value of 3 bytes
    4, // 2 headers
    2, b'h', 1, // h: null (length -1)
    2, b'h', 0, // h: empty
    14, // record 1: length 7
    0, // attributes
    0xd8, 0x04, // timestamp delta 300
    2, // offset delta 1
    1, // no key
    1, // no value
    0, // no headers
];

#[test]
fn a_batch_made_by_hand_is_read() {
    let header = check(&BY_HAND).unwrap();
    let expected = Header {
        base_offset: 42,
        length: 74,
        leader_epoch: 7,
        magic: 2,
        crc: 0x01a7_522b,
        attributes: 0,
        last_offset_delta: 1,
        base_timestamp: TIME,
        max_timestamp: TIME + 300,
        producer_id: 4711,
        producer_epoch: 3,
        base_sequence: 17,
        count: 2,
    };
    assert_eq!(header, expected);
    assert_eq!((header.size(), header.last_offset(), header.codec()), (86, 43, Ok(Codec::None)));
    assert!(header.has_producer() && !header.is_control() && !header.is_transactional());

    let read = read(&Bytes::from_static(&BY_HAND));
    assert_eq!(
        read,
        [
            (42, TIME, some("k"), some("abc"), vec![(text("h"), None), (text("h"), some(""))]),
            (43, TIME + 300, None, None, vec![]),
        ]
    );
}

#[test]
fn the_builder_makes_what_was_made_by_hand() {
    let mut builder = Builder::new();
    builder.push(TIME, Some(b"k"), Some(b"abc"), [("h", None), ("h", Some(&b""[..]))]).unwrap();
    builder.push(TIME + 300, None, None, []).unwrap();
    assert_eq!(builder.bytes(), BY_HAND.len());
    let batch = builder.finish(Codec::None, Some(Producer { id: 4711, epoch: 3, sequence: 17 })).unwrap();
    let mut batch = batch.to_vec();
    stamp(&mut batch, 42, 7);
    assert_eq!(batch, BY_HAND);
}

/// Of kafka-python, each the same three records: see `kafka_python`.
const KAFKA_PYTHON: [(Codec, &str); 4] = [
    (
        Codec::Gzip,
        "00000000000000000000008300000000024feabd770001000000020000018bcfe568000000018bcfe568fa0000000000\
         001267000300000011000000031f8b0800004c066b02fffbc2c2c0c0c0959d5aa96bb8812539b134253147619442a3d8\
         b84a8a1293539912213423576a6e414925c30116862fcc4c8ca3e1868b62e061e064616064000016720dd765020000",
    ),
    (
        Codec::Snappy,
        "00000000000000000000009f0000000002889279180002000000020000018bcfe568000000018bcfe568fa0000000000\
         0012670003000000110000000382534e415050590000000001000000010000005ae5044cf4040000000a6b65792d31b0\
         0463617564616c20fe0700fe0700fe0700fe070042070020060a74726163650261090838010a656d70747900c00400f4\
         030201fe3801fe3801fe3801fe38016638011c000c000904000100",
    ),
    (
        Codec::Lz4,
        "00000000000000000000008b00000000026f06d11f0003000000020000018bcfe568000000018bcfe568fa0000000000\
         0012670003000000110000000304224d18684065020000000000008643000000ff05f4040000000a6b65792d31b00463\
         617564616c200700fe92060a747261636502610800ff00010a656d70747900c00400f40302013801ff0880000c000904\
         00010000000000",
    ),
    (
        Codec::Zstd,
        "00000000000000000000007d00000000021442c74c0004000000020000018bcfe568000000018bcfe568fa0000000000\
         0012670003000000110000000328b52ffd6065011502004403f4040000000a6b65792d31b00463617564616c20060a74\
         726163650261010a656d70747900c00400f4030201000c0009040001000300173b4bd5154c72905aee",
    ),
];

#[cfg(feature = "codecs")]
fn kafka_python() -> [Plain; 3] {
    let value = "caudal ".repeat(40);
    let headers = vec![(text("trace"), some("a")), (text("trace"), None), (text("empty"), some(""))];
    [
        (0, TIME, some("key-1"), some(&value), headers),
        (1, TIME + 250, None, some(&value), vec![]),
        (2, TIME - 5, some(""), None, vec![]),
    ]
}

#[test]
#[cfg(feature = "codecs")]
fn compressed_batches_of_another_client_are_read() {
    for (codec, hex) in KAFKA_PYTHON {
        let batch = from_hex(hex);
        let header = check(&batch).unwrap();
        assert_eq!(header.codec(), Ok(codec));
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (4711, 3, 17));
        assert_eq!(header.max_timestamp, TIME + 250);
        assert_eq!(read(&batch), kafka_python(), "{codec}");
    }
}

#[test]
#[cfg(feature = "codecs")]
fn snappy_without_framing_is_read() {
    let (_, hex) = KAFKA_PYTHON[1];
    let framed = from_hex(hex);
    // The framing: 16 bytes, and 4 for the length of the one block.
    let mut raw = [&framed[..HEADER_BYTES], &framed[HEADER_BYTES + 20..]].concat();
    seal(&mut raw);
    assert_eq!(read(&raw.into()), kafka_python());
}

#[test]
#[cfg(not(feature = "codecs"))]
fn compressed_batches_need_the_codecs() {
    for (codec, hex) in KAFKA_PYTHON {
        let batch = from_hex(hex);
        assert_eq!(check(&batch).unwrap().codec(), Ok(codec));
        assert_eq!(records(&batch, 1 << 20).unwrap_err(), Error::CodecNotBuilt { codec });
        let mut builder = Builder::new();
        builder.push(0, None, None, []).unwrap();
        assert_eq!(builder.finish(codec, None), Err(Error::CodecNotBuilt { codec }));
    }
}

fn from_hex(hex: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}
