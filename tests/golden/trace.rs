//! What comes out of a broker, each as one short line that names its fields.

use caudal_broker::ids::{NodeId, ReplicaId};
use caudal_broker::log::{Job, MetaField, Reader, Round};
use caudal_broker::node::{Published, Receipt, Reply, ShardMessage};
use caudal_broker::refusal::Refusal;
use caudal_broker::runtime::shard::Effect;
use caudal_broker::state::{Catalog, Reply as ControlReply, TopicConfig};

use crate::names::Names;
use crate::world::START_MS;

/// An effect.
pub(crate) fn effect(names: &Names, effect: &Effect) -> String {
    match effect {
        Effect::Reply { ticket, reply } => format!("answer {ticket}: {}", answer(names, reply)),
        Effect::ToShard { shard, message } => format!("to shard {shard}: {}", letter(names, message)),
        Effect::Opened { partition, reader, .. } => {
            format!("opened {}{}", names.partition(*partition), damage(reader))
        }
        Effect::Configured { partition, config } => {
            format!("configured {} {}", names.partition(*partition), settings(config))
        }
        Effect::Publish { partition, view } => {
            format!("publish {} {}", names.partition(*partition), published(view))
        }
        Effect::Deleted { partition } => format!("deleted {}", names.partition(*partition)),
        Effect::Catalog(catalog) => format!("catalog {}", topics(catalog)),
        Effect::Registered(node) => format!("registered as node {node}"),
        Effect::Send { to, .. } => format!("send to node {to}"),
        Effect::Statuses(statuses) => format!("{} statuses", statuses.len()),
        Effect::Read(read) => format!("read {} {}..{}", names.partition(read.partition), read.from, read.to),
    }
}

/// A round that leaves for the disk, a line for each part.
pub(crate) fn round(names: &Names, round: &Round) -> Vec<String> {
    let mut lines = vec![format!("round {}:", round.number)];
    for change in &round.meta {
        let synced = if change.what.must_sync() { " (synced)" } else { "" };
        lines.push(format!("  meta {} {}{synced}", names.partition(change.partition), field(&change.what)));
    }
    lines.extend(round.sync.iter().map(|sync| format!("  sync {}", names.partition(sync.partition))));
    lines.extend(round.jobs.iter().map(|of| format!("  {}", job(names, of))));
    lines
}

fn answer(names: &Names, reply: &Reply) -> String {
    let text = match reply {
        Reply::Produced(Ok(receipt)) => return appended(names, receipt),
        Reply::Trimmed(Ok((before, after))) => return format!("log start {before} -> {after}"),
        Reply::Control(Ok(reply)) => control(reply),
        Reply::Transferring(Ok(())) => "transferring".to_owned(),
        Reply::Produced(Err(refusal))
        | Reply::Trimmed(Err(refusal))
        | Reply::Transferring(Err(refusal))
        | Reply::Control(Err(refusal)) => refused(refusal),
    };
    names.shorten(&text)
}

fn refused(refusal: &Refusal) -> String {
    format!("refused: {refusal}")
}

fn appended(names: &Names, receipt: &Receipt) -> String {
    let Receipt { base_offset, last_offset, index, term, .. } = receipt;
    let mut text = format!(
        "appended {} offsets {base_offset}..={last_offset} index={index} term={term} time=+{} voters={} synced={}",
        names.partition(receipt.partition),
        receipt.append_time - START_MS,
        replicas(&receipt.voters),
        replicas(&receipt.synced),
    );
    if !receipt.written.is_empty() {
        text += &format!(" written={}", replicas(&receipt.written));
    }
    if receipt.duplicate {
        text += " duplicate";
    }
    text
}

/// Each as node/replica.
fn replicas(replicas: &[(NodeId, ReplicaId)]) -> String {
    let shown: Vec<String> = replicas.iter().map(|(node, replica)| format!("{node}/{replica}")).collect();
    format!("[{}]", shown.join(","))
}

fn control(reply: &ControlReply) -> String {
    match reply {
        ControlReply::CreateTopics(topics) => each(topics, |topic| {
            let made = if topic.existed { "existed" } else { "created" };
            format!("{made} partitions={} replicas={}", topic.partitions, topic.replicas)
        }),
        ControlReply::DeleteTopics(topics) => {
            each(topics, |topic| format!("deleted partitions={}", topic.partitions))
        }
        ControlReply::AlterTopics(topics) => each(topics, |changes| {
            let shown: Vec<String> =
                changes.iter().map(|c| format!("{} {} -> {}", c.key, c.before, c.after)).collect();
            format!("altered {}", if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") })
        }),
        ControlReply::AddPartitions(Ok(count)) => format!("partitions={count}"),
        ControlReply::InitProducer(Ok((id, epoch))) => format!("producer={id} epoch={epoch}"),
        ControlReply::AddPartitions(Err(refusal)) | ControlReply::InitProducer(Err(refusal)) => {
            refused(refusal)
        }
        ControlReply::RegisterNode(known) => format!("node {}", known.node),
        ControlReply::Recovered(Ok(recovery)) => format!(
            "recovered from replica {:?} start={} lost={}..{} resumes at {}",
            recovery.replica.map(|replica| replica.0),
            recovery.log_start,
            recovery.lost_from,
            recovery.known_end,
            recovery.resume_at
        ),
        ControlReply::Recovered(Err(refusal)) => refused(refusal),
        ControlReply::Done(result) => match result {
            Ok(()) => "done".to_owned(),
            Err(refusal) => refused(refusal),
        },
    }
}

fn each<T>(results: &[(String, Result<T, Refusal>)], show: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = results
        .iter()
        .map(|(name, result)| format!("{name} {}", result.as_ref().map_or_else(refused, &show)))
        .collect();
    shown.join("; ")
}

fn published(view: &Published) -> String {
    let leader = view.leader.map_or("none".to_owned(), |node| node.to_string());
    let mut text = format!("leader={leader} epoch={}", view.epoch);
    text += if view.ready { " ready" } else { " not ready" };
    text += &format!(" start={} end={}", view.log_start, view.high_watermark);
    if let Some(why) = &view.closed {
        text += &format!(" closed: {why}");
    }
    text
}

fn letter(names: &Names, message: &ShardMessage) -> String {
    match message {
        ShardMessage::Assign { partition, seats, .. } => {
            format!("assign {} replica={}", names.partition(*partition), seats.here)
        }
        ShardMessage::Delete { partition, .. } => format!("delete {}", names.partition(*partition)),
        ShardMessage::Reports { reports, .. } => {
            let shown: Vec<String> = reports
                .iter()
                .map(|(id, report)| {
                    format!("{} {} end={}", names.partition(*id), report.condition.word(), report.next_offset)
                })
                .collect();
            format!("without a leader: {}", shown.join(", "))
        }
        ShardMessage::Draining(nodes) => format!("draining {nodes:?}"),
        ShardMessage::Registered(node) => format!("registered as node {node}"),
    }
}

fn settings(config: &TopicConfig) -> String {
    let limit = |value: Option<String>| value.unwrap_or("none".to_owned());
    format!(
        "retention.ms={} retention.bytes={} segment.bytes={} segment.ms={} max.message.bytes={} durability={:?}",
        limit(config.retention_ms.map(|ms| ms.to_string())),
        limit(config.retention_bytes.map(|bytes| bytes.to_string())),
        config.segment_bytes,
        config.segment_ms,
        config.max_message_bytes,
        config.durability,
    )
}

fn topics(catalog: &Catalog) -> String {
    let topics: Vec<String> =
        catalog.topics().map(|topic| format!("{}({})", topic.name, topic.partition_count())).collect();
    let nodes: Vec<String> = catalog.members().map(|member| member.id.to_string()).collect();
    format!("revision={} nodes=[{}] topics=[{}]", catalog.revision(), nodes.join(","), topics.join(","))
}

fn damage(reader: &Reader) -> String {
    let ranges: Vec<String> =
        reader.damage().iter().map(|range| format!("{}..={}", range.first, range.last)).collect();
    if ranges.is_empty() { String::new() } else { format!(" damaged={}", ranges.join(",")) }
}

fn field(what: &MetaField) -> String {
    match what {
        MetaField::Created { replica, start, voters, term } => format!(
            "created replica={replica} first-index={} term={term} voters={:?}",
            start.first_index, voters.voters
        ),
        MetaField::HardState { term, vote } => format!("term={term} vote={vote}"),
        MetaField::Commit(index) => format!("commit={index}"),
        MetaField::Conf { applied, voters } => format!("applied={applied} voters={:?}", voters.voters),
        MetaField::Start(start) => {
            format!("log-start={} first-index={}", start.log_start, start.first_index)
        }
        MetaField::Durable { index, term } => format!("durable={index} of term {term}"),
        MetaField::LowerDurable { index, term } => format!("durable lowered to {index} of term {term}"),
        MetaField::Snapshot { index, term } => format!("snapshot={index} of term {term}"),
        MetaField::Jumped(jumped) => {
            let start = jumped.start;
            format!("jumped to generation {} first-index={}", start.generation, start.first_index)
        }
        MetaField::Inherited(heir) => format!(
            "replica {} goes on behind {} of term {} in term {}, log-start={}",
            heir.replica, heir.last, heir.last_term, heir.term, heir.log_start
        ),
        MetaField::Removed => "removed".to_owned(),
    }
}

fn job(names: &Names, job: &Job) -> String {
    match job {
        Job::Create { partition, .. } => format!("make log {}", names.partition(*partition)),
        Job::Prepare { partition, sequence, bytes, .. } => {
            format!("prepare {}/{sequence}.log of {bytes} bytes", names.partition(*partition))
        }
        Job::Snapshot { partition, index, term, data } => format!(
            "snapshot {} at {index} of term {term}, {} bytes",
            names.partition(*partition),
            data.len()
        ),
        Job::Install { partition, sequence, .. } => {
            format!("install {}/{sequence}.log", names.partition(*partition))
        }
        Job::Remove { files, .. } => {
            let files: Vec<String> =
                files.iter().map(|file| names.shorten(&file.display().to_string())).collect();
            format!("remove {}", files.join(" "))
        }
        Job::Producers { partition, .. } => format!("producers of {}", names.partition(*partition)),
        Job::RemoveGeneration { partition, generation } => {
            format!("remove generation {generation} of {}", names.partition(*partition))
        }
        Job::RemoveLog { partition } => format!("remove log {}", names.partition(*partition)),
    }
}
