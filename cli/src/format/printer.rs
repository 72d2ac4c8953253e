//! Writes records by a format.

use super::lex::{Token, lex};
use super::number::{FORMS, Form};
use super::text::{CODINGS, Coding};

/// What a format can show of a record.
#[derive(Debug, Clone, Default)]
pub(crate) struct View<'a> {
    /// The topic's name.
    pub(crate) topic: &'a str,
    /// The partition.
    pub(crate) partition: i32,
    /// The record's offset.
    pub(crate) offset: i64,
    /// The epoch of the leader that took it.
    pub(crate) leader_epoch: i32,
    /// Milliseconds since the epoch.
    pub(crate) timestamp: i64,
    /// `None` is null.
    pub(crate) key: Option<&'a [u8]>,
    /// `None` is null.
    pub(crate) value: Option<&'a [u8]>,
    /// In their order.
    pub(crate) headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// A format, ready to print.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    pieces: Vec<Piece>,
    printed: i64,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(Vec<u8>),
    Text(Text, Coding),
    Number(Number, Form),
    Time(String),
    Headers(Vec<Piece>),
}

#[derive(Debug, Clone, Copy)]
enum Text {
    Topic,
    Key,
    Value,
}

#[derive(Debug, Clone, Copy)]
enum Number {
    TopicLength,
    KeyLength,
    ValueLength,
    Headers,
    Partition,
    Offset,
    LeaderEpoch,
    Timestamp,
    Printed,
}

impl Printer {
    /// Reads a format; the error is one line.
    pub(crate) fn new(layout: &str) -> Result<Printer, String> {
        Ok(Printer { pieces: pieces(layout, false)?, printed: 0 })
    }

    /// Appends a record; null prints as nothing.
    pub(crate) fn print(&mut self, record: &View<'_>, out: &mut Vec<u8>) {
        self.printed += 1;
        write(&self.pieces, record, self.printed, out);
    }
}

fn pieces(layout: &str, in_headers: bool) -> Result<Vec<Piece>, String> {
    lex(layout)?
        .into_iter()
        .map(|token| match token {
            Token::Literal(bytes) => Ok(Piece::Literal(bytes)),
            Token::Field { letter, modifier } => piece(letter, modifier.as_deref(), in_headers),
        })
        .collect()
}

fn piece(letter: char, modifier: Option<&str>, in_headers: bool) -> Result<Piece, String> {
    if in_headers && !matches!(letter, 'k' | 'K' | 'v' | 'V') {
        return Err(format!("%{letter} cannot stand inside %h{{…}}: there are %k %K %v %V"));
    }
    if letter == 'h' {
        let inner = modifier.ok_or("%h needs braces that say how a header looks: %h{%k=%v }")?;
        return Ok(Piece::Headers(pieces(inner, true)?));
    }
    if let Some(text) = text_of(letter) {
        let coding = Coding::parse(modifier).ok_or_else(|| {
            format!("%{letter}{{{}}}: a text is written as {CODINGS}", modifier.unwrap_or_default())
        })?;
        return Ok(Piece::Text(text, coding));
    }
    let Some(number) = number_of(letter) else {
        return Err(format!(
            "%{letter} is no letter of a format: there are %t %T %k %K %v %V %h %H %p %o %e %d %i %%"
        ));
    };
    let Some(modifier) = modifier else {
        return Ok(Piece::Number(number, Form::Ascii));
    };
    if letter == 'd'
        && let Some(time) = modifier.strip_prefix("strftime")
    {
        return strftime(time).map(Piece::Time);
    }
    match Form::parse(modifier) {
        Some(form) => Ok(Piece::Number(number, form)),
        None => Err(format!("%{letter}{{{modifier}}}: a number is written as {FORMS}")),
    }
}

/// The layout inside `[…]`, tried once so that a bad one is refused before the first record.
fn strftime(bracketed: &str) -> Result<String, String> {
    let layout = bracketed
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or("%d{strftime[…]} takes its layout in brackets")?;
    jiff::fmt::strtime::format(layout, &jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|e| format!("%d{{strftime[{layout}]}}: {e}"))?;
    Ok(layout.to_owned())
}

fn text_of(letter: char) -> Option<Text> {
    Some(match letter {
        't' => Text::Topic,
        'k' => Text::Key,
        'v' => Text::Value,
        _ => return None,
    })
}

fn number_of(letter: char) -> Option<Number> {
    Some(match letter {
        'T' => Number::TopicLength,
        'K' => Number::KeyLength,
        'V' => Number::ValueLength,
        'H' => Number::Headers,
        'p' => Number::Partition,
        'o' => Number::Offset,
        'e' => Number::LeaderEpoch,
        'd' => Number::Timestamp,
        'i' => Number::Printed,
        _ => return None,
    })
}

fn write(pieces: &[Piece], record: &View<'_>, printed: i64, out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            Piece::Text(text, coding) => coding.write(text.of(record), out),
            Piece::Number(number, form) => form.write(number.of(record, printed), out),
            Piece::Time(layout) => write_time(layout, record.timestamp, out),
            Piece::Headers(inner) => {
                for (key, value) in &record.headers {
                    let header = View { key: Some(key), value: *value, ..View::default() };
                    write(inner, &header, printed, out);
                }
            }
        }
    }
}

fn write_time(layout: &str, timestamp: i64, out: &mut Vec<u8>) {
    let text = jiff::Timestamp::from_millisecond(timestamp)
        .ok()
        .and_then(|time| jiff::fmt::strtime::format(layout, &time.to_zoned(jiff::tz::TimeZone::UTC)).ok());
    out.extend_from_slice(text.unwrap_or_else(|| timestamp.to_string()).as_bytes());
}

impl Text {
    fn of<'a>(self, record: &View<'a>) -> &'a [u8] {
        match self {
            Text::Topic => record.topic.as_bytes(),
            Text::Key => record.key.unwrap_or_default(),
            Text::Value => record.value.unwrap_or_default(),
        }
    }
}

impl Number {
    fn of(self, record: &View<'_>, printed: i64) -> i64 {
        match self {
            Number::TopicLength => length(Text::Topic.of(record).len()),
            Number::KeyLength => length(Text::Key.of(record).len()),
            Number::ValueLength => length(Text::Value.of(record).len()),
            Number::Headers => length(record.headers.len()),
            Number::Partition => i64::from(record.partition),
            Number::Offset => record.offset,
            Number::LeaderEpoch => i64::from(record.leader_epoch),
            Number::Timestamp => record.timestamp,
            Number::Printed => printed,
        }
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> View<'static> {
        View {
            topic: "flights",
            partition: 3,
            offset: 17,
            leader_epoch: 2,
            timestamp: 1_795_593_600_250,
            key: Some(b"k1"),
            value: Some(b"\x01\xfe"),
            headers: vec![(b"a", Some(b"1")), (b"b", None)],
        }
    }

    fn print(layout: &str, record: &View<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Printer::new(layout).unwrap().print(record, &mut out);
        out
    }

    #[test]
    fn every_letter_prints() {
        for (layout, expected) in [
            (r"%t/%p@%o e%e %d\n", &b"flights/3@17 e2 1795593600250\n"[..]),
            ("%T %K %V %H %i", b"7 2 2 2 1"),
            ("%k{hex} %v{hex} %v{base64} %v{base64raw}", b"6b31 01fe Af4= Af4"),
            ("%h{[%k=%v]}%%", b"[a=1][b=]%"),
            ("%h{%K{byte}%k%V{byte}%v}", b"\x01a\x011\x01b\x00"),
            ("%K{big32}%k", b"\x00\x00\x00\x02k1"),
            ("%d{strftime[%F %H:%M]}", b"2026-11-25 08:00"),
            ("%o{hex16}%%%{%}", b"0011%{}"),
        ] {
            assert_eq!(print(layout, &record()), expected, "{layout}");
        }
    }

    #[test]
    fn null_prints_as_nothing() {
        assert_eq!(print("[%k][%v]%K", &View::default()), b"[][]0");
    }

    #[test]
    fn what_no_record_has_is_refused() {
        for layout in [
            "%s",
            "%S",
            "%v{json}",
            "%o{base64}",
            "%h",
            "%h{%p}",
            "%d{strftime%F}",
            "%d{strftime[%!]}",
            "%v{hex",
        ] {
            assert!(Printer::new(layout).is_err(), "{layout}");
        }
    }
}
