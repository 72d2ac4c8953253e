//! What is built is read, byte for byte.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

#[cfg(feature = "codecs")]
const CODECS: [Codec; 5] = Codec::ALL;
#[cfg(not(feature = "codecs"))]
const CODECS: [Codec; 1] = [Codec::None];

type Input = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let bytes = || option::of(prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(0..2u8, 0..5000)]);
    // Few header keys, so that some repeat.
    let headers = vec(("[a-cñ]{0,2}", option::of(vec(any::<u8>(), 0..4))), 0..4);
    let time = prop_oneof![Just(-1i64), 0..i64::MAX, 1_700_000_000_000..1_700_000_001_000i64];
    vec((time, bytes(), bytes(), headers), 1..60)
}

fn headers(input: &Input) -> impl Iterator<Item = (&str, Option<&[u8]>)> + Clone {
    input.3.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
}

fn build(inputs: &[Input]) -> Builder {
    let mut builder = Builder::new();
    for input in inputs {
        let (key, value) = (input.1.as_deref(), input.2.as_deref());
        let expected = builder.size_after(input.0, key, value, headers(input));
        builder.push(input.0, key, value, headers(input)).unwrap();
        assert_eq!(builder.bytes(), expected);
    }
    builder
}

fn plain(base_offset: i64, inputs: &[Input]) -> Vec<Plain> {
    let owned = |bytes: &Option<Vec<u8>>| bytes.clone().map(Bytes::from);
    let plain = |(at, input): (usize, &Input)| {
        let headers = input.3.iter().map(|(key, value)| (text(key), owned(value))).collect();
        (base_offset + at as i64, input.0, owned(&input.1), owned(&input.2), headers)
    };
    inputs.iter().enumerate().map(plain).collect()
}

proptest! {
    #[test]
    fn any_records_under_any_codec(inputs in inputs(), base in 0..i64::MAX / 2, epoch in any::<i32>()) {
        for codec in CODECS {
            let builder = build(&inputs);
            let size = builder.bytes();
            let mut batch = builder.finish(codec, Some(Producer { id: 1, epoch: 2, sequence: 3 })).unwrap().to_vec();
            prop_assert!(batch.len() <= size);
            stamp(&mut batch, base, epoch);
            let header = check(&batch).unwrap();
            prop_assert_eq!(header.size(), batch.len());
            prop_assert_eq!((header.base_offset, header.leader_epoch), (base, epoch));
            prop_assert_eq!(header.count as usize, inputs.len());
            prop_assert_eq!(Some(header.max_timestamp), inputs.iter().map(|input| input.0).max());
            prop_assert_eq!(read(&batch.into()), plain(base, &inputs));
        }
    }

    #[test]
    fn numbers(value in prop_oneof![any::<i64>(), -70_000..70_000i64, Just(i64::MIN), Just(i64::MAX)]) {
        let mut out = Vec::new();
        varint::put(&mut out, value);
        prop_assert_eq!(out.len(), varint::size(value));
        let mut rest = &out[..];
        prop_assert_eq!(varint::take_i64(&mut rest), Ok(value));
        prop_assert!(rest.is_empty());
        prop_assert_eq!(varint::take_i32(&mut &out[..]), i32::try_from(value).map_err(|_| Lie::Number));
        for cut in 0..out.len() {
            prop_assert_eq!(varint::take_i64(&mut &out[..cut]), Err(Lie::Ends));
        }
    }

    #[test]
    fn a_run_of_batches_is_split(runs in vec(inputs(), 0..4), cut in 1..60usize) {
        let whole: Vec<Bytes> =
            runs.iter().map(|inputs| build(inputs).finish(Codec::None, None).unwrap()).collect();
        let run = Bytes::from(whole.concat());
        let split: Result<Vec<Bytes>, Error> = batches(&run).collect();
        prop_assert_eq!(split.as_ref(), Ok(&whole));

        let short = run.slice(..run.len().saturating_sub(cut));
        let split: Vec<_> = batches(&short).collect();
        prop_assert_eq!(split.len(), whole.len());
        prop_assert!(split.last().is_none_or(|last| last.is_err()));
    }
}

#[test]
#[cfg(feature = "codecs")]
fn compressible_records_are_compressed_and_others_left() {
    let mut noise = 1u64;
    let mut random = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    };
    let random: Vec<u8> = std::iter::repeat_with(&mut random).take(200_000).collect();
    for codec in Codec::ALL {
        for (value, expected) in [(vec![7; 200_000], codec), (random.clone(), Codec::None)] {
            let mut builder = Builder::with_capacity(1000);
            builder.push(0, None, Some(&value), []).unwrap();
            let batch = builder.finish(codec, None).unwrap();
            assert_eq!(check(&batch).unwrap().codec(), Ok(expected));
            assert_eq!(read(&batch)[0].3.as_deref(), Some(&value[..]));
            // What a codec cannot make smaller it still carries.
            let carried = compression::deflate(codec, &value, 0).unwrap();
            assert_eq!(compression::inflate(codec, &carried, value.len()).as_ref(), Ok(&value));
        }
    }
}

#[test]
fn a_builder_refuses_what_no_batch_can_hold() {
    let mut builder = Builder::default();
    assert!(builder.is_empty());
    assert_eq!((builder.len(), builder.bytes()), (0, HEADER_BYTES));
    assert_eq!(
        builder.clone().finish(Codec::None, None),
        Err(Error::Count { count: 0, last_offset_delta: -1 })
    );
    builder.push(-5, None, None, []).unwrap();
    let before = builder.bytes();
    let far = Error::Timestamps { max: -5, found: i64::MAX };
    assert_eq!(builder.push(i64::MAX, None, None, []), Err(far));

    let megabyte = vec![0; 1 << 20];
    let three_gigabytes = std::iter::repeat_n(("h", Some(&megabyte[..])), 3 << 10);
    let refused = builder.push(0, None, None, three_gigabytes.clone());
    assert!(matches!(refused, Err(Error::TooLarge { bytes }) if bytes > 3 << 30), "{refused:?}");
    assert!(builder.size_after(0, None, None, three_gigabytes) > 3 << 30);
    assert_eq!((builder.len(), builder.bytes()), (1, before));

    for (id, epoch, sequence) in [(-1, 0, 0), (0, -1, 0), (0, 0, -1)] {
        let finished = builder.clone().finish(Codec::None, Some(Producer { id, epoch, sequence }));
        assert_eq!(finished, Err(Error::Producer { id, epoch, sequence }));
    }
}

#[test]
fn what_only_a_broker_writes_is_read() {
    let mut builder = Builder::new();
    for timestamp in [10, 30, 20] {
        builder.push(timestamp, None, Some(b"v"), []).unwrap();
    }
    let built = builder.finish(Codec::None, None).unwrap();

    let mut append_time = built.to_vec();
    append_time[22] = 0x08;
    seal(&mut append_time);
    let read_times: Vec<i64> = read(&append_time.into()).iter().map(|record| record.1).collect();
    assert_eq!(read_times, [30, 30, 30]);

    // Compaction: the first record is gone, then all of them; the offsets stay.
    let mut compacted = built.to_vec();
    compacted[57..61].copy_from_slice(&2i32.to_be_bytes());
    compacted.drain(HEADER_BYTES..HEADER_BYTES + 8);
    seal(&mut compacted);
    stamp(&mut compacted, 100, 1);
    assert_eq!(read(&compacted.clone().into()).iter().map(|record| record.0).collect::<Vec<_>>(), [101, 102]);
    compacted[57..61].copy_from_slice(&0i32.to_be_bytes());
    compacted.truncate(HEADER_BYTES);
    seal(&mut compacted);
    let mut none = records(&compacted.into(), 0).unwrap();
    assert_eq!((none.header().last_offset(), none.bytes(), none.next()), (102, 0, None));
}

#[test]
fn codecs_have_names() {
    for codec in Codec::ALL {
        assert_eq!(codec.to_string().parse(), Ok(codec));
    }
    assert_eq!("brotli".parse::<Codec>(), Err(UnknownCodecName("brotli".to_owned())));
}
