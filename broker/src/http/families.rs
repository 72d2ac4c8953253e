//! Every family of metrics: name, kind, and what it means. `docs/OPERATIONS.md` says the same to people, and when to
//! worry.

/// What kind of numbers a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, from the broker's start on.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Durations, in buckets.
    Histogram,
}

/// A family of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name, as it is scraped; of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident $kind:ident $name:literal $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family = Family { name: $name, kind: Kind::$kind, help: $help };
        )*

        /// All of them, in the order of the page.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    BUILD Gauge "caudal_build_info" "The release that runs: always 1";
    BROKER Gauge "caudal_broker_info" "Who this broker is: always 1, once it belongs to a cluster";
    UPTIME Gauge "caudal_uptime_seconds" "Time since the broker began to start";
    READY Gauge "caudal_ready" "1 where /readyz says 200";
    CPU Counter "process_cpu_seconds_total" "Processor time of the process, user and kernel";
    RESIDENT Gauge "process_resident_memory_bytes" "Memory in RAM, with the mapped pages of segments";
    ANONYMOUS Gauge "caudal_process_anonymous_bytes" "Memory in RAM that is no page of a file";
    OPEN_FILES Gauge "process_open_fds" "Open file descriptors";
    THREADS Gauge "caudal_process_threads" "Threads of the process";
    DISK_SIZE Gauge "caudal_disk_size_bytes" "Size of the file system of the data folder";
    DISK_FREE Gauge "caudal_disk_free_bytes" "What the broker may still write there";
    LOG_SIZE Gauge "caudal_log_size_bytes" "Bytes of the frames of all logs here";

    PRODUCED_RECORDS Counter "caudal_topic_produced_records_total" "Records written, without duplicates";
    PRODUCED_BYTES Counter "caudal_topic_produced_bytes_total" "Bytes of their batches, as they were sent";
    FETCHED_RECORDS Counter "caudal_topic_fetched_records_total" "Records of the batches handed to consumers";
    FETCHED_BYTES Counter "caudal_topic_fetched_bytes_total" "Bytes of these batches";

    REQUESTS Counter "caudal_requests_total" "Requests answered, and streams opened, by outcome: OK, or the reason of the refusal";
    REQUEST_SECONDS Histogram "caudal_request_duration_seconds" "How long requests took; of Fetch with the wait that was asked for. No streams";
    BATCHES Counter "caudal_batches_total" "Producers' batches, of requests and streams, by outcome: OK, or the reason of the refusal";
    COMMIT_SECONDS Histogram "caudal_commit_duration_seconds" "From when a batch with acks=all reached its partition's shard until it was answered";
    ROUND_SECONDS Histogram "caudal_disk_round_duration_seconds" "How long the disk took for a round: writes, syncs, files made and removed";
    OPEN_REQUESTS Gauge "caudal_open_requests" "Requests and streams that are open";
    CONNECTIONS Gauge "caudal_connections" "gRPC connections that are open";
    ACCEPTED Counter "caudal_connections_accepted_total" "gRPC connections that were accepted";
    STALLED Counter "caudal_stalled_total" "Connections closed because the client took nothing: seen at its socket, or at one of its responses";

    NODES Gauge "caudal_nodes" "Brokers of the cluster";
    NODE_UP Gauge "caudal_node_up" "1 where this broker hears the other one";
    CONTROL_LEADER Gauge "caudal_control_leader" "1 at the broker that leads the control partition";
    REPLICAS Gauge "caudal_replicas" "Replicas here by state: live, opening, closed";
    LEADERS Gauge "caudal_leaders" "Partitions that this broker leads and serves";
    LEADERLESS Gauge "caudal_leaderless_partitions" "Replicas here that know no leader";
    UNDER_REPLICATED Gauge "caudal_under_replicated_partitions" "Partitions led here with a replica that is not in step";
    ELECTIONS_BEGUN Counter "caudal_elections_begun_total" "Times that a replica here began to stand for election";
    ELECTIONS_WON Counter "caudal_elections_won_total" "Times that one won";
    ELECTIONS_LOST Counter "caudal_leaderships_lost_total" "Times that one stopped leading";

    PEER_CONNECTIONS Gauge "caudal_peer_connections" "Connections to the other broker: one for each shard is meant";
    PEER_ENVELOPES Gauge "caudal_peer_queue_envelopes" "Envelopes that wait for the other broker's connections";
    PEER_BYTES Gauge "caudal_peer_queue_bytes" "Their bytes";
    PEER_DROPPED Counter "caudal_peer_dropped_messages_total" "Messages that did not leave: no connection, or a full queue. Raft sends them again";
    BACKLOG_DROPPED Counter "caudal_peer_backlog_dropped_total" "Envelopes of other brokers dropped here because a shard had too many";

    MEMORY Gauge "caudal_memory_bytes" "What is used of each memory budget";
    MEMORY_LIMIT Gauge "caudal_memory_limit_bytes" "Each memory budget";
    QUEUE Gauge "caudal_queue_length" "Calls that wait at the shards, reads that wait for a thread";
    QUEUE_LIMIT Gauge "caudal_queue_limit" "How many may wait";
    PRODUCERS Gauge "caudal_producers" "Producers remembered, over all partitions";
    DAMAGED_RANGES Gauge "caudal_damaged_ranges" "Ranges of offsets known to be damaged: found at a start, or by a read";
    DAMAGED_OFFSETS Gauge "caudal_damaged_offsets" "Offsets in these ranges";

    HIGH_WATERMARK Gauge "caudal_partition_high_watermark" "The first offset that readers may not see, as known here";
    LOG_START Gauge "caudal_partition_log_start" "The first offset that readers may see";
    PARTITION_SIZE Gauge "caudal_partition_size_bytes" "Bytes of the frames of the log here";
    REPLICA_LAG Gauge "caudal_replica_lag_entries" "Of a partition led here: entries of its log (a batch is one) that the other replica is not known to have synced";
    REPLICA_IN_STEP Gauge "caudal_replica_in_step" "Of a partition led here: 1 where the other replica is heard and lacks nothing that was committed a second ago";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let names: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len(), "no name twice");
        for Family { name, kind, help } in ALL {
            let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(plain && (name.starts_with("caudal_") || name.starts_with("process_")), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(!help.ends_with('.') && !help.contains('\n'), "{name}");
        }
    }
}
