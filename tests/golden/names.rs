//! Short names for what the broker knows by long ones: topics, partitions, files.

use std::path::PathBuf;

use caudal_broker::ids::{Index, PartitionId, TopicId};
use caudal_broker::log::paths;
use caudal_harness::lying_fs::ROOT;

const CONTROL: &str = "control";

/// The topics of a script, in the order in which they were asked for. The second one of a name is `name#2`.
#[derive(Default)]
pub(crate) struct Names(Vec<(TopicId, String)>);

impl Names {
    /// The id of a topic that is asked for now.
    pub(crate) fn new_topic(&mut self, name: &str) -> TopicId {
        let id = TopicId(uuid::Uuid::from_u128(0xca0d_a100 + self.0.len() as u128));
        let again = self.0.iter().filter(|(_, other)| other.split('#').next() == Some(name)).count();
        self.0.push((id, if again == 0 { name.to_owned() } else { format!("{name}#{}", again + 1) }));
        id
    }

    /// A partition by its name: `t:0`, `t#2:0`, `control:0`.
    pub(crate) fn partition_of(&self, name: &str) -> Result<PartitionId, String> {
        let (topic, partition) = name.split_once(':').ok_or(format!("{name:?} is no partition"))?;
        let partition = partition.parse().map_err(|_| format!("{name:?} is no partition"))?;
        let known = self.0.iter().find(|(_, known)| known == topic).map(|(id, _)| *id);
        let topic = known.or((topic == CONTROL).then_some(TopicId::CONTROL));
        Ok(PartitionId { topic: topic.ok_or(format!("{name:?} is of no known topic"))?, partition })
    }

    /// A partition's name.
    pub(crate) fn partition(&self, id: PartitionId) -> String {
        format!("{}:{}", self.topic(id.topic), id.partition)
    }

    fn topic(&self, id: TopicId) -> String {
        let known = self.0.iter().find(|(known, _)| *known == id).map(|(_, name)| name.clone());
        known.unwrap_or_else(|| if id == TopicId::CONTROL { CONTROL.to_owned() } else { id.to_string() })
    }

    /// A file by its name: `t:0/1.log`, `control:0/snapshot-12.snap`, `meta.a`.
    pub(crate) fn path_of(&self, name: &str) -> Result<PathBuf, String> {
        let root = PathBuf::from(ROOT);
        let Some((partition, file)) = name.split_once('/') else {
            return self
                .partition_of(name)
                .map_or(Ok(root.join(name)), |id| Ok(paths::partition_home(&root, id)));
        };
        let partition = self.partition_of(partition)?;
        let wrong = || format!("{name:?} is no file");
        if let Some(index) = file.strip_prefix("snapshot-").and_then(|rest| rest.strip_suffix(".snap")) {
            let home = paths::partition_home(&root, partition);
            return Ok(paths::snapshot_path(&home, Index(index.parse().map_err(|_| wrong())?)));
        }
        let dir = paths::partition_dir(&root, partition, 1);
        let (sequence, kind) = file.split_once('.').ok_or_else(wrong)?;
        let sequence = sequence.parse().map_err(|_| wrong())?;
        match kind {
            "log" => Ok(paths::segment_path(&dir, sequence)),
            "idx" => Ok(paths::index_path(&dir, sequence)),
            _ => Err(wrong()),
        }
    }

    /// A text with all paths and topic ids in it made short.
    pub(crate) fn shorten(&self, text: &str) -> String {
        let mut short = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(ROOT) {
            short += &rest[..at];
            let end = rest[at..].find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)));
            let end = end.map_or(rest.len(), |end| at + end);
            short += &self.file(&rest[at + ROOT.len()..end]);
            rest = &rest[end..];
        }
        short += rest;
        let control = (TopicId::CONTROL, CONTROL.to_owned());
        self.0.iter().chain([&control]).fold(short, |text, (id, name)| text.replace(&id.to_string(), name))
    }

    /// The name of a path below the root.
    fn file(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let topic = |id: &str| uuid::Uuid::parse_str(id).map_or(id.to_owned(), |id| self.topic(TopicId(id)));
        match parts[..] {
            [] => ".".to_owned(),
            ["topics", id] => format!("topics/{}", topic(id)),
            ["topics", id, partition] => format!("{}:{partition}", topic(id)),
            ["topics", id, partition, "1", file] => format!("{}:{partition}/{}", topic(id), unpadded(file)),
            ["topics", id, partition, ref rest @ ..] => {
                let rest: Vec<String> = rest.iter().map(|part| unpadded(part)).collect();
                format!("{}:{partition}/{}", topic(id), rest.join("/"))
            }
            _ => parts.join("/"),
        }
    }
}

/// A file's name without the zeros in front of its number.
fn unpadded(name: &str) -> String {
    let (before, number) = name.split_once('-').map_or(("", name), |(_, rest)| ("snapshot-", rest));
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    match number[..digits].parse::<u64>() {
        Ok(value) => format!("{before}{value}{}", &number[digits..]),
        Err(_) => name.to_owned(),
    }
}
