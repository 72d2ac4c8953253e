//! The format language of `produce -f`, `produce --print` and `consume -f`: `rpk`'s letters.
//!
//! [`lex`] cuts a format into tokens; [`Printer`] writes records by one, [`Parser`] reads records by one.

mod lex;
mod number;
mod parser;
mod printer;
mod steps;
mod text;

pub(crate) use parser::{Input, InputError, Parser};
pub(crate) use printer::{Printer, View};
pub(crate) use steps::Steps;
