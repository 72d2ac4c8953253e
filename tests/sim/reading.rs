//! Readers in the simulator: what they are told, and what they see.

use caudal_broker::ids::Offset;
use caudal_harness::history::{Event, Partition};

use crate::world::{PARTITIONS, World, partition_id};
use crate::writer::records_of;

impl World {
    pub(crate) fn read(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as u32;
        let Some(broker) = &self.broker else { return };
        let Some(view) = broker.views.get(&partition_id(partition)) else { return };
        let Some(published) = view.published.clone().filter(|published| published.ready) else { return };
        self.history.push(Event::LogStart { partition, offset: published.log_start.0 });
        self.history.push(Event::HighWatermark { partition, offset: published.high_watermark.0 });
        let span = (published.high_watermark.0 - published.log_start.0) as u64;
        if span > 0 {
            let from = published.log_start.0 + self.rng.below(span) as i64;
            self.read_from(partition, from, published.high_watermark.0);
        }
    }

    /// Reads once from an offset; where the next read goes on.
    fn read_from(&mut self, partition: Partition, from: i64, end: i64) -> Option<i64> {
        let broker = self.broker.as_ref()?;
        let reader = &broker.views.get(&partition_id(partition))?.reader;
        let read = match reader.read(Offset(from), Offset(end), 64 * 1024, true) {
            Ok(read) => read,
            Err(error) => {
                if !self.planned {
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

    pub(crate) fn read_all(&mut self, partition: Partition) {
        let published = self.broker.as_ref().and_then(|b| b.views.get(&partition_id(partition)));
        let Some(published) = published.and_then(|view| view.published.clone()) else {
            return self.wrong.push(format!("partition {partition} is not there"));
        };
        if let Some(why) = &published.closed {
            self.wrong.push(format!("partition {partition} is closed: {why}"));
        }
        self.history.push(Event::LogStart { partition, offset: published.log_start.0 });
        self.history.push(Event::HighWatermark { partition, offset: published.high_watermark.0 });
        let mut at = published.log_start.0;
        while at < published.high_watermark.0 {
            match self.read_from(partition, at, published.high_watermark.0) {
                Some(next) => at = next,
                None => return,
            }
        }
    }
}
