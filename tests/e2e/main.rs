//! End to end: real processes, real sockets, the command line, the API as any client sees it.
//!
//! Each test starts a broker of its own on port 0 over a scratch folder. Each file holds one subject; its tests say
//! what must hold, and `docs/GUARANTEES.md` names them.

#![allow(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod api;
mod batches;
mod board;
mod cluster;
mod damage;
mod elections;
mod fetch;
mod first_minute;
mod formation;
mod hostile;
mod http;
mod idempotence;
mod kill;
mod load;
mod produce;
mod recover;
mod serve;
mod streams;
mod topics;
