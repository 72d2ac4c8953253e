//! `caudal topic list`.

use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;

const EXAMPLES: &str = "Examples:
  caudal topic list
  caudal topic list 'order*'
  caudal topic list --internal --output json";

/// See which topics there are
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only names that match: * is any text, ? any character
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Also the broker's own topics
    #[arg(long)]
    internal: bool,
}

#[derive(Serialize)]
struct Document {
    topics: Vec<TopicDocument>,
}

#[derive(Serialize)]
struct TopicDocument {
    name: String,
    topic_id: String,
    partitions: i32,
    replicas: i32,
    internal: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let topics = admin.list_topics(args.internal).await?;
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let topics = topics.into_iter().filter(|topic| matches(pattern.as_bytes(), topic.name.as_bytes()));
    let topics: Vec<TopicDocument> = topics
        .map(|topic| TopicDocument {
            name: topic.name,
            topic_id: topic.id.to_string(),
            partitions: topic.partitions,
            replicas: topic.replicas,
            internal: topic.internal,
        })
        .collect();
    if context.json {
        return context.print_json(&Document { topics });
    }
    let mut table = Table::new(&["topic", "partitions", "replicas"]).right(&[1, 2]);
    for topic in topics {
        table.row([topic.name, topic.partitions.to_string(), topic.replicas.to_string()]);
    }
    context.print_table(&table)
}

/// Whether a whole name matches a pattern of `*` and `?`. Linear in the name for each star.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                // The last star takes one byte more.
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, yes) in [
            ("*", "", true),
            ("*", "orders", true),
            ("orders", "orders", true),
            ("order", "orders", false),
            ("o*s", "orders", true),
            ("o*s", "ordersx", false),
            ("?rders", "orders", true),
            ("?", "", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), yes, "{pattern} {name}");
        }
    }
}
