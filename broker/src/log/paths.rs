//! Where everything lies in a data folder.
//!
//! ```text
//! <root>/LOCK                                  the running broker's lock, with its process id
//! <root>/identity                              who this folder is
//! <root>/meta.a  meta.b                        the meta log
//! <root>/topics/<topic id>/<partition>/        one partition's home
//!     snapshot-<index, 20 digits>.snap         a state machine's snapshot
//!     <generation>/<sequence, 10 digits>.log   a segment
//!     <generation>/<sequence, 10 digits>.idx   its index
//! ```

use std::path::{Path, PathBuf};

use crate::ids::{Index, PartitionId, TopicId};

/// The lock of the running broker, with its process id.
pub fn lock_path(root: &Path) -> PathBuf {
    root.join("LOCK")
}

/// Who the folder is.
pub fn identity_path(root: &Path) -> PathBuf {
    root.join("identity")
}

/// The meta log's file of a sequence: odd ones are `meta.a`, even ones `meta.b`.
pub fn meta_path(root: &Path, sequence: u64) -> PathBuf {
    root.join(if sequence % 2 == 1 { "meta.a" } else { "meta.b" })
}

/// The folder of all topics. It is first made after the meta log has a synced record.
pub fn topics_dir(root: &Path) -> PathBuf {
    root.join("topics")
}

/// The folder of one topic.
pub fn topic_dir(root: &Path, topic: TopicId) -> PathBuf {
    topics_dir(root).join(topic.to_string())
}

/// The folder of one partition: its snapshots, and the generations of its log.
pub fn partition_home(root: &Path, partition: PartitionId) -> PathBuf {
    topic_dir(root, partition.topic).join(partition.partition.to_string())
}

/// The folder of one generation of a partition's log.
pub fn partition_dir(root: &Path, partition: PartitionId, generation: u64) -> PathBuf {
    partition_home(root, partition).join(generation.to_string())
}

/// A segment in the folder of its generation.
pub fn segment_path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:010}.log"))
}

/// The index of a segment.
pub fn index_path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:010}.idx"))
}

/// The sequence of a segment's file name; `None` for every other name.
pub fn segment_sequence(name: &str) -> Option<u64> {
    number(name.strip_suffix(".log")?, 10)
}

/// The sequence of an index's file name; `None` for every other name.
pub fn index_sequence(name: &str) -> Option<u64> {
    number(name.strip_suffix(".idx")?, 10)
}

/// A state machine's snapshot in its partition's home.
pub fn snapshot_path(home: &Path, index: Index) -> PathBuf {
    home.join(format!("snapshot-{index:020}.snap"))
}

/// The index of a snapshot's file name; `None` for every other name.
pub fn snapshot_index(name: &str) -> Option<Index> {
    number(name.strip_prefix("snapshot-")?.strip_suffix(".snap")?, 20).map(Index)
}

/// A file while it is written; renamed to its name when it is whole.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Whether a file was left unfinished: it may be removed.
pub fn is_unfinished(name: &str) -> bool {
    name.ends_with(".tmp")
}

fn number(digits: &str, width: usize) -> Option<u64> {
    let plain = digits.len() >= width && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        let root = Path::new("/data");
        let dir = partition_dir(root, PartitionId::CONTROL, 3);
        assert_eq!(dir, Path::new("/data/topics/00000000-0000-0000-0000-000000000001/0/3"));
        assert_eq!(segment_path(&dir, 7), dir.join("0000000007.log"));
        assert_eq!(segment_sequence("0000000007.log"), Some(7));
        assert_eq!(index_sequence("0000000007.idx"), Some(7));
        let home = partition_home(root, PartitionId::CONTROL);
        let snapshot = snapshot_path(&home, Index(12));
        assert_eq!(snapshot, home.join("snapshot-00000000000000000012.snap"));
        assert_eq!(snapshot_index("snapshot-00000000000000000012.snap"), Some(Index(12)));
        assert_eq!(unfinished(&snapshot), home.join("snapshot-00000000000000000012.snap.tmp"));
    }

    #[test]
    fn other_names_are_nobody_s() {
        for name in
            ["7.log", "0000000007.log.tmp", "+000000007.log", "0000000007", "", ".log", "x000000007.log"]
        {
            assert_eq!(segment_sequence(name), None, "{name:?}");
        }
        assert_eq!(snapshot_index("snapshot-12.snap"), None);
        assert_eq!(snapshot_index("snapshot-99999999999999999999999.snap"), None);
    }

    #[test]
    fn meta_files_alternate() {
        let root = Path::new("/data");
        assert_eq!(meta_path(root, 1), Path::new("/data/meta.a"));
        assert_eq!(meta_path(root, 2), Path::new("/data/meta.b"));
        assert_eq!(meta_path(root, 3), Path::new("/data/meta.a"));
    }
}
