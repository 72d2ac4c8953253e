//! The question before something is destroyed.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Asks at a terminal; without one, or with `--yes`, nobody is asked.
///
/// `question` names what happens to which thing: `delete topic orders (3 partitions)`.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!("{question}: without a terminal to ask at this needs --yes")));
    }
    eprint!("{question}? [y/N] ");
    let flushed = io::stderr().flush();
    flushed.map_err(|error| Failure::io("writing to stderr", error))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::io("reading the answer", error))?;
    if is_yes(&answer) { Ok(()) } else { Err(Failure::refused("not done: the answer was no")) }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes("YES\n"));
        assert!(!is_yes("\n") && !is_yes("") && !is_yes("yeah\n") && !is_yes("n\n"));
    }
}
