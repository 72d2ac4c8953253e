//! The record batch, Kafka's format v2.

/// Why bytes are not a batch that may be stored or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Placeholder.
    #[error("placeholder")]
    Placeholder,
}
