//! Meaning: the deterministic state machines.
//!
//! * [`Catalog`]: topics, partitions, placement, configuration, brokers, ids. The control partition's commands change
//!   it, on every replica alike.
//! * [`Producers`]: what a partition knows of its idempotent producers, folded from its own batches.
//!
//! A [`Request`] is checked by [`Catalog::plan`] on the leader, becomes a [`Command`], passes through Raft, and is
//! carried out by [`Catalog::apply`] wherever the control partition has a replica.
//!
//! # What "deterministic" demands
//!
//! The same entries in the same order make the same state, replies and deltas, on every machine and in every run:
//!
//! * nothing here reads a clock, draws a random number, looks at the environment, or iterates in hash order: a topic's
//!   id, the time of a batch and the nodes there are come in as arguments or inside the command;
//! * a command carries resolved values: no default is looked up when it is applied, since brokers may differ in theirs;
//!   ids that the catalog itself counts (replicas, producers, nodes) are taken when it is applied;
//! * what may have changed between plan and apply is checked again, and then the command is refused, as a value;
//! * a command of an unknown kind or a newer version is an error that stops the partition: skipping it would make
//!   replicas differ. New kinds are planned only when every broker has announced that it knows them
//!   ([`Catalog::level`]);
//! * snapshots carry a version; what an old one lacks has a fixed meaning.

mod catalog;
mod command;
mod member;
mod placement;
mod producers;
mod recovery;
mod request;
mod topic;
mod topic_config;
mod topic_defaults;
mod topic_wire;

pub use catalog::{Catalog, Delta, FIRST_CONTROL_REPLICA, FIRST_NODE, SnapshotError};
pub use command::{Alteration, Command, CommandError, Growth, LEVEL, NewPartitions, TopicSpec};
pub use member::{Member, NewMember};
pub use producers::{ProducerFrame, Producers, ProducersError, Verdict};
pub use recovery::{Condition, Evidence, Heir, Recovery, RecoverySpec, ReplicaReport, Survivor};
pub use request::{
    Answered, ConfigChange, CreatedTopic, DeletedTopic, NewTopic, Plan, Registered, Reply, Request,
    TopicAlteration,
};
pub use topic::{PartitionPlacement, Topic};
pub use topic_config::{
    Accepts, ConfigSource, ConfigValue, Durability, Effect, KEYS as TOPIC_KEYS, TopicConfig, TopicKey,
    Values as TopicValues, check as check_topic_value,
};
pub use topic_defaults::TopicDefaults;
