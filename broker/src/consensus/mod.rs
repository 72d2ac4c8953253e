//! Agreement: one Raft group on one node, around the `raft` crate.
//!
//! ```text
//!   node ── propose, tick, step ──▶ Replica ── ready() ──▶ Ready {entries, hard state, messages, committed}
//!     ▲                               │                        │
//!     └───── persisted(number) ◀──────┼──── disk ◀─────────────┘
//!                                     ▼
//!                                   Store: what Raft may ask of the log, answered from memory
//! ```
//!
//! # Invariants
//! * [`Replica::persisted`] means *synced*, in every durability mode.
//! * A vote or an append answer leaves only after the sync of its `Ready` and of all before it. If a `Ready` changes
//!   term or vote, none of its messages leaves before it is durable. Heartbeat answers alone may overtake a sync that
//!   changes neither.
//! * Raft reads no payload from the disk: the store answers with stubs where only index, term and type are used.
//! * An append carries the chain value of the entry before it. A follower whose own one differs has another log, and stops
//!   before it takes anything.
//! * One entry is one record batch; its base offset travels in the entry's context, so that there is no translation
//!   between index and offset. Entries that Raft makes by itself take offset and time from the entry before.

mod compare;
mod context;
mod draws;
mod facts;
mod lead;
mod places;
mod recent;
mod replica;
mod role;
mod store;
mod terms;
mod wire;

pub use lead::{Change, Follower};
pub use replica::{Jump, Proposal, Ready, Replica};
pub use role::Role;
pub use store::Boot;
pub use wire::{APPEND, SNAPSHOT, voters_from_peer, voters_to_peer};

/// The first index of every partition's log. Raft starts a replica that knows nothing at 0, so an empty replica is
/// always behind the first entry and receives a snapshot first: one way to learn voters, offsets and producers.
pub const FIRST_INDEX: crate::ids::Index = crate::ids::Index(11);

/// The term of the (absent) entry before [`FIRST_INDEX`].
pub const FOUNDING_TERM: crate::ids::Term = crate::ids::Term(5);
