//! The Caudal broker as a library: six rooms, imports point only down (`docs/ARCHITECTURE.md`).
//!
//! In reading order:
//! * [`ids`], [`limits`], [`refusal`], [`nearest`]: the words, the bounds, the answers that change nothing, and which
//!   word a mistyped one is meant to be;
//! * [`config`]: what the operator sets;
//! * [`mod@log`] holds bytes;
//! * [`state`]: meaning; [`consensus`]: agreement;
//! * [`node`]: the machine;
//! * [`runtime`]: the shell; [`rpc`]: the door; [`http`]: the window beside it.

pub mod config;
pub mod consensus;
pub mod http;
pub mod ids;
pub mod limits;
pub mod log;
pub mod nearest;
pub mod node;
pub mod refusal;
pub mod rpc;
pub mod runtime;
pub mod server;
pub mod state;
