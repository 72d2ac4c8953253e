//! The services as a client meets them: what they promise, and each bad input.

#![allow(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

#[path = "door/bad_bytes.rs"]
mod bad_bytes;
#[path = "door/bad_requests.rs"]
mod bad_requests;
#[path = "door/broker.rs"]
mod broker;
#[path = "door/cluster.rs"]
mod cluster;
#[path = "door/crowds.rs"]
mod crowds;
#[path = "door/http2.rs"]
mod http2;
#[path = "door/life.rs"]
mod life;
#[path = "door/long_poll.rs"]
mod long_poll;
#[path = "door/streams.rs"]
mod streams;
#[path = "door/topics.rs"]
mod topics;
