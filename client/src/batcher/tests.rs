//! Batches: by size, by linger, within the buffer.

use proptest::prelude::*;

use super::*;
use crate::metadata::Partition;
use crate::record::NewHeader;

fn topic(partitions: i32, max_message_bytes: usize) -> Arc<Topic> {
    let partition = |partition| Partition { partition, leader: Some(0), epoch: 1, shard: 0 };
    Arc::new(Topic {
        name: "t".into(),
        id: uuid::Uuid::nil(),
        max_message_bytes,
        partitions: (0..partitions).map(partition).collect(),
    })
}

fn batcher(batch_bytes: usize, buffer_bytes: usize, linger_ms: u64) -> Batcher {
    let linger = Duration::from_millis(linger_ms);
    let config = ProducerConfig { batch_bytes, buffer_bytes, linger, ..ProducerConfig::default() };
    let mut batcher = Batcher::new(&config, 1);
    batcher.set_topic(topic(3, 1_000_000));
    batcher
}

const P0: Place = Place { topic: 0, partition: 0 };

#[test]
fn a_batch_goes_when_its_linger_is_over_or_it_is_sealed() {
    let now = crate::clock::now();
    let mut batcher = batcher(10_000, 100_000, 5);
    let record = NewRecord::to("t").partition(0).value("v");
    assert_eq!(batcher.push(now, 0, &record).unwrap().1, Wake::Yes, "the linger begins");
    assert_eq!(batcher.push(now, 0, &record).unwrap().1, Wake::No);
    let due = now + Duration::from_millis(5);
    assert_eq!(batcher.due(P0), Some(due));
    assert!(batcher.take(P0, now + Duration::from_millis(4)).is_none());
    assert_eq!(batcher.take(P0, due).unwrap().builder.len(), 2);
    assert_eq!(batcher.active().next(), None);

    drop(batcher.push(now, 0, &record).unwrap());
    batcher.seal_all();
    assert_eq!(batcher.due(P0), Some(now));
    let sealed = batcher.take(P0, now).unwrap();
    batcher.finish(sealed.number, sealed.weight);
    assert_eq!(batcher.unfinished().count(), 1, "the first is still on its way");
}

#[test]
fn topics_are_given_forgotten_and_grow() {
    let now = crate::clock::now();
    let mut batcher = batcher(10_000, 100_000, 5);
    let unknown = |pushed| matches!(pushed, Err(PushError::UnknownTopic));
    assert!(unknown(batcher.push(now, 0, &NewRecord::to("u"))));
    let record = NewRecord::to("t").partition(4);
    assert!(matches!(batcher.push(now, 0, &record), Err(PushError::Refused(_))));
    batcher.set_topic(topic(5, 1_000_000));
    drop(batcher.push(now, 0, &record).unwrap());
    batcher.forget_topic("t");
    assert!(unknown(batcher.push(now, 0, &record)));
    assert_eq!(batcher.topic_names().count(), 0);
    assert_eq!(batcher.take_any(Place { topic: 0, partition: 4 }).unwrap().builder.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each record is in one batch, at the place its delivery says; batches respect their limit; what is counted is
    /// what is held, and it respects the buffer.
    #[test]
    fn records_are_batched_once_in_order_within_every_limit(
        records in prop::collection::vec((0..4i32, 0..400usize, any::<bool>()), 1..200),
        takes in prop::collection::vec(any::<bool>(), 200),
    ) {
        let now = crate::clock::now();
        let (limit, buffer) = (1024, 4096);
        let mut batcher = batcher(limit, buffer, 0);
        let header = [NewHeader { key: "h", value: None }];
        let mut sent: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        let mut held: Vec<Sealed> = Vec::new();
        let mut got: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for ((partition, size, with_header), take) in records.into_iter().zip(takes) {
            let value = vec![7; size];
            let mut record = NewRecord::to("t").value(&value);
            record.partition = (partition < 3).then_some(partition);
            if with_header {
                record = record.headers(&header);
            }
            match batcher.push(now, 0, &record) {
                Ok((delivery, _)) => sent.entry(delivery.partition()).or_default().push(size),
                Err(PushError::Full) => {
                    prop_assert!(batcher.buffered() + size + limit > buffer);
                    let mut places: Vec<Place> = batcher.active().collect();
                    while let Some(place) = places.pop() {
                        held.extend(std::iter::from_fn(|| batcher.take(place, now)));
                    }
                    let in_all: usize = held.iter().map(|sealed| sealed.builder.bytes() ).sum();
                    prop_assert!(in_all <= buffer && in_all == batcher.buffered());
                    for sealed in held.drain(..) {
                        batcher.finish(sealed.number, sealed.weight);
                        open(&mut got, sealed, limit);
                    }
                    prop_assert_eq!(batcher.buffered(), 0);
                    let retried = batcher.push(now, 0, &record);
                    let (delivery, _) = retried.map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
                    sent.entry(delivery.partition()).or_default().push(size);
                }
                Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
            }
            if take {
                let place = batcher.active().next();
                held.extend(place.and_then(|place| batcher.take(place, now)));
            }
        }
        for place in batcher.active().collect::<Vec<_>>() {
            held.extend(std::iter::from_fn(|| batcher.take(place, now)));
        }
        held.sort_by_key(|sealed| sealed.number);
        held.into_iter().for_each(|sealed| open(&mut got, sealed, limit));
        prop_assert_eq!(sent, got);
    }
}

/// The sizes of the values of a batch, behind those of the batches before it.
fn open(got: &mut BTreeMap<i32, Vec<usize>>, sealed: Sealed, limit: usize) {
    assert!(sealed.builder.bytes() <= limit);
    assert_eq!(sealed.weight, sealed.builder.bytes());
    let partition = sealed.outcome.partition();
    let bytes = sealed.builder.finish(caudal_proto::batch::Codec::None, None).unwrap();
    for record in caudal_proto::batch::records(&bytes, 1 << 20).unwrap() {
        got.entry(partition).or_default().push(record.unwrap().value.unwrap().len());
    }
}
