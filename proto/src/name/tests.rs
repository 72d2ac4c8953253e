//! Names that pass and names that do not.

use super::*;

#[test]
fn topics_take_what_kafka_takes() {
    let longest = "x".repeat(249);
    for name in ["a", "orders", "a.b_c-D9", "...", ".a", "_x", "a__b", "-", &longest] {
        assert_eq!(TopicName::new(name).map(String::from).as_deref(), Ok(name));
    }
}

#[test]
fn each_rule_of_topics_has_its_error() {
    let long = "x".repeat(250);
    let cases: [(&str, NameError); 13] = [
        ("", NameError::Empty),
        (&long, NameError::TooLong { bytes: 250 }),
        (".", NameError::Dots),
        ("..", NameError::Dots),
        ("../etc", NameError::Character { found: '/', at: 2 }),
        ("a/b", NameError::Character { found: '/', at: 1 }),
        ("a\0", NameError::Character { found: '\0', at: 1 }),
        ("a b", NameError::Character { found: ' ', at: 1 }),
        ("caña", NameError::Character { found: 'ñ', at: 2 }),
        ("a\\b", NameError::Character { found: '\\', at: 1 }),
        ("__", NameError::Reserved),
        ("__control", NameError::Reserved),
        ("___", NameError::Reserved),
    ];
    for (name, error) in cases {
        assert_eq!(TopicName::new(name), Err(error), "{name:?}");
    }
}

#[test]
fn groups_take_any_text_without_control_characters() {
    for name in ["g", "mi grupo", "año/1", "__g", &"é".repeat(124)] {
        assert_eq!(name.parse::<GroupName>().map(String::from).as_deref(), Ok(name));
    }
    assert_eq!(GroupName::new(""), Err(NameError::Empty));
    assert_eq!(GroupName::new(&"é".repeat(125)), Err(NameError::TooLong { bytes: 250 }));
    assert_eq!(GroupName::new("a\nb"), Err(NameError::Control { found: '\n', at: 1 }));
    assert_eq!(GroupName::new("a\u{85}"), Err(NameError::Control { found: '\u{85}', at: 1 }));
}

#[test]
fn a_name_is_found_by_its_text() {
    let names = std::collections::BTreeSet::from([TopicName::new("orders").unwrap()]);
    assert!(names.contains("orders"));
    assert_eq!(format!("{:>8}|{:?}", names.first().unwrap(), names), "  orders|{\"orders\"}");
}
