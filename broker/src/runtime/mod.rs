//! The shell around the machine: threads, sockets, time, and everything that can block, wait or fail outside. Nothing
//! here decides anything about a record.
//!
//! ```text
//!   shard thread 0..n          disk thread              reader pool
//!   current-thread runtime     the rounds of all        cold reads,
//!   accept loop, rpc tasks,    shards, together         verified
//!   event loop, timers
//! ```
//!
//! # Invariants
//! * A shard's machine and its logs are touched by its thread alone.
//! * A shard has at most one round at the disk.
//! * No queue is without a bound, and no shard waits for another.
//! * Who waits for a partition is woken after every change of it: no wake-up is lost.

pub mod clock;
pub mod connections;
pub mod disk;
pub mod elections;
pub mod event_loop;
pub mod handle;
pub mod life;
pub mod listener;
pub mod mailbox;
pub mod meters;
pub mod open_files;
pub mod partition_view;
pub mod peers;
pub mod process;
pub mod readers;
pub mod shard;
pub mod stalls;
pub mod tickets;
pub mod views;
pub mod watcher;
