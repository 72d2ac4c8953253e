//! Readers in the simulator: what they are told, and what they see.

use caudal_broker::ids::Offset;
use caudal_broker::node::Published;
use caudal_harness::history::{Event, Partition};

use crate::world::{PARTITIONS, World, partition_id};
use crate::writer::records_of;

impl World {
    pub(crate) fn read(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as u32;
        let host = self.rng.below(self.hosts.len() as u64) as usize;
        let Some(published) = self.told(host, partition) else { return };
        let span = (published.high_watermark.0 - published.log_start.0) as u64;
        if span > 0 {
            let from = published.log_start.0 + self.rng.below(span) as i64;
            self.read_from(host, partition, from, published.high_watermark.0);
        }
    }

    /// What a broker says as a leader; a reader goes to no leader of an older epoch than it has heard of.
    fn told(&mut self, host: usize, partition: Partition) -> Option<Published> {
        if self.hosts[host].paused {
            return None;
        }
        let broker = self.hosts[host].broker.as_ref()?;
        let view = broker.views.get(&partition_id(partition))?;
        let published = view.published.clone().filter(|published| published.ready)?;
        let epoch = self.epochs.entry(partition).or_default();
        if published.epoch.0 < *epoch {
            return None;
        }
        *epoch = published.epoch.0;
        self.history.push(Event::LogStart { partition, offset: published.log_start.0 });
        self.history.push(Event::HighWatermark { partition, offset: published.high_watermark.0 });
        Some(published)
    }

    /// Reads once from an offset; where the next read goes on.
    fn read_from(&mut self, host: usize, partition: Partition, from: i64, end: i64) -> Option<i64> {
        let host = &self.hosts[host];
        let reader = &host.broker.as_ref()?.views.get(&partition_id(partition))?.reader;
        let read = match reader.read(Offset(from), Offset(end), 64 * 1024, true) {
            Ok(read) => read,
            Err(error) => {
                if !host.planned {
                    self.wrong.push(format!("partition {partition} cannot be read at {from}: {error}"));
                }
                return None;
            }
        };
        for batch in &read.batches {
            match records_of(batch) {
                Ok(records) => {
                    for (offset, record) in records.into_iter().filter(|(offset, _)| *offset >= from) {
                        self.history.push(Event::Read { partition, offset, record });
                    }
                }
                Err(why) => self.wrong.push(format!("partition {partition}, read at {from}: {why}")),
            }
        }
        (read.next_offset.0 > from).then_some(read.next_offset.0)
    }

    /// Everything there is, at the one that leads.
    pub(crate) fn read_all(&mut self, partition: Partition) {
        let leads = |host: usize| {
            let broker = self.hosts[host].broker.as_ref()?;
            broker.probe(partition_id(partition)).filter(|probe| probe.ready)
        };
        let Some(host) = (0..self.hosts.len()).find(|host| leads(*host).is_some()) else {
            return self.wrong.push(format!("partition {partition} has no leader at the end"));
        };
        let Some(published) = self.told(host, partition) else {
            return self.wrong.push(format!("partition {partition} is not there"));
        };
        if let Some(why) = &published.closed {
            self.wrong.push(format!("partition {partition} is closed: {why}"));
        }
        let mut at = published.log_start.0;
        while at < published.high_watermark.0 {
            match self.read_from(host, partition, at, published.high_watermark.0) {
                Some(next) => at = next,
                None => return,
            }
        }
    }
}
