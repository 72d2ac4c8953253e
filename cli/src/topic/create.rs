//! `caudal topic create`.

use caudal_client::{CreateOptions, CreatedTopic, NewTopic};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;
use crate::tally::{ErrorDocument, Tally};
use crate::values::{Pair, config_pair};

const EXAMPLES: &str = "Examples:
  caudal topic create flights
  caudal topic create orders payments -p 12
  caudal topic create clicks -c retention.ms=1d -c durability=memory
  caudal topic create flights --if-not-exists";

/// Make topics
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// [A-Za-z0-9._-], 249 characters at most, not beginning with __
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Partitions of each topic, 1 to 10000 [default: 1]
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    partitions: Option<i32>,
    /// Replicas of each partition: 1, 3 or 5 [default: 3 where three brokers exist, else 1]
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    replicas: Option<i32>,
    /// A configuration value by Kafka's key, or durability=synced|memory; 7d and 64MiB are understood
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = config_pair)]
    configs: Vec<Pair>,
    /// A topic that exists is a success, whatever its configuration
    #[arg(long)]
    if_not_exists: bool,
    /// Check everything, change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Document {
    dry_run: bool,
    topics: Vec<TopicDocument>,
}

#[derive(Serialize)]
struct TopicDocument {
    name: String,
    topic_id: Option<String>,
    partitions: Option<i32>,
    replicas: Option<i32>,
    existed: bool,
    error: Option<ErrorDocument>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let topics = args.names.iter().map(|name| NewTopic {
        name: name.clone(),
        partitions: args.partitions,
        replicas: args.replicas,
        configs: args.configs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect(),
    });
    let options = CreateOptions { validate_only: args.dry_run, if_not_exists: args.if_not_exists };
    let admin = context.connect().await?.admin();
    let answers = admin.create_topics(topics.collect(), options).await?;

    let mut tally = Tally::default();
    let topics = answers.into_iter().map(|(name, answer)| document(name, tally.take(answer))).collect();
    let document = Document { dry_run: args.dry_run, topics };
    if context.json {
        context.print_json(&document)?;
    } else {
        context.print_table(&table(&document))?;
    }
    tally.finish("topics", "created")
}

fn document(name: String, answer: Result<CreatedTopic, ErrorDocument>) -> TopicDocument {
    match answer {
        Ok(topic) => TopicDocument {
            name,
            topic_id: topic.id.map(|id| id.to_string()),
            partitions: Some(topic.partitions),
            replicas: Some(topic.replicas),
            existed: topic.existed,
            error: None,
        },
        Err(error) => TopicDocument {
            name,
            topic_id: None,
            partitions: None,
            replicas: None,
            existed: false,
            error: Some(error),
        },
    }
}

fn table(document: &Document) -> Table {
    let mut table = Table::new(&["topic", "partitions", "replicas", "status"]).right(&[1, 2]);
    let number = |n: Option<i32>| n.map_or("-".to_owned(), |n| n.to_string());
    for topic in &document.topics {
        let status = match topic {
            TopicDocument { error: Some(_), .. } => "refused",
            TopicDocument { existed: true, .. } => "existed",
            _ if document.dry_run => "would be created",
            _ => "created",
        };
        table.row([topic.name.clone(), number(topic.partitions), number(topic.replicas), status.to_owned()]);
    }
    table
}
