//! Rates: `max`, `1000/s`, `50k/s`.

use std::fmt;
use std::str::FromStr;

/// How fast a load generator sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// As fast as records are taken.
    Max,
    /// Records in a second, at least 1.
    PerSecond(u64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let fail = || format!("{text:?} is no rate: write max, 1000/s or 50k/s");
        if text == "max" {
            return Ok(Rate::Max);
        }
        let number = text.strip_suffix("/s").unwrap_or(text);
        let (digits, factor) = match number.as_bytes().last() {
            Some(b'k') => (&number[..number.len() - 1], 1_000),
            Some(b'M') => (&number[..number.len() - 1], 1_000_000),
            _ => (number, 1),
        };
        let per_second = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(fail)?;
        if per_second == 0 || per_second > 1_000_000_000 {
            return Err(format!("{text:?} is no rate: from 1/s to 1000M/s"));
        }
        Ok(Rate::PerSecond(per_second))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Max => f.write_str("max"),
            Rate::PerSecond(n) => write!(f, "{n}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        for (text, rate) in [
            ("max", Rate::Max),
            ("1/s", Rate::PerSecond(1)),
            ("1000", Rate::PerSecond(1000)),
            ("50k/s", Rate::PerSecond(50_000)),
            ("2M/s", Rate::PerSecond(2_000_000)),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap(), rate, "{text}");
        }
        for text in ["", "0", "-1", "k/s", "1/m", "fast", "9999999M/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
