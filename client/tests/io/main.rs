//! The client against a scripted broker in the same process: what may not be lost, doubled or reordered.

#![expect(clippy::unwrap_used, reason = "what a helper does not find is the failure of its test")]

mod admin;
mod consumer;
mod fake;
mod producer;
mod retries;
