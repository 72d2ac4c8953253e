//! Reads records by a format.

use std::io::{self, BufRead, Read};

use super::number::Form;
use super::steps::{Extent, Field, Step, Steps, Target};
use super::text::Coding;

/// The longest text that is read: above the largest batch a topic may allow, so that the broker's limit is the one met.
pub(crate) const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Headers of one record that are read.
const HEADERS_MAX: u64 = 10_000;

/// Digits of a decimal number that are read.
const DIGITS_MAX: usize = 20;

/// A record as the input gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// Where the format holds `%t`.
    pub(crate) topic: Option<String>,
    /// Where the format holds `%p`.
    pub(crate) partition: Option<i32>,
    /// Where the format holds `%d`, in milliseconds since the epoch.
    pub(crate) timestamp: Option<i64>,
    /// Where the format holds `%k`; empty is not null.
    pub(crate) key: Option<Vec<u8>>,
    /// Where the format holds `%v`.
    pub(crate) value: Option<Vec<u8>>,
    /// In their order.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// The input line on which the record begins, from 1.
    pub(crate) line: u64,
}

/// Why the input does not fit the format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The bytes differ from the format.
    #[error("input line {line}: {what}")]
    Mismatch {
        /// The line on which the record begins.
        line: u64,
        /// What was expected.
        what: String,
    },
    /// Reading failed.
    #[error("reading the input")]
    Io(#[from] io::Error),
}

/// Reads records from bytes.
pub(crate) struct Parser<R> {
    input: R,
    steps: Vec<Step>,
    newlines: u64,
    consumed: u64,
    ended: bool,
}

/// What one record has told so far.
#[derive(Default)]
struct Lengths {
    topic: u64,
    key: u64,
    value: u64,
    headers: u64,
}

/// A step's failure, before the line is known.
enum Trouble {
    What(String),
    /// The input ended inside the step.
    End,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

impl<R: BufRead> Parser<R> {
    /// Reads `input` by a format.
    pub(crate) fn new(input: R, steps: Steps) -> Parser<R> {
        Parser { input, steps: steps.steps, newlines: 0, consumed: 0, ended: false }
    }

    /// The input, to look at its buffer.
    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// The next record; `None` at the end of the input.
    pub(crate) fn next_record(&mut self) -> Result<Option<Input>, InputError> {
        let line = self.newlines + 1;
        let began = self.consumed;
        let mut record = Input { line, ..Input::default() };
        let steps = std::mem::take(&mut self.steps);
        let outcome = self.take_steps(&steps, &mut record);
        self.steps = steps;
        match outcome {
            Ok(()) if self.ended && self.consumed == began => Ok(None),
            Ok(()) => Ok(Some(record)),
            Err(Trouble::End) if self.consumed == began => Ok(None),
            Err(Trouble::End) => {
                Err(InputError::Mismatch { line, what: "the input ends inside a record".to_owned() })
            }
            Err(Trouble::What(what)) => Err(InputError::Mismatch { line, what }),
            Err(Trouble::Io(error)) => Err(InputError::Io(error)),
        }
    }

    fn take_steps(&mut self, steps: &[Step], record: &mut Input) -> Result<(), Trouble> {
        let mut lengths = Lengths::default();
        for (at, step) in steps.iter().enumerate() {
            let last = at + 1 == steps.len();
            match step {
                Step::Literal(bytes) => self.literal(bytes)?,
                Step::Fixed(target, number) => set(*target, *number, &mut lengths, record)?,
                Step::Number(target, form) => {
                    let number = self.number(*form)?;
                    set(*target, number, &mut lengths, record)?;
                }
                Step::Text(field, coding, extent) => {
                    let length = match field {
                        Field::Topic => lengths.topic,
                        Field::Key => lengths.key,
                        Field::Value => lengths.value,
                    };
                    let bytes = self.text(extent, length, last)?;
                    put(*field, *coding, bytes, record)?;
                }
                Step::Headers(inner) => self.headers(inner, lengths.headers, record)?,
            }
        }
        Ok(())
    }

    fn headers(&mut self, inner: &[Step], count: u64, record: &mut Input) -> Result<(), Trouble> {
        if count > HEADERS_MAX {
            return Err(Trouble::What(format!("{count} headers, {HEADERS_MAX} at most")));
        }
        for _ in 0..count {
            let mut header = Input::default();
            self.take_steps(inner, &mut header)?;
            let key = String::from_utf8(header.key.unwrap_or_default())
                .map_err(|_| Trouble::What("a header's key is not UTF-8".to_owned()))?;
            record.headers.push((key, header.value.unwrap_or_default()));
        }
        Ok(())
    }

    fn literal(&mut self, expected: &[u8]) -> Result<(), Trouble> {
        let bytes = self.exactly(expected.len() as u64)?;
        if bytes == expected {
            return Ok(());
        }
        let (expected, found) = (expected.escape_ascii(), bytes.escape_ascii());
        Err(Trouble::What(format!("the format wants \"{expected}\" where there is \"{found}\"")))
    }

    fn number(&mut self, form: Form) -> Result<u64, Trouble> {
        let bytes = match form.width() {
            Some(width) => self.exactly(width as u64)?,
            None if form == Form::Bool => self.word()?,
            None => self.digits()?,
        };
        form.read(&bytes)
            .ok_or_else(|| Trouble::What(format!("\"{}\" is not the number asked for", bytes.escape_ascii())))
    }

    /// `true` or `false`: one byte tells which.
    fn word(&mut self) -> Result<Vec<u8>, Trouble> {
        let length = if self.input.fill_buf()?.first() == Some(&b't') { 4 } else { 5 };
        self.exactly(length)
    }

    fn digits(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut digits = Vec::new();
        loop {
            let next = self.input.fill_buf()?.first().copied();
            match next {
                Some(byte) if byte.is_ascii_digit() && digits.len() <= DIGITS_MAX => digits.push(byte),
                None if digits.is_empty() => return Err(Trouble::End),
                _ => return Ok(digits),
            }
            self.input.consume(1);
            self.consumed += 1;
        }
    }

    fn text(&mut self, extent: &Extent, length: u64, last: bool) -> Result<Vec<u8>, Trouble> {
        match extent {
            Extent::Length => self.exactly(length),
            Extent::Before(delimiter) => self.before(delimiter, last),
            Extent::Rest => self.rest(),
        }
    }

    fn exactly(&mut self, length: u64) -> Result<Vec<u8>, Trouble> {
        if length > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(length).read_to_end(&mut bytes)?;
        self.count(&bytes);
        if (bytes.len() as u64) < length { Err(Trouble::End) } else { Ok(bytes) }
    }

    fn before(&mut self, delimiter: &[u8], last: bool) -> Result<Vec<u8>, Trouble> {
        let Some(end) = delimiter.last() else { return Err(Trouble::End) };
        let mut bytes = Vec::new();
        loop {
            let room = TEXT_BYTES_MAX + 1 - bytes.len() as u64;
            let read = self.input.by_ref().take(room).read_until(*end, &mut bytes)?;
            if bytes.ends_with(delimiter) {
                self.count(&bytes);
                bytes.truncate(bytes.len() - delimiter.len());
                return Ok(bytes);
            }
            if bytes.len() as u64 > TEXT_BYTES_MAX {
                return Err(too_long());
            }
            if read == 0 {
                self.count(&bytes);
                self.ended = true;
                return if last { Ok(bytes) } else { Err(Trouble::End) };
            }
        }
    }

    fn rest(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        self.count(&bytes);
        self.ended = true;
        Ok(bytes)
    }

    fn count(&mut self, bytes: &[u8]) {
        self.consumed += bytes.len() as u64;
        self.newlines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

fn too_long() -> Trouble {
    Trouble::What(format!("a text is longer than {TEXT_BYTES_MAX} bytes"))
}

fn set(target: Target, number: u64, lengths: &mut Lengths, record: &mut Input) -> Result<(), Trouble> {
    match target {
        Target::Length(Field::Topic) => lengths.topic = number,
        Target::Length(Field::Key) => lengths.key = number,
        Target::Length(Field::Value) => lengths.value = number,
        Target::Headers => lengths.headers = number,
        Target::Partition => {
            let partition = i32::try_from(number);
            record.partition =
                Some(partition.map_err(|_| Trouble::What(format!("{number} is no partition")))?);
        }
        Target::Timestamp => {
            let timestamp = i64::try_from(number);
            record.timestamp =
                Some(timestamp.map_err(|_| Trouble::What(format!("{number} is no timestamp")))?);
        }
    }
    Ok(())
}

fn put(field: Field, coding: Coding, bytes: Vec<u8>, record: &mut Input) -> Result<(), Trouble> {
    let Some(bytes) = coding.read(bytes) else {
        return Err(Trouble::What(format!("a {field:?} is not {coding:?}").to_lowercase()));
    };
    match field {
        Field::Topic => {
            let name = String::from_utf8(bytes);
            record.topic = Some(name.map_err(|_| Trouble::What("a topic's name is not UTF-8".to_owned()))?);
        }
        Field::Key => record.key = Some(bytes),
        Field::Value => record.value = Some(bytes),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
