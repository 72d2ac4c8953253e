//! `caudal topic delete`.

use caudal_client::{DeletedTopic, Each};
use serde::Serialize;

use super::borrowed;
use crate::confirm::confirm;
use crate::context::Context;
use crate::counted::counted;
use crate::failure::Failure;
use crate::table::Table;
use crate::tally::{ErrorDocument, Tally};

const EXAMPLES: &str = "Examples:
  caudal topic delete flights
  caudal topic delete orders payments --yes
  caudal topic delete flights --dry-run";

/// Remove topics with all their records
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Show what would go, remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
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
    error: Option<ErrorDocument>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let names = borrowed(&args.names);
    if !args.dry_run && !args.yes {
        let plan = admin.delete_topics(&names, true).await?;
        // Where none would be deleted, the refusals below say why.
        if plan.iter().any(|(_, answer)| answer.is_ok()) {
            confirm(&question(&plan), false)?;
        }
    }
    let answers = admin.delete_topics(&names, args.dry_run).await?;

    let mut tally = Tally::default();
    let topics = answers.into_iter().map(|(name, answer)| match tally.take(answer) {
        Ok(topic) => TopicDocument {
            name,
            topic_id: topic.id.map(|id| id.to_string()),
            partitions: Some(topic.partitions),
            error: None,
        },
        Err(error) => TopicDocument { name, topic_id: None, partitions: None, error: Some(error) },
    });
    let document = Document { dry_run: args.dry_run, topics: topics.collect() };
    if context.json {
        context.print_json(&document)?;
    } else {
        context.print_table(&table(&document))?;
    }
    tally.finish("topics", "deleted")
}

fn question(plan: &Each<DeletedTopic>) -> String {
    let topics = plan.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let named: Vec<String> =
        topics.map(|topic| format!("{} ({})", topic.name, partitions(topic.partitions))).collect();
    format!("delete {} with all records", named.join(", "))
}

fn partitions(number: i32) -> String {
    counted(u64::try_from(number).unwrap_or(0), "partition")
}

fn table(document: &Document) -> Table {
    let mut table = Table::new(&["topic", "partitions", "status"]).right(&[1]);
    for topic in &document.topics {
        let status = match topic.error {
            Some(_) => "refused",
            None if document.dry_run => "would be deleted",
            None => "deleted",
        };
        let partitions = topic.partitions.map_or("-".to_owned(), |n| n.to_string());
        table.row([topic.name.clone(), partitions, status.to_owned()]);
    }
    table
}
