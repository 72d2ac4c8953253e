//! Cuts a format into literals and letters.

/// A part of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Bytes as they are.
    Literal(Vec<u8>),
    /// A letter behind `%`, with what its braces hold.
    Field {
        /// The letter.
        letter: char,
        /// `None` without braces.
        modifier: Option<String>,
    },
}

/// Cuts a format; the error says what is wrong and where.
pub(super) fn lex(layout: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut literal = Vec::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\\' => {
                let (byte, used) = escape(rest)?;
                literal.push(byte);
                rest = &rest[used..];
            }
            '%' => {
                let letter =
                    rest.chars().next().ok_or("a format does not end in a lone %: write %% for the sign")?;
                rest = &rest[letter.len_utf8()..];
                if matches!(letter, '%' | '{' | '}') {
                    literal.push(letter as u8);
                    continue;
                }
                if !literal.is_empty() {
                    tokens.push(Token::Literal(std::mem::take(&mut literal)));
                }
                let modifier = match rest.strip_prefix('{') {
                    None => None,
                    Some(inner) => {
                        let end = closing_brace(inner)
                            .ok_or_else(|| format!("%{letter}{{ has no closing brace in {layout:?}"))?;
                        rest = &inner[end + 1..];
                        Some(inner[..end].to_owned())
                    }
                };
                tokens.push(Token::Field { letter, modifier });
            }
            _ => literal.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    Ok(tokens)
}

/// The byte of an escape and how many characters name it, behind the backslash.
fn escape(rest: &str) -> Result<(u8, usize), String> {
    let bytes = rest.as_bytes();
    Ok(match bytes.first() {
        Some(b't') => (b'\t', 1),
        Some(b'n') => (b'\n', 1),
        Some(b'r') => (b'\r', 1),
        Some(b'\\') => (b'\\', 1),
        Some(b'x') => {
            let digits = bytes.get(1..3).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
            let byte = digits
                .and_then(|two| std::str::from_utf8(two).ok())
                .and_then(|two| u8::from_str_radix(two, 16).ok())
                .ok_or("\\x takes two hex digits")?;
            (byte, 3)
        }
        _ => {
            return Err(format!(
                "unknown escape \\{}: there are \\t \\n \\r \\\\ \\xNN",
                rest.chars().next().unwrap_or(' ')
            ));
        }
    })
}

/// Where the brace that was opened before `text` closes. `%{` and `%}` are literals.
fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 1;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' if matches!(bytes.get(at + 1), Some(b'%' | b'{' | b'}')) => at += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(letter: char, modifier: Option<&str>) -> Token {
        Token::Field { letter, modifier: modifier.map(str::to_owned) }
    }

    #[test]
    fn literals_letters_and_braces() {
        assert_eq!(
            lex(r"%K{big32}%% \x00é%h{ %k=%v{hex}%} }\n").unwrap(),
            vec![
                field('K', Some("big32")),
                Token::Literal(b"% \0\xc3\xa9".to_vec()),
                field('h', Some(" %k=%v{hex}%} ")),
                Token::Literal(b"\n".to_vec()),
            ]
        );
        assert_eq!(lex("").unwrap(), vec![]);
        assert_eq!(lex("%{%}").unwrap(), vec![Token::Literal(b"{}".to_vec())]);
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for layout in ["%", "%v{hex", r"\", r"\q", r"\x1", r"\xg0", "%h{%k{hex}", r"\x+1"] {
            assert!(lex(layout).is_err(), "{layout}");
        }
    }
}
