//! How a command fails: a line for people and an exit code for scripts.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use caudal_client::ErrorKind;

/// The exit codes other than 0, as `docs/CLI.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Refused, not found, corrupt; for `serve`: it cannot start.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No broker is reached, or none answers in time.
    Unreachable = 3,
    /// Some of it is done.
    Partly = 4,
    /// `serve`: the disk failed.
    Disk = 5,
    /// Interrupted by a signal.
    Interrupted = 130,
    /// Nobody reads stdout any more: nothing is said, and nothing is wrong.
    NobodyReads = 0,
}

/// Why a command ends before its end.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure with this code and line.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), source: None }
    }

    /// Exit code 1.
    pub(crate) fn refused(message: impl Into<String>) -> Failure {
        Failure::new(Code::Refused, message)
    }

    /// Exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, message)
    }

    /// Exit code 130.
    pub(crate) fn interrupted() -> Failure {
        Failure::new(Code::Interrupted, "interrupted")
    }

    /// With the cause beneath, shown by `-v`.
    pub(crate) fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure { source: Some(source.into()), ..self }
    }

    /// The same, said of this thing.
    pub(crate) fn about(self, thing: impl fmt::Display) -> Failure {
        Failure { message: format!("{thing}: {}", self.message), ..self }
    }

    /// A failed read of stdin or write to stdout or stderr.
    pub(crate) fn io(doing: &str, error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::new(Code::NobodyReads, "");
        }
        Failure::refused(format!("{doing}: {error}")).caused_by(error)
    }

    /// The exit code.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Says the line on stderr, with the chain of causes if asked, and gives the exit code.
    pub(crate) fn report(&self, with_causes: bool) -> ExitCode {
        if self.code == Code::NobodyReads {
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {}", one_line(&self.message));
        if with_causes {
            let mut cause = self.source.as_deref().map(|source| source as &dyn Error);
            while let Some(error) = cause {
                eprintln!("  caused by: {}", one_line(&error.to_string()));
                cause = error.source();
            }
        }
        ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<caudal_client::Error> for Failure {
    fn from(error: caudal_client::Error) -> Failure {
        let code = code_of(&error);
        Failure::new(code, error.to_string()).caused_by(Causes(error))
    }
}

/// The exit code of what the SDK says.
pub(crate) fn code_of(error: &caudal_client::Error) -> Code {
    match error.kind() {
        ErrorKind::Unreachable | ErrorKind::TimedOut => Code::Unreachable,
        _ => Code::Refused,
    }
}

/// The reason of an SDK error and what lies beneath it: its message is the failure's line already.
#[derive(Debug)]
struct Causes(caudal_client::Error);

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.reason() {
            Some(reason) => write!(f, "{:?}, {}", self.0.kind(), reason.as_str_name())?,
            None => write!(f, "{:?}", self.0.kind())?,
        }
        for (key, value) in self.0.metadata() {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

impl Error for Causes {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Line ends and other control characters would break the promise of one line.
pub(crate) fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_no_error() {
        let failure = Failure::io("writing to stdout", io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.code(), Code::NobodyReads);
        let failure = Failure::io("writing to stdout", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.code(), Code::Refused);
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(one_line("a\nb\tc\u{1b}[31m\n"), "a b c [31m");
    }
}
