//! The Caudal broker as a library: six rooms, imports point only down (`docs/ARCHITECTURE.md`).
//!
//! In reading order:
//! * [`ids`], [`limits`], [`refusal`]: the words, the bounds, the answers that change nothing;
//! * [`mod@log`] holds bytes;
//! * `state`: meaning; `consensus`: agreement;
//! * `node`: the machine;
//! * `runtime`: the shell; `rpc`: the door.

mod consensus;
pub mod ids;
pub mod limits;
pub mod log;
pub mod refusal;
