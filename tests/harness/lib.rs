//! What the rings of tests share.
//!
//! * [`history`]: what clients did and saw, and the checker that judges it.
//! * [`history_text`]: a history as lines of text, for processes of other languages.
//! * [`lying_fs`]: a file system that lies as disks do.
//! * [`seeded`]: chance from a seed.
//! * [`broker_bin`]: a broker as a process of its own, to start, kill and stop.

pub mod broker_bin;
pub mod cluster_bin;
pub mod history;
pub mod history_text;
pub mod lying_fs;
pub mod seeded;
