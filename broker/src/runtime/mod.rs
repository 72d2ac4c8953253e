//! The shell: threads, clock, sockets, and everything that can block, wait or fail outside.

pub mod shard;
