//! TOPIC:P on the command line.

use std::str::FromStr;

/// A partition of a topic, as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let pair = text.rsplit_once(':').and_then(|(topic, number)| Some((topic, number.parse().ok()?)));
        match pair {
            Some((topic, partition)) if !topic.is_empty() && partition >= 0 => {
                Ok(Place { topic: topic.to_owned(), partition })
            }
            _ => Err("TOPIC:P is needed, as in flights:3".to_owned()),
        }
    }
}

/// Node numbers with commas between.
pub(super) fn numbers(numbers: &[i32]) -> String {
    numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_topic_and_a_number() {
        let place = Place { topic: "a.b-c".into(), partition: 12 };
        assert_eq!("a.b-c:12".parse(), Ok(place));
        for wrong in ["", "a", "a:", ":1", "a:x", "a:-1", "a:99999999999"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
