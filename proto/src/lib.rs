//! What two processes of Caudal must agree on.
//!
//! * [`v1`]: the gRPC messages and services, generated from `caudal/v1/*.proto`.
//! * [`peer`]: what brokers say to each other, generated from `caudal/peer/v1/peer.proto`; not for clients.
//! * [`DESCRIPTORS`]: the same as an encoded `FileDescriptorSet`, for reflection.
//! * [`batch`]: the record batch, the form in which records travel and rest.
//! * [`name`]: names of topics and groups, checked.

/// The gRPC messages and services of `caudal.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated; the .proto files carry the comments"
)]
#[allow(clippy::all, clippy::too_many_lines, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("caudal.v1");
}

/// What the brokers of a cluster say to each other.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated; the .proto file carries the comments"
)]
#[allow(clippy::all, clippy::too_many_lines, reason = "generated")]
pub mod peer {
    tonic::include_proto!("caudal.peer.v1");
}

pub mod batch;
pub mod name;

/// The encoded `FileDescriptorSet` of `caudal.v1`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
