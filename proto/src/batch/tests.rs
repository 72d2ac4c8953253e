//! The codec against itself.

use super::*;

#[test]
fn every_codec_round_trips() {
    let value = vec![7; 100_000];
    for codec in Codec::ALL {
        let mut builder = Builder::new();
        builder.push(5, Some(b"k"), Some(&value), [("h", None), ("h", Some(&b"2"[..]))]).unwrap();
        builder.push(4, None, Some(b""), []).unwrap();
        let batch = builder.finish(codec, None).unwrap();
        assert_eq!(check(&batch).unwrap().codec(), Ok(codec));
        let read: Vec<Record> = records(&batch, 1 << 20).unwrap().map(Result::unwrap).collect();
        assert_eq!(read[0].value.as_deref(), Some(&value[..]));
        assert_eq!(read[0].headers.len(), 2);
        assert_eq!((read[1].offset, read[1].timestamp, &read[1].key), (1, 4, &None));
        assert_eq!(read[1].value.as_deref(), Some(&b""[..]));
    }
}
