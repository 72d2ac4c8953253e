//! Pairs: `key=value`.

use std::str::FromStr;

use super::{parse_duration, parse_size};

/// A key and a value; the value may be empty and may hold `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Never empty.
    pub(crate) key: String,
    /// All behind the first `=`.
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Pair, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Pair { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("{text:?} is no pair: write key=value")),
        }
    }
}

/// Reads a pair of topic configuration: a key that ends in `.ms` takes `7d`, one that ends in `.bytes` takes `64MiB`;
/// the broker gets the plain number.
pub(crate) fn config_pair(text: &str) -> Result<Pair, String> {
    let mut pair: Pair = text.parse()?;
    if pair.key.ends_with(".ms")
        && let Ok(duration) = parse_duration(&pair.value)
    {
        pair.value = duration.as_millis().to_string();
    } else if pair.key.ends_with(".bytes")
        && let Ok(bytes) = parse_size(&pair.value)
    {
        pair.value = bytes.to_string();
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_equals_sign_divides() {
        let pair: Pair = "a=b=c".parse().unwrap();
        assert_eq!((pair.key.as_str(), pair.value.as_str()), ("a", "b=c"));
        assert_eq!("a=".parse::<Pair>().unwrap().value, "");
        assert!("a".parse::<Pair>().is_err());
        assert!("=b".parse::<Pair>().is_err());
    }

    #[test]
    fn configuration_takes_durations_and_sizes() {
        for (text, value) in [
            ("retention.ms=7d", "604800000"),
            ("retention.ms=-1", "-1"),
            ("retention.ms=1000", "1000"),
            ("segment.bytes=64MiB", "67108864"),
            ("durability=memory", "memory"),
            ("retention.bytes=many", "many"),
        ] {
            assert_eq!(config_pair(text).unwrap().value, value, "{text}");
        }
    }
}
