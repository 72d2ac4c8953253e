//! Each record of an idempotent producer is written once, across repeats and restarts of the broker.

use bytes::Bytes;
use caudal_proto::batch::{Builder, Codec, Producer};
use caudal_proto::v1::{InitProducerRequest, OffsetAnchor, Reason};

use crate::api::{Api, Stage};
use crate::batches::WHEN;

const TOPIC: &str = "once";

async fn init(api: &Api) -> (i64, i16) {
    let answer =
        api.produce.clone().init_producer(InitProducerRequest::default()).await.unwrap().into_inner();
    (answer.producer_id, answer.producer_epoch as i16)
}

/// Two records of a producer, from a sequence on.
fn pair((id, epoch): (i64, i16), sequence: i32) -> Bytes {
    let mut builder = Builder::new();
    for n in sequence..sequence + 2 {
        builder.push(WHEN, None, Some(n.to_string().as_bytes()), []).unwrap();
    }
    builder.finish(Codec::None, Some(Producer { id, epoch, sequence })).unwrap()
}

#[tokio::test]
async fn a_batch_sent_again_is_answered_with_its_first_receipt() {
    let mut stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let me = init(&stage.api).await;
    let mut receipts = Vec::new();
    for sequence in [0, 2, 4] {
        receipts.push(stage.api.send_batch(TOPIC, 0, pair(me, sequence)).await.unwrap());
    }
    for crash in [false, true] {
        if crash {
            stage.crash().await;
        }
        for (receipt, sequence) in receipts.iter().zip([0, 2, 4]) {
            let again = stage.api.send_batch(TOPIC, 0, pair(me, sequence)).await.unwrap();
            assert!(again.duplicate && !receipt.duplicate);
            let place = |r: &caudal_proto::v1::Receipt| (r.base_offset, r.last_offset, r.index, r.term);
            assert_eq!(place(&again), place(receipt), "after a crash: {crash}");
        }
        assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 6);
    }
    assert_eq!(stage.api.send_batch(TOPIC, 0, pair(me, 6)).await.unwrap().base_offset, 6);
}

#[tokio::test]
async fn gaps_strangers_and_old_epochs_are_refused() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let me = init(&stage.api).await;
    let refuse = async |batch: Bytes| stage.api.send_batch(TOPIC, 0, batch).await.unwrap_err();
    assert_eq!(refuse(pair(me, 2)).await.reason, Reason::ProducerUnknown);
    stage.api.send_batch(TOPIC, 0, pair(me, 0)).await.unwrap();
    let gap = refuse(pair(me, 4)).await;
    assert_eq!((gap.reason, gap.metadata["expected"].as_str()), (Reason::OutOfOrderSequence, "2"));
    let next = (me.0, me.1 + 1);
    stage.api.send_batch(TOPIC, 0, pair(next, 0)).await.unwrap();
    assert_eq!(refuse(pair(me, 2)).await.reason, Reason::ProducerFenced);
    for sequence in (2..14).step_by(2) {
        stage.api.send_batch(TOPIC, 0, pair(next, sequence)).await.unwrap();
    }
    assert_eq!(refuse(pair(next, 0)).await.reason, Reason::DuplicateSequence, "more than five batches ago");
    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 16);
}

#[tokio::test]
async fn a_producer_id_is_given_once_also_across_crashes() {
    let mut stage = Stage::new().await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        for _ in 0..5 {
            let (id, epoch) = init(&stage.api).await;
            assert!(ids.insert(id), "{id} was given before");
            assert_eq!(epoch, 0);
        }
        stage.crash().await;
    }
    let known = *ids.first().expect("ids were given");
    let request = InitProducerRequest { producer_id: Some(known), producer_epoch: Some(0) };
    let answer = stage.api.produce.clone().init_producer(request).await.unwrap().into_inner();
    assert_eq!((answer.producer_id, answer.producer_epoch), (known, 1), "an id goes on with its next epoch");
}
