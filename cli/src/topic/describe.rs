//! `caudal topic describe`.

use caudal_client::{ConfigSource, PartitionDescription, TopicDescription};
use serde::Serialize;

use super::borrowed;
use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;
use crate::tally::{ErrorDocument, Tally};
use crate::values::show_size;

const EXAMPLES: &str = "Examples:
  caudal topic describe flights
  caudal topic describe orders payments
  caudal topic describe flights --output json";

/// See everything about topics: configuration with its source, partitions with their offsets
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Serialize)]
struct Document {
    topics: Vec<TopicDocument>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TopicDocument {
    Found {
        name: String,
        topic_id: String,
        replicas: i32,
        internal: bool,
        records: i64,
        bytes: u64,
        configs: Vec<ConfigDocument>,
        partitions: Vec<PartitionDocument>,
        error: Option<ErrorDocument>,
    },
    Failed {
        name: String,
        error: ErrorDocument,
    },
}

#[derive(Serialize)]
struct ConfigDocument {
    key: String,
    value: String,
    source: &'static str,
}

#[derive(Serialize)]
struct PartitionDocument {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    log_start: i64,
    high_watermark: i64,
    bytes: u64,
    damaged: Vec<RangeDocument>,
}

#[derive(Serialize)]
struct RangeDocument {
    first_offset: i64,
    last_offset: i64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let answers = admin.describe_topics(&borrowed(&args.names)).await?;
    let mut tally = Tally::default();
    let topics: Vec<TopicDocument> = answers
        .into_iter()
        .map(|(name, answer)| match tally.take(answer) {
            Ok(topic) => found(topic),
            Err(error) => TopicDocument::Failed { name, error },
        })
        .collect();
    if context.json {
        context.print_json(&Document { topics })?;
    } else {
        print(context, &topics)?;
    }
    tally.finish("topics", "described")
}

fn found(topic: TopicDescription) -> TopicDocument {
    let records = topic.partitions.iter().map(|p| p.high_watermark.saturating_sub(p.log_start)).sum();
    TopicDocument::Found {
        name: topic.name,
        topic_id: topic.id.to_string(),
        replicas: topic.replicas,
        internal: topic.internal,
        records,
        bytes: topic.partitions.iter().map(|p| p.bytes).sum(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| ConfigDocument {
                key: config.key,
                value: config.value,
                source: source(config.source),
            })
            .collect(),
        partitions: topic.partitions.into_iter().map(partition).collect(),
        error: None,
    }
}

fn source(source: ConfigSource) -> &'static str {
    match source {
        ConfigSource::Default => "default",
        ConfigSource::Broker => "broker",
        ConfigSource::Topic => "topic",
    }
}

fn partition(p: PartitionDescription) -> PartitionDocument {
    let damaged = p.damaged.into_iter();
    PartitionDocument {
        partition: p.partition,
        leader: p.leader_node,
        leader_epoch: p.leader_epoch,
        replicas: p.replicas,
        log_start: p.log_start,
        high_watermark: p.high_watermark,
        bytes: p.bytes,
        damaged: damaged
            .map(|(first_offset, last_offset)| RangeDocument { first_offset, last_offset })
            .collect(),
    }
}

fn print(context: &Context, topics: &[TopicDocument]) -> Result<(), Failure> {
    let mut first = true;
    for topic in topics {
        let TopicDocument::Found { name, topic_id, replicas, records, bytes, configs, partitions, .. } =
            topic
        else {
            continue;
        };
        if !std::mem::take(&mut first) {
            crate::context::print(b"\n")?;
        }
        let mut facts = Table::facts();
        facts.row(["topic".to_owned(), name.clone()]);
        facts.row(["id".to_owned(), topic_id.clone()]);
        facts.row(["partitions".to_owned(), partitions.len().to_string()]);
        facts.row(["replicas".to_owned(), replicas.to_string()]);
        facts.row(["offsets".to_owned(), records.to_string()]);
        facts.row(["bytes".to_owned(), format!("{bytes} ({})", show_size(*bytes))]);
        context.print_table(&facts)?;
        crate::context::print(b"\n")?;
        let mut table = Table::new(&["config", "value", "source"]);
        for config in configs {
            table.row([config.key.clone(), config.value.clone(), config.source.to_owned()]);
        }
        context.print_table(&table)?;
        crate::context::print(b"\n")?;
        context.print_table(&partition_table(partitions))?;
    }
    Ok(())
}

fn partition_table(partitions: &[PartitionDocument]) -> Table {
    let columns =
        ["partition", "leader", "epoch", "replicas", "log-start", "high-watermark", "bytes", "damaged"];
    let mut table = Table::new(&columns).right(&[0, 1, 2, 4, 5, 6]);
    for p in partitions {
        let replicas: Vec<String> = p.replicas.iter().map(i32::to_string).collect();
        let damaged: Vec<String> =
            p.damaged.iter().map(|range| format!("{}..={}", range.first_offset, range.last_offset)).collect();
        table.row([
            p.partition.to_string(),
            p.leader.map_or("none".to_owned(), |node| node.to_string()),
            p.leader_epoch.to_string(),
            replicas.join(","),
            p.log_start.to_string(),
            p.high_watermark.to_string(),
            p.bytes.to_string(),
            if damaged.is_empty() { "-".to_owned() } else { damaged.join(" ") },
        ]);
    }
    table
}
