//! File descriptors: as many as the system allows, and enough of them kept for the logs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits;

/// Raises the limit of open files to what the system allows this process, and says how many that is.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections each shard may have beside the files of the logs.
pub fn connections(files: u64, shards: u32) -> usize {
    let spare = files.saturating_sub(limits::FILES_RESERVED).max(limits::FILES_RESERVED / 2);
    let each = usize::try_from(spare / u64::from(shards.max(1))).unwrap_or(usize::MAX);
    let each = each.clamp(1, limits::CONNECTIONS_PER_SHARD_MAX);
    if each < limits::CONNECTIONS_PER_SHARD_MAX {
        tracing::warn!(files, connections_per_shard = each, "the limit of open files bounds the connections");
    }
    each
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_for_the_logs() {
        assert_eq!(connections(u64::MAX, 2), limits::CONNECTIONS_PER_SHARD_MAX);
        assert_eq!(connections(limits::FILES_RESERVED + 3000, 2), 1500);
        assert_eq!(connections(10, 4), (limits::FILES_RESERVED / 8) as usize);
    }
}
