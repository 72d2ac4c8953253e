//! Offsets to read from and up to: `start end N -N +N N:M @TIME @A:@B`.

use std::str::FromStr;

use super::Time;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// The first offset there is.
    Start,
    /// The end as it is when the command begins.
    End,
    /// This offset.
    At(i64),
    /// So many after the start.
    AfterStart(i64),
    /// So many before the end, the start at least.
    BeforeEnd(i64),
    /// The first record at or after a time.
    Time(Time),
}

/// Where reading ends: the first offset that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The end as it is when the command begins.
    End,
    /// This offset.
    At(i64),
    /// The first record at or after a time.
    Time(Time),
}

/// A place to begin and, perhaps, one to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetRange {
    /// The first record.
    pub(crate) from: Begin,
    /// Behind the last one; `None` follows the log.
    pub(crate) to: Option<Until>,
}

impl FromStr for OffsetRange {
    type Err = String;

    fn from_str(text: &str) -> Result<OffsetRange, String> {
        let fail = || format!("{text:?} is no offset: write start, end, N, -N, +N, N:M, @TIME or @A:@B");
        let (from, to) = split(text);
        let from = parse_from(from).ok_or_else(fail)?;
        let to = match to {
            None => None,
            Some(to) => Some(parse_to(to).ok_or_else(fail)?),
        };
        if let (Begin::At(first), Some(Until::At(end))) = (from, to)
            && end < first
        {
            return Err(format!("{text:?} ends before it begins"));
        }
        Ok(OffsetRange { from, to })
    }
}

/// Cuts a range in two. Times contain colons: behind one only `:@` and `:end` divide.
fn split(text: &str) -> (&str, Option<&str>) {
    let at = if text.starts_with('@') {
        text.find(":@").or_else(|| text.strip_suffix(":end").map(str::len))
    } else {
        text.find(':')
    };
    match at {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn parse_from(text: &str) -> Option<Begin> {
    match text {
        "start" | "" => return (text == "start").then_some(Begin::Start),
        "end" => return Some(Begin::End),
        _ => {}
    }
    if let Some(time) = text.strip_prefix('@') {
        return time.parse().ok().map(Begin::Time);
    }
    if let Some(count) = text.strip_prefix('+') {
        return number(count).map(Begin::AfterStart);
    }
    if let Some(count) = text.strip_prefix('-') {
        return number(count).map(Begin::BeforeEnd);
    }
    number(text).map(Begin::At)
}

fn parse_to(text: &str) -> Option<Until> {
    if text == "end" {
        return Some(Until::End);
    }
    if let Some(time) = text.strip_prefix('@') {
        return time.parse().ok().map(Until::Time);
    }
    number(text).map(Until::At)
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn range(from: Begin, to: Option<Until>) -> OffsetRange {
        OffsetRange { from, to }
    }

    #[test]
    fn every_form_is_read() {
        let hour = Time::Ago(Duration::from_secs(3600));
        let noon = Time::At(1_767_268_800_000);
        for (text, expected) in [
            ("start", range(Begin::Start, None)),
            ("end", range(Begin::End, None)),
            ("17", range(Begin::At(17), None)),
            ("-5", range(Begin::BeforeEnd(5), None)),
            ("+5", range(Begin::AfterStart(5), None)),
            ("10:20", range(Begin::At(10), Some(Until::At(20)))),
            ("start:20", range(Begin::Start, Some(Until::At(20)))),
            ("-5:end", range(Begin::BeforeEnd(5), Some(Until::End))),
            ("@-1h", range(Begin::Time(hour), None)),
            ("@-1h:@5", range(Begin::Time(hour), Some(Until::Time(Time::At(5))))),
            ("@-1h:end", range(Begin::Time(hour), Some(Until::End))),
            ("@2026-01-01T12:00:00Z", range(Begin::Time(noon), None)),
            ("@2026-01-01T12:00:00Z:@-1h", range(Begin::Time(noon), Some(Until::Time(hour)))),
        ] {
            assert_eq!(text.parse::<OffsetRange>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_offset_is_refused() {
        for text in [
            "",
            "beginning",
            "+",
            "-",
            "--5",
            "+-5",
            "5:",
            ":5",
            "5:4",
            "@",
            "@x",
            "5:@x",
            "1e3",
            "99999999999999999999",
        ] {
            assert!(text.parse::<OffsetRange>().is_err(), "{text}");
        }
    }
}
