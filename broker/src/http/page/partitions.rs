//! Topics and single partitions.

use std::fmt;
use std::sync::Arc;

use super::{Detail, Writer, f};
use crate::http::families::Family;
use crate::http::shown::Inside;
use crate::ids::PartitionId;
use crate::node::{Census, Lag};
use crate::runtime::meters::traffic::TrafficReading;
use crate::runtime::partition_view::PartitionView;

/// What was written and read, by topic.
pub(super) fn traffic(inside: &Inside, writer: &mut Writer<'_>) -> fmt::Result {
    let catalog = inside.views.catalog();
    let topics: Vec<(Arc<str>, TrafficReading)> = inside
        .views
        .all_traffic()
        .into_iter()
        .filter_map(|(id, traffic)| {
            let topic = catalog.topic_by_id(id).filter(|topic| !topic.internal)?;
            Some((Arc::clone(&topic.name), traffic.read()))
        })
        .collect();
    let mut family = |family: &Family, read: fn(&TrafficReading) -> u64| {
        writer.family(family, |samples| {
            topics
                .iter()
                .try_for_each(|(topic, reading)| samples.add(&[("topic", &**topic)], read(reading) as f64))
        })
    };
    family(&f::PRODUCED_RECORDS, |reading| reading.produced_records)?;
    family(&f::PRODUCED_BYTES, |reading| reading.produced_bytes)?;
    family(&f::FETCHED_RECORDS, |reading| reading.fetched_records)?;
    family(&f::FETCHED_BYTES, |reading| reading.fetched_bytes)
}

/// One partition's labels and numbers.
struct Row {
    view: Arc<PartitionView>,
    number: String,
    bytes: u64,
}

/// Sums over all partitions, and what is told of each.
pub(super) fn write(
    inside: &Inside,
    censuses: &[Census],
    detail: Detail,
    writer: &mut Writer<'_>,
) -> fmt::Result {
    let (mut rows, mut ranges, mut offsets) = (Vec::new(), 0, 0);
    for view in inside.views.all() {
        let reader = view.reader();
        for range in reader.iter().flat_map(|reader| reader.damage()) {
            ranges += 1;
            offsets += range.last.0 - range.first.0 + 1;
        }
        let bytes = reader.map_or(0, |reader| reader.bytes());
        rows.push(Row { number: view.id.partition.to_string(), view, bytes });
    }
    writer.one(&f::LOG_SIZE, rows.iter().map(|row| row.bytes).sum::<u64>() as f64)?;
    writer.one(&f::DAMAGED_RANGES, f64::from(ranges))?;
    writer.one(&f::DAMAGED_OFFSETS, offsets as f64)?;
    if detail == Detail::Topics {
        rows.clear();
    }
    let mut family = |family: &Family, read: &dyn Fn(&Row) -> f64| {
        writer.family(family, |samples| {
            rows.iter().try_for_each(|row| {
                samples.add(&[("topic", &*row.view.topic), ("partition", &row.number)], read(row))
            })
        })
    };
    family(&f::HIGH_WATERMARK, &|row| row.view.high_watermark().0 as f64)?;
    family(&f::LOG_START, &|row| row.view.log_start().0 as f64)?;
    family(&f::PARTITION_SIZE, &|row| row.bytes as f64)?;
    let censuses = if detail == Detail::Topics { &[] } else { censuses };
    lags(inside, censuses, writer)
}

/// How far the other replicas of partitions led here are.
fn lags(inside: &Inside, censuses: &[Census], writer: &mut Writer<'_>) -> fmt::Result {
    let catalog = inside.views.catalog();
    let name = |id: PartitionId| {
        let topic = catalog.topic_by_id(id.topic);
        topic.map(|topic| Arc::clone(&topic.name))
    };
    let led = censuses.iter().flat_map(|census| &census.led).filter(|led| !led.followers.is_empty());
    let rows: Vec<(Arc<str>, String, &[Lag])> = led
        .filter_map(|led| {
            Some((name(led.partition)?, led.partition.partition.to_string(), &led.followers[..]))
        })
        .collect();
    let mut family = |family: &Family, read: fn(&Lag) -> f64| {
        writer.family(family, |samples| {
            rows.iter().try_for_each(|(topic, partition, followers)| {
                followers.iter().try_for_each(|lag| {
                    let node = lag.node.to_string();
                    let labels = [("topic", &**topic), ("partition", partition), ("node", &node)];
                    samples.add(&labels, read(lag))
                })
            })
        })
    };
    family(&f::REPLICA_LAG, |lag| lag.entries as f64)?;
    family(&f::REPLICA_IN_STEP, |lag| f64::from(u8::from(lag.in_step)))
}
