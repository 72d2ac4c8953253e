//! Every bound of the broker, with its reason.

/// The largest record batch a topic may allow, in bytes (`max.message.bytes`). With its frame header it fits a
/// gRPC message of [`GRPC_MESSAGE_BYTES_MAX`] and an eighth of the smallest segment a topic with it may have.
pub const BATCH_BYTES_CEILING: usize = 16 * 1024 * 1024;

/// The default of `max.message.bytes`: Kafka's, 1 MiB and a batch header.
pub const BATCH_BYTES_DEFAULT: usize = 1_048_588;

/// The largest gRPC message taken or sent.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Partitions of one topic.
pub const PARTITIONS_PER_TOPIC_MAX: i32 = 10_000;

/// Replicas for each broker that there is, over all topics: each costs memory, files and a Raft group.
pub const REPLICAS_PER_BROKER_MAX: u64 = 20_000;

/// The smallest segment a topic may have: Kafka's.
pub const SEGMENT_BYTES_MIN: u64 = 1024 * 1024;

/// The bytes of one command of the control partition: it is one entry, and one message to a follower.
pub const COMMAND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Topics named in one request.
pub const TOPICS_PER_REQUEST_MAX: usize = 10_000;

/// Partitions named in one produce or fetch request.
pub const ITEMS_PER_REQUEST_MAX: usize = 10_000;

/// Subscriptions of one fetch stream.
pub const SUBSCRIPTIONS_PER_STREAM_MAX: usize = 10_000;

/// Plain records in one item of a unary produce: they are encoded here, on a shard's time.
pub const PLAIN_RECORDS_MAX: usize = 100_000;

/// What one compressed batch may inflate to where the broker decodes it (plain records in a unary fetch).
pub const INFLATE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How far ahead of the broker's clock a record's timestamp may lie, as in Kafka 4.
pub const TIMESTAMP_AHEAD_MS_MAX: i64 = 60 * 60 * 1000;

/// Batch bytes one produce stream may have sent and not yet seen answered.
pub const PRODUCE_WINDOW_BYTES: u64 = BATCH_BYTES_CEILING as u64 + PRODUCE_GRANT_BYTES;

/// A produce stream grants bytes in steps of this: rarely enough to cost nothing, and often enough that a batch of
/// [`BATCH_BYTES_CEILING`] always fits once the stream's earlier ones are answered.
pub const PRODUCE_GRANT_BYTES: u64 = 2 * 1024 * 1024;

/// Batches one produce stream may have in flight; it is not read further meanwhile.
pub const PRODUCE_IN_FLIGHT_MAX: usize = 4096;

/// A batch below this is copied out of the buffer it came in: a kept slice would keep the whole buffer.
pub const COPY_BELOW_BYTES: usize = 4 * 1024;

/// Batch bytes of one partition that are proposed and not committed.
pub const PARTITION_UNCOMMITTED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Batch bytes of one shard that are proposed and not committed, over all its partitions.
pub const SHARD_UNCOMMITTED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of batches in one fetch response.
pub const FETCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of batches in one message of a fetch stream: small enough that streams share a connection.
pub const FETCH_STREAM_MESSAGE_BYTES: usize = 1024 * 1024;

/// The longest wait of a unary fetch.
pub const FETCH_WAIT_MS_MAX: u32 = 60_000;

/// The longest silence of a fetch stream, where the client asks for none.
pub const FETCH_HEARTBEAT_MS_DEFAULT: u32 = 5_000;

/// The shortest and the longest silence that a client of a fetch stream may ask for.
pub const FETCH_HEARTBEAT_MS: std::ops::RangeInclusive<u32> = 100..=60_000;

/// Answers waiting in one fetch stream beside its batches; its requests are not read meanwhile.
pub const FETCH_STREAM_ANSWERS_MAX: usize = 64;

/// How long the creation of a topic waits for the leaders of its partitions.
pub const CREATE_WAIT_MS: u64 = 5_000;

/// Bytes of responses that one connection has not taken yet; further ones are not made meanwhile.
pub const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of one shard's gRPC messages that have begun to come and are not whole: they lie in memory.
pub const INCOMPLETE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Requests and streams of one shard at a time.
pub const REQUESTS_PER_SHARD_MAX: usize = 32 * 1024;

/// Flow-control windows of a stream and of a connection: what a client may send before it is read.
pub const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// The largest HTTP/2 frame taken. Far above the default of 16 KiB: it is worth a factor of three.
pub const HTTP2_FRAME_BYTES_MAX: u32 = 1024 * 1024;

/// The header lists of one request.
pub const HTTP2_HEADERS_BYTES_MAX: u32 = 16 * 1024;

/// The time between two pings of a silent connection, and the time its answer may take.
pub const HTTP2_PING_MS: u64 = 20_000;

/// How long an orderly stop waits for the clients' streams to end.
pub const STOP_GRACE_MS: u64 = 2_000;

/// File descriptors kept free of connections, for logs and everything else.
pub const FILES_RESERVED: u64 = 512;

/// A connection whose peer takes nothing for so long is closed: its bytes pin segments.
pub const STALLED_CONNECTION_MS: u64 = 30_000;

/// A new connection that has not sent its HTTP/2 preface after so long is closed.
pub const HANDSHAKE_MS: u64 = 10_000;

/// The time between two ticks of a shard. Ticks that were missed are not made up for.
pub const TICK_MS: u64 = 100;

/// Inputs taken into one pass of a shard: bounds the time between two looks at the clock.
pub const INPUTS_PER_PASS_MAX: usize = 1024;

/// Inputs waiting at a shard; a sender waits when it is full.
pub const SHARD_INBOX_MAX: usize = 16 * 1024;

/// Bytes proposed to Raft in one step of one partition.
pub const PROPOSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Batches whose sequences are remembered for each producer of a partition, as in Kafka.
pub const PRODUCER_BATCHES_REMEMBERED: usize = 5;

/// Producers remembered for each partition; the one that wrote longest ago is forgotten first.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 100_000;

/// A producer that has not written for so long, by append time, is forgotten.
pub const PRODUCER_EXPIRY_MS: i64 = 24 * 60 * 60 * 1000;

/// Connections of one shard. Further ones wait in the kernel's queue.
pub const CONNECTIONS_PER_SHARD_MAX: usize = 16 * 1024;

/// Streams of one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1024;

/// How far back from the end of the log a shard thread reads the map by itself; older bytes go to the reader pool.
pub const RECENT_TAIL_BYTES: u64 = 8 * 1024 * 1024;

/// Threads of the reader pool.
pub const READER_THREADS: usize = 4;

/// Reads waiting for the reader pool, of all shards; a reader waits when there are more.
pub const READS_WAITING_MAX: usize = 1024;

/// Bytes of entries in one message to a peer.
pub const PEER_MESSAGE_BYTES_MAX: u64 = 1024 * 1024;

/// One frame from a peer. The largest message is a snapshot with [`PRODUCERS_PER_PARTITION_MAX`] producers and
/// [`PRODUCER_BATCHES_REMEMBERED`] batches of each; one with [`PEER_MESSAGE_BYTES_MAX`] of entries and a batch of
/// [`BATCH_BYTES_CEILING`] fits three times.
pub const PEER_FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One frame of votes, heartbeats, answers and statuses.
pub const PEER_CONTROL_FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An envelope that has so many bytes is closed, and the next message begins another one.
pub const PEER_ENVELOPE_BYTES: usize = 4 * 1024 * 1024;

/// Messages of one envelope, and as many statuses: each costs some hundred bytes where it is decoded.
pub const PEER_ENVELOPE_MESSAGES_MAX: usize = 32 * 1024;

/// Entries of one envelope.
pub const PEER_ENVELOPE_ENTRIES_MAX: usize = 256 * 1024;

/// Batches of producers in one envelope: those of one snapshot.
pub const PEER_ENVELOPE_PRODUCERS_MAX: usize = PRODUCERS_PER_PARTITION_MAX * PRODUCER_BATCHES_REMEMBERED;

/// Bytes of one envelope that are lists of replicas: a byte of them becomes eight.
pub const PEER_ENVELOPE_LIST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Envelopes of one shard and class that wait for one peer's connection.
pub const PEER_QUEUE_ENVELOPES: usize = 1024;

/// Bytes of entries and snapshots, each, of one shard that wait for one peer's connection.
pub const PEER_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of votes, heartbeats, answers and statuses of one shard that wait for one peer's connection.
pub const PEER_CONTROL_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of entries and snapshots from peers that lie undelivered at one shard; what sends them is not read further
/// meanwhile.
pub const PEER_BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of votes, heartbeats, answers and statuses that lie undelivered at one shard; more are dropped, since who
/// lives must be heard.
pub const PEER_CONTROL_BACKLOG_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A control connection says nothing for so long at most.
pub const PEER_PULSE_MS: u64 = 100;

/// A broker that was not heard for so long is down.
pub const PEER_SILENCE_MS: u64 = 300;

/// The time between two looks for silent brokers.
pub const PEER_CHECK_MS: u64 = 50;

/// A second process with one identity is refused if the first was heard within this.
pub const PEER_TWIN_MS: u64 = 1_000;

/// The first and the longest pause before a broker is connected to again.
pub const PEER_BACKOFF_MS: std::ops::RangeInclusive<u64> = 50..=1_000;

/// How long a connection to a broker may take to be made.
pub const PEER_CONNECT_MS: u64 = 1_000;

/// How long the hello, and its answer, may take.
pub const PEER_HELLO_MS: u64 = 2_000;

/// A hello, and its answer.
pub const PEER_HELLO_BYTES_MAX: usize = 4 * 1024;

/// A connection between brokers whose bytes are not acknowledged, or not taken, for so long is closed.
pub const PEER_UNACKED_MS: u32 = 5_000;

/// Connections to the peer listener that have not said hello. The oldest is closed for the next one: a broker says
/// hello at once.
pub const PEER_HANDSHAKES_MAX: usize = 128;

/// Connections from brokers of the cluster: for each of them one of every shard and class.
pub const PEER_CONNECTIONS_MAX: usize = 2048;

/// Brokers that are known by their own words only, until the catalog names them.
pub const PEERS_INTRODUCED_MAX: usize = 64;

/// Partitions that a broker keeps the word of a leader of beyond those that its catalog names: it may lag behind.
pub const STATUSES_EARLY_MAX: u64 = 4096;

/// Connections of brokers that look for their cluster.
pub const PEER_QUESTIONERS_MAX: usize = 64;

/// A question, and its answer.
pub const PEER_QUESTION_BYTES_MAX: usize = 64 * 1024;

/// A connection for questions that asks nothing for so long is closed.
pub const PEER_QUESTION_WAIT_MS: u64 = 10_000;

/// How long the answer to a question may take: the control partition may have to commit first.
pub const PEER_ANSWER_MS: u64 = 10_000;

/// Append messages to one peer of one partition that are not answered yet.
pub const PEER_MESSAGES_IN_FLIGHT: usize = 64;

/// Ticks (a tenth of a second each) without a leader before a replica stands for election: from this to twice this.
pub const ELECTION_TICKS: usize = 10;

/// Entries of a state machine's log before it is snapshotted and cut.
pub const SNAPSHOT_ENTRIES: u64 = 10_000;

/// A partition that panicked is opened again once; a second time within so long leaves it closed.
pub const REOPEN_INTERVAL_MS: u64 = 60_000;

/// Uncommitted bytes of one partition above which `acks=leader` and `durability=memory` answer only when the disk has
/// caught up: the write-back never falls further behind, and no producer is refused for it.
pub const EARLY_ANSWER_BYTES_MAX: u64 = PARTITION_UNCOMMITTED_BYTES_MAX / 2;

/// Ticks in a second.
pub const SECOND_TICKS: u64 = 10;

/// Ticks between two looks at the age and size of every log; a roll or a new configuration is looked at at once.
pub const RETENTION_TICKS: u64 = 100;

/// The segments of the control partition, which is snapshotted and cut.
pub const CONTROL_SEGMENT_BYTES: u64 = 1024 * 1024;

/// Sealed segments of one log that stay open and mapped after a read. With the active ones of
/// [`PARTITIONS_PER_TOPIC_MAX`] logs that is below Linux's limit of 65,530 maps.
pub const SEALED_MAPS_PER_LOG_MAX: usize = 4;

/// The first size of a segment file; it grows by doubling.
pub const SEGMENT_FIRST_BYTES: u64 = 64 * 1024;

/// Room that a log always keeps for one entry of its own: a no-op, a configuration, a new log start.
pub const CONTROL_FRAME_BYTES: u64 = 4096;

/// How far a durable mark may lie behind, in ms: within it a damaged frame looks like a torn one.
pub const DURABLE_MARK_LAG_MS: i64 = 1000;

/// After a refusal for want of room the next segment is asked for again so much later, in ms.
pub const PREPARE_RETRY_MS: i64 = 1000;

/// A configuration file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Threads that a broker may be told to use.
pub const SHARDS_MAX: u32 = 1024;

/// Bytes of applied entries that a leader keeps in memory for each partition, for followers that are a little behind.
pub const RECENT_ENTRIES_BYTES: usize = 2 * 1024 * 1024;

/// Steps of elections that are kept for the log until somebody asks.
pub const ELECTION_NEWS_MAX: usize = 64 * 1024;

/// Ticks that a replica lives through in one of the shard's while its leader's broker does not answer.
pub const FAST_TICKS: usize = 4;

/// A replica that is to vote is taken for caught up when it lacks no more entries than this.
pub const CAUGHT_UP_ENTRIES: u64 = 64;

/// Ticks that a leader leads before it hands over to the replica that is meant to lead.
pub const BALANCE_TICKS: u64 = 300;

/// Ticks between two times that a leader tells all about its partitions, also where nothing changed.
pub const STATUS_TICKS: u64 = 50;

/// Ticks that an orderly stop waits for other replicas to take over.
pub const HAND_OVER_TICKS: u64 = 30;

/// Partitions whose replicas move at a time because their broker is being removed.
pub const MOVES_AT_ONCE: usize = 8;

/// Voters of the control partition; every other broker learns.
pub const CONTROL_VOTERS: usize = 3;

/// Voters of the control partition where the cluster began with five.
pub const CONTROL_VOTERS_OF_FIVE: usize = 5;

/// Time between two rounds of questions to the seeds.
pub const SEEDS_ASKED_AGAIN_MS: u64 = 250;

/// How often a broker that starts asks whether another process with its identity lives, where one says so: together with
/// the pauses in between longer than a process that has ended may be taken for alive.
pub const TWIN_ASKED_TIMES: u32 = 8;

/// Rounds of questions after which what is waited for is told again, also where it is the same.
pub const SEEDS_TOLD_AGAIN: u32 = 40;

/// How long a connection to a broker that decides may take.
pub const FORWARD_CONNECT_MS: u64 = 1_000;

/// How long a request that was sent on may take: its sender gives up before.
pub const FORWARD_MS: u64 = 30_000;

/// Connections to the HTTP listener. The oldest is closed for the next one: a scrape takes milliseconds.
pub const HTTP_CONNECTIONS_MAX: usize = 64;

/// The head of one HTTP request, in bytes.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Header lines of one HTTP request.
pub const HTTP_HEADERS_MAX: usize = 64;

/// How long the head of an HTTP request may take to come.
pub const HTTP_HEAD_MS: u64 = 5_000;

/// How long an HTTP connection may last: one request, and its answer.
pub const HTTP_CONNECTION_MS: u64 = 30_000;

/// Metrics pages that are in memory at a time, being made or being sent: one has about 100 bytes for each series.
pub const HTTP_PAGES_MAX: usize = 4;

/// How long a shard, or the disk, is waited for when a metrics page is made; then the page goes without what it knows.
pub const HTTP_WAIT_MS: u64 = 2_000;

/// Ticks without anything durable, while something waits for it, after which a disk counts as stalled: the longest election
/// timeout, so that a leader with such a disk is no better than a silent one.
pub const DISK_STALL_TICKS: u64 = 2 * ELECTION_TICKS as u64;

/// Ticks after a stall before a broker may be given a leadership again.
pub const DISK_CALM_TICKS: u64 = 300;

/// Offsets that a partition leaves out when it goes on without a majority: what was acknowledged and nobody knows of any
/// more lies among them, and no offset of it is given again.
pub const RECOVERY_OFFSETS_LEFT_OUT: i64 = 1_000_000;

/// Ticks for which the word of a replica without a leader is believed. It says it again every second.
pub const REPORT_TICKS: u64 = 50;

/// Replicas without a leader that a shard speaks of in a second; with more of them each gets its turn.
pub const REPORTS_PER_SECOND_MAX: usize = 1000;

/// Bytes of damaged entries of one segment that are asked for: what a replica keeps in memory of a repair.
pub const REPAIR_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Ticks without an answer before another replica is asked for damaged entries.
pub const REPAIR_RETRY_TICKS: u64 = 30;
