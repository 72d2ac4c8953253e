//! The values that users type: durations, sizes, times, offsets, rates, pairs.
//!
//! Each file holds one type with its parser; the error of a parser is one line that says which forms there are.

mod duration;
mod offset;
mod pair;
mod rate;
mod size;
mod time;

pub(crate) use duration::parse_duration;
pub(crate) use offset::{Begin, OffsetRange, Until};
pub(crate) use pair::{Pair, config_pair};
pub(crate) use rate::Rate;
pub(crate) use size::{parse_size, show_size};
pub(crate) use time::{Time, show_time};
