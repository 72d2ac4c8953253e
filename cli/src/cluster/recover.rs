//! `caudal cluster recover`.

use caudal_client::{Recovery, ReplicaRemains};
use serde::Serialize;

use super::place::{Place, numbers};
use crate::confirm::confirm;
use crate::context::Context;
use crate::counted::counted;
use crate::failure::Failure;
use crate::table::Table;

const EXAMPLES: &str = "Examples:
  caudal cluster recover flights:3 --accept-loss --dry-run
  caudal cluster recover flights:3 --accept-loss --yes";

/// Let a partition go on that lost most of its replicas, without what only those had
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The partition
    #[arg(value_name = "TOPIC:P")]
    place: Place,
    /// Acknowledged records may be lost: without this word it is wrong usage
    #[arg(long, required = true)]
    accept_loss: bool,
    /// Name what is lost, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Document {
    topic: String,
    partition: i32,
    dry_run: bool,
    node_id: i32,
    replica_id: Option<u64>,
    log_start: i64,
    lost_from: i64,
    known_end: i64,
    resume_at: i64,
    replicas: Vec<ReplicaDocument>,
    to: Vec<i32>,
}

#[derive(Serialize)]
struct ReplicaDocument {
    node_id: i32,
    replica_id: u64,
    condition: String,
    next_offset: Option<i64>,
    missing_entries: u64,
}

/// What stays and what is lost, in one line each.
fn facts(recovery: &Recovery) -> Vec<(&'static str, String)> {
    let Recovery { node_id, log_start, lost_from, known_end, resume_at, to, .. } = recovery;
    let stays = match recovery.replica_id {
        Some(_) if lost_from > log_start => {
            format!("offsets {log_start} to {}, from node {node_id}", lost_from - 1)
        }
        Some(_) => format!("no record; the log of node {node_id} is empty"),
        None => "nothing: no log is left".to_owned(),
    };
    let lost = match known_end > lost_from {
        true => format!("offsets {lost_from} to {}, and what nobody knows of any more", known_end - 1),
        false => format!("no record that is known; perhaps some from offset {lost_from} on"),
    };
    vec![
        ("stays", stays),
        ("lost", lost),
        ("goes on", format!("at offset {resume_at}, with replicas on nodes {}", numbers(to))),
    ]
}

/// How a replica stands, for people.
fn remains(remains: &ReplicaRemains) -> String {
    match (remains.condition.as_str(), remains.next_offset) {
        ("silent", _) => {
            "its broker does not answer: if it can come back, start it instead of this".to_owned()
        }
        ("lost-end", Some(end)) => format!(
            "ends before offset {end}; {} that were on its disk are missing",
            counted(remains.missing_entries, "entry")
        ),
        ("lost-log", _) => "its log is gone".to_owned(),
        ("closed", _) => "it does not start; its broker's log says why".to_owned(),
        (_, Some(end)) => format!("whole, up to offset {end}"),
        (other, None) => other.to_owned(),
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let admin = context.connect().await?.admin();
    let Place { topic, partition } = &args.place;
    let mut recovery = admin.recover_partition(topic, *partition, true).await?;
    if !args.dry_run {
        if !args.yes {
            show(context, &recovery);
        }
        confirm(&format!("give up what is lost of {topic}:{partition}"), args.yes && args.accept_loss)?;
        recovery = admin.recover_partition(topic, *partition, false).await?;
    }
    if context.json {
        return context.print_json(&document(args, recovery));
    }
    let mut table = Table::facts();
    for replica in &recovery.replicas {
        table.row([format!("node {}", replica.node_id), remains(replica)]);
    }
    for (name, text) in facts(&recovery) {
        table.row([name.to_owned(), text]);
    }
    context.print_table(&table)?;
    if !args.dry_run {
        context.note("done; see caudal cluster move-status for the replicas that join");
    }
    Ok(())
}

/// What the answer to the question decides on, on stderr.
fn show(context: &Context, recovery: &Recovery) {
    for replica in &recovery.replicas {
        context.note(&format!("node {}: {}", replica.node_id, remains(replica)));
    }
    for (name, text) in facts(recovery) {
        context.note(&format!("{name}: {text}"));
    }
}

fn document(args: Args, recovery: Recovery) -> Document {
    let replica = |replica: ReplicaRemains| ReplicaDocument {
        node_id: replica.node_id,
        replica_id: replica.replica_id,
        condition: replica.condition,
        next_offset: replica.next_offset,
        missing_entries: replica.missing_entries,
    };
    Document {
        topic: args.place.topic,
        partition: args.place.partition,
        dry_run: args.dry_run,
        node_id: recovery.node_id,
        replica_id: recovery.replica_id,
        log_start: recovery.log_start,
        lost_from: recovery.lost_from,
        known_end: recovery.known_end,
        resume_at: recovery.resume_at,
        replicas: recovery.replicas.into_iter().map(replica).collect(),
        to: recovery.to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery(replica_id: Option<u64>, ends: (i64, i64, i64)) -> Recovery {
        let (log_start, lost_from, known_end) = ends;
        let (replicas, to) = (Vec::new(), vec![2, 1, 3]);
        Recovery { node_id: 2, replica_id, log_start, lost_from, known_end, resume_at: 1000, replicas, to }
    }

    #[test]
    fn what_stays_and_what_is_lost_is_named() {
        let said = |recovery| facts(&recovery).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let some = said(recovery(Some(7), (10, 20, 25)));
        assert_eq!(some[0], "offsets 10 to 19, from node 2");
        assert_eq!(some[1], "offsets 20 to 24, and what nobody knows of any more");
        assert_eq!(some[2], "at offset 1000, with replicas on nodes 2,1,3");
        assert_eq!(
            said(recovery(Some(7), (10, 20, 20)))[1],
            "no record that is known; perhaps some from offset 20 on"
        );
        assert_eq!(said(recovery(Some(7), (0, 0, 3)))[0], "no record; the log of node 2 is empty");
        assert_eq!(said(recovery(None, (9, 0, 3)))[0], "nothing: no log is left");
    }
}
