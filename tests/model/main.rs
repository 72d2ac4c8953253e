//! Model tests: what is stored, against plain collections, while the world lies and ends at any moment.

mod disk;
mod log;
mod meta;
