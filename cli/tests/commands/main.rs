//! The command line as a process: what it prints, how it ends, and a broker of its own beneath it.

mod broker;
mod files;
mod load;
mod records;
mod signals;
mod topics;
mod unreached;
