//! Checks a history of `caudal_harness::history_text` from a file or stdin. For fault scripts.
//!
//! Exit code 0: as promised; 1: violations; 2: nothing was proven (no acknowledgement, or no scan); 3: it cannot be
//! read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use caudal_harness::history_text::TextHistory;

fn main() -> ExitCode {
    match check() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("check-history: {error}");
            ExitCode::from(3)
        }
    }
}

fn check() -> std::io::Result<u8> {
    let input: Box<dyn Read> = match std::env::args_os().nth(1) {
        Some(path) => Box::new(File::open(path)?),
        None => Box::new(std::io::stdin()),
    };
    let mut history = TextHistory::default();
    for (at, line) in BufReader::with_capacity(1 << 20, input).lines().enumerate() {
        if !history.line(&line?) {
            return Err(std::io::Error::other(format!("line {} is no event", at + 1)));
        }
    }
    let report = history.report();
    writeln!(std::io::stdout(), "{report}")?;
    Ok(match (report.is_bad(), report.proves_something()) {
        (true, _) => 1,
        (false, true) => 0,
        (false, false) => 2,
    })
}
