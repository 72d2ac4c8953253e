//! The topic of a run: the one that was named, or one that is made for it and removed after it.

use caudal_client::{Admin, NewTopic, OffsetSpec};

use super::sender::Sent;
use crate::context::Context;
use crate::failure::Failure;
use crate::values::Pair;

/// What a made topic is like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) partitions: Option<i32>,
    pub(crate) replicas: Option<i32>,
    pub(crate) configs: Vec<Pair>,
}

/// The topic of a run.
pub(crate) struct BenchTopic {
    admin: Admin,
    pub(crate) name: String,
    made: bool,
    pub(crate) partitions: Vec<i32>,
}

impl BenchTopic {
    /// Finds the topic, or makes one for this run.
    pub(crate) async fn prepare(
        context: &Context,
        named: Option<&str>,
        wish: Wish,
        run: u32,
    ) -> Result<BenchTopic, Failure> {
        let admin = context.connect().await?.admin();
        let (name, made) = match named {
            Some(name) => (name.to_owned(), false),
            None => {
                let name = format!("caudal-bench-{run:08x}");
                let configs = wish.configs.into_iter().map(|pair| (pair.key, pair.value)).collect();
                let (partitions, replicas) = (wish.partitions, wish.replicas);
                admin.create_topic(NewTopic { name: name.clone(), partitions, replicas, configs }).await?;
                (name, true)
            }
        };
        let partitions = admin.partitions(&name).await;
        let mut topic = BenchTopic { admin, name, made, partitions: Vec::new() };
        match partitions {
            Ok(partitions) => topic.partitions = partitions,
            Err(error) => {
                topic.remove().await?;
                return Err(error.into());
            }
        }
        Ok(topic)
    }

    /// The end of each partition.
    pub(crate) async fn ends(&self) -> Result<Vec<(i32, i64)>, Failure> {
        self.offsets(OffsetSpec::End).await
    }

    /// The start of each partition.
    pub(crate) async fn starts(&self) -> Result<Vec<(i32, i64)>, Failure> {
        self.offsets(OffsetSpec::Start).await
    }

    /// From these offsets to the ends. Acknowledged records may not be visible yet (`durability=memory`): an end is at
    /// least what the senders were told.
    pub(crate) async fn ranges(
        &self,
        from: Vec<(i32, i64)>,
        senders: &[Sent],
    ) -> Result<Vec<(i32, i64, i64)>, Failure> {
        let visible = self.ends().await?;
        let told = |partition| senders.iter().filter_map(|sent| sent.ends.get(&partition)).copied().max();
        let ranges = from.into_iter().zip(visible).map(|((partition, first), (_, end))| {
            (partition, first, told(partition).map_or(end, |told: i64| told.max(end)))
        });
        Ok(ranges.collect())
    }

    async fn offsets(&self, spec: OffsetSpec) -> Result<Vec<(i32, i64)>, Failure> {
        let answers = self.admin.list_offsets(&self.name, &self.partitions, spec).await?;
        let mut ends = Vec::new();
        for (partition, answer) in answers {
            ends.push((partition, answer?.offset.unwrap_or(0)));
        }
        Ok(ends)
    }

    /// Removes the topic if it was made for this run.
    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        if self.made {
            for (_, answer) in self.admin.delete_topics(&[&self.name], false).await? {
                answer?;
            }
        }
        Ok(())
    }

    /// Does the run; the topic goes also when the run fails or is interrupted.
    pub(crate) async fn with<T>(&self, run: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let outcome = tokio::select! {
            outcome = run => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        };
        let removed = self.remove().await;
        let outcome = outcome?;
        removed?;
        Ok(outcome)
    }
}
