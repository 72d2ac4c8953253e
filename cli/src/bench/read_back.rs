//! Reads a run's records back and checks that each is there once, byte for byte.

use std::sync::Arc;

use caudal_client::{ClientConfig, Start};

use super::payload::{Pool, Stamp};
use crate::failure::Failure;

/// Which records of a run were seen.
pub(crate) struct Seen {
    /// A bit for each sequence of each sender.
    bits: Vec<Vec<u64>>,
    pub(crate) records: u64,
}

impl Seen {
    /// None of so many senders' records yet.
    pub(crate) fn new(senders: usize) -> Seen {
        Seen { bits: vec![Vec::new(); senders], records: 0 }
    }

    /// Marks a record; the error says what is wrong with it.
    pub(crate) fn mark(&mut self, stamp: Stamp, sent: &[u64]) -> Result<(), String> {
        let Stamp { sender, sequence, .. } = stamp;
        let sender_at = sender as usize;
        if sent.get(sender_at).is_none_or(|sent| sequence >= *sent) {
            return Err(format!("record {sequence} of sender {sender} was never sent"));
        }
        let bits = &mut self.bits[sender_at];
        let at = usize::try_from(sequence / 64).map_err(|_| "too many records to check".to_owned())?;
        if bits.len() <= at {
            bits.resize(at + 1, 0);
        }
        let bit = 1 << (sequence % 64);
        if bits[at] & bit != 0 {
            return Err(format!("record {sequence} of sender {sender} is there twice"));
        }
        bits[at] |= bit;
        self.records += 1;
        Ok(())
    }
}

/// What to read back.
pub(crate) struct ReadBack {
    pub(crate) client: ClientConfig,
    pub(crate) topic: String,
    pub(crate) pool: Arc<Pool>,
    /// Each partition with the first offset of the run and the one behind its last.
    pub(crate) ranges: Vec<(i32, i64, i64)>,
    /// Records of each sender.
    pub(crate) sent: Vec<u64>,
    /// Whether every record must be there: not with `--acks none`.
    pub(crate) complete: bool,
}

impl ReadBack {
    /// Reads and checks; answers with how many records of the run there are.
    pub(crate) async fn run(self) -> Result<u64, Failure> {
        let client = caudal_client::Client::with_config(self.client.clone()).await?;
        let mut consumer = client.consumer().build().await?;
        for (partition, first, end) in &self.ranges {
            consumer.assign_until(&self.topic, *partition, Start::Offset(*first), *end).await?;
        }
        let mut seen = Seen::new(self.sent.len());
        while let Some(batch) = consumer.next_batch().await? {
            for record in batch {
                let record = record?;
                let value = record.value.as_deref().unwrap_or_default();
                let place = || format!("{}:{} offset {}", record.topic, record.partition, record.offset);
                match self.pool.check(value) {
                    Some(stamp) => seen
                        .mark(stamp, &self.sent)
                        .map_err(|what| Failure::refused(format!("read back at {}: {what}", place())))?,
                    None if self.pool.stamp(value).is_some() => {
                        return Err(Failure::refused(format!("read back at {}: the value changed", place())));
                    }
                    // Of another run, or of someone else who writes to the topic.
                    None => {}
                }
            }
        }
        let sent: u64 = self.sent.iter().sum();
        if self.complete && seen.records != sent {
            return Err(Failure::refused(format!(
                "read back {} of {sent} acknowledged records",
                seen.records
            )));
        }
        Ok(seen.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_may_be_there_once() {
        let stamp = |sender, sequence| Stamp { run: 1, sender, sequence, intended_ns: 0 };
        let mut seen = Seen::new(2);
        for (sender, sequence) in [(0, 0), (1, 0), (0, 99), (0, 64)] {
            assert_eq!(seen.mark(stamp(sender, sequence), &[100, 1]), Ok(()));
        }
        assert!(seen.mark(stamp(0, 99), &[100, 1]).unwrap_err().contains("twice"));
        assert!(seen.mark(stamp(1, 1), &[100, 1]).unwrap_err().contains("never sent"));
        assert!(seen.mark(stamp(2, 0), &[100, 1]).is_err());
        assert_eq!(seen.records, 4);
    }
}
