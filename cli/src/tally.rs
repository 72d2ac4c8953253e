//! Commands over several things, each of which can fail by itself.

use serde::Serialize;

use crate::failure::{Code, Failure, one_line};

/// Counts what is done and keeps what is not.
#[derive(Default)]
pub(crate) struct Tally {
    done: usize,
    failures: Vec<Failure>,
}

/// An error inside a JSON document.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorDocument {
    /// What to do about it, in snake case: `not_found`, `exists`, `invalid`, …
    pub(crate) kind: String,
    /// The broker's reason, where one gave it.
    pub(crate) reason: Option<&'static str>,
    /// One line.
    pub(crate) message: String,
}

impl ErrorDocument {
    /// What a document says of an error.
    pub(crate) fn new(error: &caudal_client::Error) -> ErrorDocument {
        ErrorDocument {
            kind: snake_case(&format!("{:?}", error.kind())),
            reason: error.reason().map(|reason| reason.as_str_name()),
            message: one_line(&error.to_string()),
        }
    }
}

impl Tally {
    /// Counts an answer and hands it on.
    pub(crate) fn take<T>(&mut self, answer: Result<T, caudal_client::Error>) -> Result<T, ErrorDocument> {
        match answer {
            Ok(done) => {
                self.done += 1;
                Ok(done)
            }
            Err(error) => {
                let document = ErrorDocument::new(&error);
                self.failures.push(error.into());
                Err(document)
            }
        }
    }

    /// Ends the command: with the one failure, or a line for each and a count of the `things` not `done`.
    pub(crate) fn finish(mut self, things: &str, done: &str) -> Result<(), Failure> {
        let failed = self.failures.len();
        if failed == 0 {
            return Ok(());
        }
        if failed == 1 && self.done == 0 {
            return Err(self.failures.swap_remove(0));
        }
        for failure in &self.failures {
            eprintln!("error: {}", one_line(&failure.to_string()));
        }
        let code = if self.done > 0 { Code::Partly } else { self.failures[0].code() };
        let all = self.done + failed;
        Err(Failure::new(code, format!("{failed} of {all} {things} not {done}: see the lines above")))
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_in_snake_case() {
        assert_eq!(snake_case("OutOfRange"), "out_of_range");
        assert_eq!(snake_case("Busy"), "busy");
    }

    #[test]
    fn part_of_it_is_exit_code_4() {
        let failure = || Failure::refused("no");
        let tally = Tally { done: 1, failures: vec![failure()] };
        assert_eq!(tally.finish("topics", "created").unwrap_err().code(), Code::Partly);
        let tally = Tally { done: 0, failures: vec![failure(), failure()] };
        assert_eq!(tally.finish("topics", "created").unwrap_err().code(), Code::Refused);
        assert!(Tally { done: 2, failures: vec![] }.finish("topics", "created").is_ok());
    }
}
