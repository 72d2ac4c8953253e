//! A window for operators: `GET /metrics`, `/healthz`, `/readyz`. It shows; nothing can be changed through it.
//!
//! A thread of its own serves it, from the first moment of a start to the end of an orderly stop: whoever watches the
//! broker is answered while it looks for its cluster, recovers, and drains, and a scrape takes no shard's time but for a
//! count of its partitions.
//!
//! # Invariants
//! * One request for each connection; heads, connections, their time, and pages in memory are bounded.
//! * A shard or a disk that does not answer costs a page what they know, not the page.

pub mod connections;
pub mod families;
pub mod page;
pub mod routes;
pub mod shown;
pub mod writer;

pub use connections::HttpThread;
pub use shown::{Inside, Shown};
