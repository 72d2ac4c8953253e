//! What formats read, and what they refuse.

use super::*;

fn parse(layout: &str, input: &[u8]) -> Result<Vec<Input>, InputError> {
    // A small buffer, so that texts and delimiters cross its end.
    let input = io::BufReader::with_capacity(3, input);
    let mut parser = Parser::new(input, Steps::new(layout).unwrap());
    let mut records = Vec::new();
    while let Some(record) = parser.next_record()? {
        records.push(record);
    }
    Ok(records)
}

fn pairs(layout: &str, input: &[u8]) -> Vec<(Option<String>, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    parse(layout, input)
        .unwrap()
        .into_iter()
        .map(|record| (record.key.map(text), text(record.value.unwrap_or_default())))
        .collect()
}

fn pair(key: &str, value: &str) -> (Option<String>, String) {
    (Some(key.to_owned()), value.to_owned())
}

#[test]
fn lines_are_values() {
    let values: Vec<_> = pairs("%v\\n", b"one\n\nthree").into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["one", "", "three"]);
    assert_eq!(pairs("%v\\n", b""), []);
    assert_eq!(pairs("%v\\n", b"\n"), [(None, String::new())]);
}

#[test]
fn keys_end_at_the_delimiter() {
    assert_eq!(pairs("%k %v\\n", b"a b c\n d\n"), [pair("a", "b c"), pair("", "d")]);
    assert_eq!(pairs("%k\\t%v\\n", b"a\tb\nc\td"), [pair("a", "b"), pair("c", "d")]);
    assert_eq!(pairs("%k::%v\\r\\n", b"a:b::c\rd\r\n"), [pair("a:b", "c\rd")]);
    assert_eq!(pairs("%k\\n%v", b"a\nb\nc"), [pair("a", "b\nc")]);
}

#[test]
fn sizes_are_given_or_read() {
    assert_eq!(pairs("%K{1}%V{3}%k%v", b"abcdefgh"), [pair("a", "bcd"), pair("e", "fgh")]);
    assert_eq!(pairs("%K{big16} foo %k%v\\n", b"\x00\x03 foo bar5\n"), [pair("bar", "5")]);
    assert_eq!(pairs("%V %v\\n", b"3 a\nb\n2 cd\n"), [(None, "a\nb".to_owned()), (None, "cd".to_owned())]);
    assert_eq!(pairs("%V{hex8}%v{hex}", b"046162046364"), [(None, "ab".to_owned()), (None, "cd".to_owned())]);
    assert_eq!(pairs("%V{big32}%v", b"\0\0\0\0\0\0\0\x01x"), [(None, String::new()), (None, "x".to_owned())]);
}

#[test]
fn headers_partition_time_and_topic() {
    let records = parse("%H{2}%h{%k=%v,}%p %d %t %v\\n", b"a=1,b=,3 1500 orders v\n").unwrap();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record.headers, [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), vec![])]);
    assert_eq!(
        (record.partition, record.timestamp, record.topic.as_deref()),
        (Some(3), Some(1500), Some("orders"))
    );
    let counted = parse("%H %h{%K{byte}%k%V{byte}%v}%v\\n", b"1 \x01a\x012v\n").unwrap();
    assert_eq!(counted[0].headers, [("a".to_owned(), b"2".to_vec())]);
}

#[test]
fn records_know_their_line() {
    let lines: Vec<u64> =
        parse("%V %v\\n", b"3 a\nb\n2 cd\n1 e\n").unwrap().iter().map(|record| record.line).collect();
    assert_eq!(lines, [1, 3, 4]);
}

#[test]
fn input_that_does_not_fit_names_its_line() {
    for (layout, input, line) in [
        ("%k %v\\n", &b"a b\nc"[..], 2),
        ("%K{4}%k", b"abcdef", 1),
        ("%V %v\\n", b"1 a\n2 b\n", 2),
        ("%v{hex}\\n", b"61\n6\n", 2),
        ("%p %v\\n", b"x y\n", 1),
        ("%p %v\\n", b"4294967296 y\n", 1),
        ("%V{big64}%v", b"\xff\xff\xff\xff\xff\xff\xff\xff", 1),
        ("%H{big32}%h{%k=%v,}%v\\n", b"\xff\xff\xff\xffa=b,", 1),
        ("%V{bool}%v", b"maybe", 1),
        ("%V %v\\n", b"999999999999999999999999999999 x\n", 1),
    ] {
        match parse(layout, input) {
            Err(InputError::Mismatch { line: found, .. }) => assert_eq!(found, line, "{layout}"),
            other => panic!("{layout}: {other:?}"),
        }
    }
}

#[test]
fn a_text_without_end_stops_at_the_limit() {
    let mut parser = Parser::new(io::BufReader::new(io::repeat(b'a')), Steps::new("%v\\n").unwrap());
    assert!(matches!(parser.next_record(), Err(InputError::Mismatch { .. })));
}
