//! The client against a scripted broker in the same process: what may not be lost, doubled or reordered.

mod admin;
mod consumer;
mod fake;
mod producer;
mod retries;
