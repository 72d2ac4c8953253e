//! Tests of `views.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::ids::{Offset, ShardId, Term};
use crate::node::{NO_ROOM_FOR_LOG, Published};
use crate::runtime::watcher::Watcher;
use crate::state::{Command, TopicConfig, TopicSpec, TopicValues};

fn view() -> Arc<PartitionView> {
    let id = PartitionId { topic: TopicId(uuid::Uuid::from_u128(9)), partition: 3 };
    let config = Arc::new(TopicConfig::default());
    Arc::new(PartitionView::new(id, "t".into(), config, Arc::default(), (ShardId(0), 2)))
}

fn published(high_watermark: i64) -> Published {
    Published {
        leader: Some(NodeId(1)),
        epoch: Term(6),
        ready: true,
        current: true,
        high_watermark: Offset(high_watermark),
        log_start: Offset(0),
        replicas: Arc::from([NodeId(1)]),
        closed: None,
    }
}

#[test]
fn moving_offsets_are_no_change_of_standing() {
    let view = view();
    assert!(view.publish(published(0)));
    assert!(!view.publish(published(7)));
    assert_eq!(view.high_watermark(), Offset(7));
    assert!(view.publish(Published { ready: false, ..published(7) }));
}

#[test]
fn a_partition_knows_on_which_shards_it_is_waited_for() {
    let (view, watcher) = (view(), Watcher::new());
    assert_eq!(view.watching().count(), 0);
    let watch = view.watch(ShardId(1), &watcher, 4);
    assert_eq!(view.watching().collect::<Vec<_>>(), [ShardId(1)]);
    view.wake(ShardId(0));
    assert_eq!(view.watching().count(), 1);
    view.wake(ShardId(1));
    assert_eq!(view.watching().count(), 0);
    drop(watch);
    let _again = view.watch(ShardId(0), &watcher, 4);
    drop(view.watch(ShardId(1), &watcher, 5));
    assert_eq!(view.watching().collect::<Vec<_>>(), [ShardId(0)]);
}

/// A publisher and a waiter on threads of their own: each offset is seen, or the waiter would sleep for ever.
#[test]
fn no_wake_up_is_lost_between_threads() {
    const LAST: i64 = 20_000;
    let view = view();
    let publisher = Arc::clone(&view);
    let publishing = std::thread::spawn(move || {
        for offset in 1..=LAST {
            publisher.publish(published(offset));
            for shard in publisher.watching().collect::<Vec<_>>() {
                publisher.wake(shard);
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let wait = async {
        let watcher = Watcher::new();
        let mut seen = 0;
        while seen < LAST {
            let _watch = view.watch(ShardId(1), &watcher, 0);
            let now = view.high_watermark().0;
            if now == seen {
                watcher.woken().await;
            }
            assert!(view.high_watermark().0 >= now);
            seen = now;
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), wait).await })
        .expect("a wake-up was lost");
    publishing.join().unwrap();
}

#[tokio::test]
async fn whoever_waits_for_changes_hears_of_partitions_that_come_and_go() {
    let views = Views::new(2);
    let view = view();
    let mut changes = views.changes();
    views.insert(&view);
    changes.changed().await.unwrap();
    assert!(views.partition(view.id).is_some());
    views.remove(view.id);
    changes.changed().await.unwrap();
    assert!(views.partition(view.id).is_none());
    views.set_node(NodeId(4));
    changes.changed().await.unwrap();
    assert_eq!(views.node(), Some(NodeId(4)));
}

#[test]
fn a_partition_that_is_closed_for_want_of_room_is_told_from_others() {
    let (views, view) = (Views::new(2), view());
    let topic = view.id.topic;
    assert_eq!(views.without_room(topic, 4), 0);
    views.insert(&view);
    assert_eq!(views.without_room(topic, 4), 0);
    let closed = |why: &str| Published { ready: false, closed: Some(why.into()), ..published(0) };
    view.publish(closed("it failed twice"));
    assert_eq!(views.without_room(topic, 4), 0);
    view.publish(closed(NO_ROOM_FOR_LOG));
    assert_eq!(views.without_room(topic, 4), 1);
    view.publish(published(0));
    assert_eq!(views.without_room(topic, 4), 0);
}

#[test]
fn the_word_of_a_leader_is_kept_before_its_topic_is_known_and_goes_with_it() {
    let views = Views::new(2);
    let id = PartitionId { topic: TopicId(uuid::Uuid::from_u128(9)), partition: 0 };
    let status = |id: PartitionId, term| PartitionStatus {
        topic_id: bytes::Bytes::copy_from_slice(id.topic.as_bytes()),
        partition: id.partition,
        term,
        ..PartitionStatus::default()
    };
    views.note_statuses(&[status(id, 7), status(id, 6)]);
    let spec =
        TopicSpec { id: id.topic, name: "t".into(), partitions: Vec::new(), values: TopicValues::new() };
    let mut catalog = Catalog::default();
    views.set_catalog(Arc::new(catalog.clone()));
    assert_eq!(views.status(id).map(|status| status.term), Some(7));
    catalog.apply(Command::CreateTopics { topics: vec![spec], if_not_exists: false });
    views.set_catalog(Arc::new(catalog));
    assert_eq!(views.status(id).map(|status| status.term), Some(7));
    views.set_catalog(Arc::default());
    assert_eq!(views.status(id), None);
    let many = (0..2 * STATUSES_EARLY_MAX as i32).map(|partition| status(PartitionId { partition, ..id }, 1));
    views.note_statuses(&many.collect::<Vec<_>>());
    let kept = |partition| views.status(PartitionId { partition, ..id }).is_some();
    assert!(kept(0) && !kept(2 * STATUSES_EARLY_MAX as i32 - 1));
}
