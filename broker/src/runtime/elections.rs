//! The log's story of elections: who stands and why, who won, when it serves; one line for each, however many partitions
//! elect at once.
//!
//! The first few steps of a second are told one by one, with their partition. What comes beyond them in the second is
//! told together at its end, by what happened and why. Of a partition that never had a leader only the end of the story
//! is told: nothing was interrupted.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::{PartitionId, ShardId};
use crate::node::{Cause, Election, Step};

/// Lines of one second that name their partition: three elections.
const SINGLE_LINES: usize = 9;

/// What one shard tells.
#[derive(Debug)]
pub struct Elections {
    shard: ShardId,
    /// Told in this second.
    single: usize,
    /// Beyond that, and the first partition of each.
    together: BTreeMap<Said, (u64, String)>,
    /// When a replica began to stand, in ms.
    since: BTreeMap<PartitionId, u64>,
}

/// What is told of several partitions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Stands(Cause),
    Won(Cause),
    Serves,
    Lost,
}

impl Elections {
    /// Of a shard, with nothing told.
    pub fn new(shard: ShardId) -> Elections {
        Elections { shard, single: 0, together: BTreeMap::new(), since: BTreeMap::new() }
    }

    /// Tells what happened; `topic` names partitions.
    pub fn tell(&mut self, news: Vec<Election>, now_ms: u64, topic: impl Fn(PartitionId) -> Option<String>) {
        for election in news {
            let name = || topic(election.partition).unwrap_or_else(|| election.partition.to_string());
            let took_ms = self.time(&election, now_ms);
            if let Step::Stands(Cause::Beginning) | Step::Won(Cause::Beginning) = election.step {
                tracing::debug!(partition = name(), term = %election.term, step = ?election.step, "a first election");
                continue;
            }
            if self.single < SINGLE_LINES {
                self.single += 1;
                tell_one(&election, &name(), took_ms);
                continue;
            }
            let said = match election.step {
                Step::Stands(cause) => Said::Stands(cause),
                Step::Won(cause) => Said::Won(cause),
                Step::Serves => Said::Serves,
                Step::Lost(_) => Said::Lost,
            };
            self.together.entry(said).or_insert_with(|| (0, name())).0 += 1;
        }
    }

    /// How long it took from standing to serving, once it serves.
    fn time(&mut self, election: &Election, now_ms: u64) -> Option<u64> {
        match election.step {
            Step::Stands(_) => {
                self.since.insert(election.partition, now_ms);
                None
            }
            Step::Won(_) => None,
            Step::Serves => self.since.remove(&election.partition).map(|since| now_ms.saturating_sub(since)),
            Step::Lost(_) => {
                self.since.remove(&election.partition);
                None
            }
        }
    }

    /// A partition is not here any more.
    pub fn forget(&mut self, partition: PartitionId) {
        self.since.remove(&partition);
    }

    /// A second is over: tells what was not told one by one.
    pub fn second(&mut self) {
        self.single = 0;
        let shard = self.shard;
        for (said, (partitions, first)) in std::mem::take(&mut self.together) {
            match said {
                Said::Stands(why) => {
                    tracing::info!(%shard, partitions, %first, %why, "further replicas stand for election");
                }
                Said::Won(why) => tracing::info!(%shard, partitions, %first, %why, "further elections won"),
                Said::Serves => {
                    tracing::info!(%shard, partitions, %first, "further partitions are served here")
                }
                Said::Lost => {
                    tracing::info!(%shard, partitions, %first, "further partitions are led no longer")
                }
            }
        }
    }
}

fn tell_one(election: &Election, partition: &str, took_ms: Option<u64>) {
    let term = election.term;
    match election.step {
        Step::Stands(why) => tracing::info!(partition, %term, %why, "stands for election"),
        Step::Won(why) => tracing::info!(partition, %term, %why, "won the election"),
        Step::Serves => tracing::info!(partition, %term, took_ms, "leads and serves"),
        Step::Lost(Some(leader)) => tracing::info!(partition, %term, %leader, "leads no longer"),
        Step::Lost(None) => tracing::info!(partition, %term, "leads no longer"),
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Beginning => f.write_str("no leader is known yet"),
            Cause::Down(node) => write!(f, "node {node}, which led, is down"),
            Cause::HandedOver(node) => write!(f, "node {node} hands over"),
            Cause::Silent(node) => write!(f, "node {node}, which led, was not heard in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::ids::{NodeId, Term, TopicId};

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn election(partition: i32, step: Step) -> Election {
        let topic = TopicId(uuid::Uuid::from_u128(9));
        Election { partition: PartitionId { topic, partition }, term: Term(7), step }
    }

    /// The lines that are logged meanwhile.
    fn told(act: impl FnOnce(&mut Elections)) -> Vec<String> {
        let told = Told::default();
        let writer = told.clone();
        let lines = tracing_subscriber::fmt().without_time().with_ansi(false);
        let lines = lines.with_max_level(tracing::Level::INFO).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(lines, || act(&mut Elections::new(ShardId(1))));
        let bytes = told.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn name(id: PartitionId) -> Option<String> {
        Some(format!("orders:{}", id.partition))
    }

    #[test]
    fn an_election_is_a_story_of_three_lines() {
        let why = Cause::Down(NodeId(2));
        let lines = told(|elections| {
            elections.tell(vec![election(3, Step::Stands(why))], 1_000, name);
            let rest = vec![election(3, Step::Won(why)), election(3, Step::Serves)];
            elections.tell(rest, 1_012, name);
            elections.second();
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("stands for election") && lines[0].contains("node 2, which led, is down"));
        assert!(lines[1].contains("won the election") && lines[1].contains("term=7"), "{}", lines[1]);
        assert!(lines[2].contains("orders:3") && lines[2].contains("took_ms=12"), "{}", lines[2]);
    }

    #[test]
    fn thousands_at_once_are_told_together() {
        let why = Cause::Down(NodeId(2));
        let lines = told(|elections| {
            for step in [Step::Stands(why), Step::Won(why), Step::Serves] {
                elections.tell((0..1000).map(|partition| election(partition, step)).collect(), 5, name);
            }
            elections.second();
            elections.second();
        });
        assert_eq!(lines.len(), SINGLE_LINES + 3, "{lines:?}");
        let stands = lines.iter().find(|line| line.contains("further replicas stand")).unwrap();
        assert!(stands.contains("partitions=991") && stands.contains("orders:9"), "{stands}");
    }

    #[test]
    fn a_beginning_is_one_line() {
        let lines = told(|elections| {
            let steps = [Step::Stands(Cause::Beginning), Step::Won(Cause::Beginning), Step::Serves];
            elections.tell(steps.map(|step| election(0, step)).into(), 5, name);
        });
        assert!(lines.len() == 1 && lines[0].contains("leads and serves"), "{lines:?}");
    }
}
