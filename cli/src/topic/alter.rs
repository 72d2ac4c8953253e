//! `caudal topic alter`.

use caudal_client::TopicAlteration;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;
use crate::tally::{ErrorDocument, Tally};
use crate::values::{Pair, config_pair};

const EXAMPLES: &str = "Examples:
  caudal topic alter flights --set retention.ms=30d
  caudal topic alter orders payments --set retention.bytes=10GiB --unset segment.bytes
  caudal topic alter flights --unset retention.ms --dry-run";

/// Change the configuration of topics; it acts at once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["set", "unset"]))]
pub(crate) struct Args {
    /// The topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// A value to set; 7d and 64MiB are understood
    #[arg(long, value_name = "KEY=VALUE", value_parser = config_pair)]
    set: Vec<Pair>,
    /// A key to take back to its default
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Show what would change, change nothing
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
    changes: Vec<ChangeDocument>,
    error: Option<ErrorDocument>,
}

#[derive(Serialize)]
struct ChangeDocument {
    key: String,
    before: String,
    after: String,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let alterations = args.names.iter().map(|name| TopicAlteration {
        name: name.clone(),
        set: args.set.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect(),
        unset: args.unset.clone(),
    });
    let admin = context.connect().await?.admin();
    let answers = admin.alter_topics(alterations.collect(), args.dry_run).await?;

    let mut tally = Tally::default();
    let mut topics = Vec::new();
    for (name, answer) in answers {
        let (changes, error) = match tally.take(answer) {
            Ok(changes) => (changes, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let changes = changes
            .into_iter()
            .map(|change| ChangeDocument { key: change.key, before: change.before, after: change.after })
            .collect();
        topics.push(TopicDocument { name, changes, error });
    }
    let document = Document { dry_run: args.dry_run, topics };
    if context.json {
        context.print_json(&document)?;
    } else {
        let mut table = Table::new(&["topic", "config", "before", "after"]);
        for topic in document.topics {
            for change in topic.changes {
                table.row([topic.name.clone(), change.key, change.before, change.after]);
            }
        }
        context.print_table(&table)?;
    }
    tally.finish("topics", "altered")
}
