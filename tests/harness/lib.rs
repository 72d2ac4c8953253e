//! What the rings of tests share.

pub mod history;
