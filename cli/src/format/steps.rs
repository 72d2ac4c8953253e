//! A format for reading, as the steps a parser takes for each record.

use super::lex::{Token, lex};
use super::number::{FORMS, Form};
use super::text::{CODINGS, Coding};

/// The steps of a format.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    pub(super) steps: Vec<Step>,
    /// Whether the format holds `%k`.
    pub(crate) has_key: bool,
    /// Whether it holds `%t`.
    pub(crate) has_topic: bool,
}

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Exactly these bytes.
    Literal(Vec<u8>),
    /// A number.
    Number(Target, Form),
    /// No bytes: the number is in the format.
    Fixed(Target, u64),
    /// A text.
    Text(Field, Coding, Extent),
    /// As many headers as were counted.
    Headers(Vec<Step>),
}

/// Where a number goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The length of the text that follows.
    Length(Field),
    /// How many headers follow.
    Headers,
    /// The partition.
    Partition,
    /// The timestamp in milliseconds.
    Timestamp,
}

/// A text of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Topic,
    Key,
    Value,
}

/// Where a text ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Extent {
    /// After as many bytes as were read as its length.
    Length,
    /// Before these bytes, which are taken too.
    Before(Vec<u8>),
    /// With the input.
    Rest,
}

impl Steps {
    /// Reads a format; the error is one line.
    pub(crate) fn new(layout: &str) -> Result<Steps, String> {
        let steps = steps(layout, false)?;
        if steps.is_empty() {
            return Err("an empty format reads nothing: write '%v\\n' for one value a line".to_owned());
        }
        let has = |field| steps.iter().any(|step| matches!(step, Step::Text(found, ..) if *found == field));
        let (has_key, has_topic) = (has(Field::Key), has(Field::Topic));
        let reads_bytes = steps.iter().any(|step| !matches!(step, Step::Fixed(..)));
        if !reads_bytes {
            return Err(format!("{layout:?} reads no bytes of the input"));
        }
        Ok(Steps { steps, has_key, has_topic })
    }
}

fn steps(layout: &str, in_headers: bool) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut seen: Vec<Target> = Vec::new();
    let mut texts: Vec<Field> = Vec::new();
    let mut tokens = lex(layout)?.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let (letter, modifier) = match token {
            Token::Literal(bytes) => {
                steps.push(Step::Literal(bytes));
                continue;
            }
            Token::Field { letter, modifier } => (letter, modifier),
        };
        if in_headers && !matches!(letter, 'k' | 'K' | 'v' | 'V') {
            return Err(format!("%{letter} cannot stand inside %h{{…}}: there are %k %K %v %V"));
        }
        if let Some(field) = field_of(letter) {
            if texts.contains(&field) {
                return Err(format!("%{letter} stands twice in {layout:?}"));
            }
            texts.push(field);
            let sized = seen.contains(&Target::Length(field));
            let delimiter =
                if sized { None } else { tokens.next_if(|next| matches!(next, Token::Literal(_))) };
            let last = tokens.peek().is_none() && !in_headers;
            steps.push(text(letter, field, modifier.as_deref(), sized, delimiter, last)?);
        } else if letter == 'h' {
            steps.push(headers(modifier.as_deref(), &seen)?);
        } else {
            let step = number(letter, modifier.as_deref())?;
            let (Step::Number(target, _) | Step::Fixed(target, _)) = step else { continue };
            let late = matches!(target, Target::Length(field) if texts.contains(&field));
            if late || seen.contains(&target) {
                return Err(format!("%{letter} stands twice, or behind what it measures, in {layout:?}"));
            }
            seen.push(target);
            steps.push(step);
        }
    }
    Ok(steps)
}

fn field_of(letter: char) -> Option<Field> {
    Some(match letter {
        't' => Field::Topic,
        'k' => Field::Key,
        'v' => Field::Value,
        _ => return None,
    })
}

fn text(
    letter: char,
    field: Field,
    modifier: Option<&str>,
    sized: bool,
    delimiter: Option<Token>,
    last: bool,
) -> Result<Step, String> {
    let coding = Coding::parse(modifier).ok_or_else(|| {
        let modifier = modifier.unwrap_or_default();
        let size = letter.to_ascii_uppercase();
        format!("%{letter}{{{modifier}}}: a text is read as {CODINGS}; its length is %{size}, before it")
    })?;
    let extent = match delimiter {
        Some(Token::Literal(bytes)) => Extent::Before(bytes),
        _ if sized => Extent::Length,
        _ if last => Extent::Rest,
        _ => {
            let size = letter.to_ascii_uppercase();
            return Err(format!(
                "nothing says where %{letter} ends: put a text behind it, or its length %{size} before it"
            ));
        }
    };
    Ok(Step::Text(field, coding, extent))
}

fn headers(modifier: Option<&str>, seen: &[Target]) -> Result<Step, String> {
    if !seen.contains(&Target::Headers) {
        return Err("%h needs the number of headers before it: %H{2} or %H".to_owned());
    }
    let inner = modifier.ok_or("%h needs braces that say how a header looks: %h{%k=%v }")?;
    let inner = steps(inner, true)?;
    if !inner.iter().any(|step| matches!(step, Step::Text(Field::Key, ..))) {
        return Err("%h{…} needs the header's key, %k".to_owned());
    }
    Ok(Step::Headers(inner))
}

fn number(letter: char, modifier: Option<&str>) -> Result<Step, String> {
    let target = match letter {
        'T' => Target::Length(Field::Topic),
        'K' => Target::Length(Field::Key),
        'V' => Target::Length(Field::Value),
        'H' => Target::Headers,
        'p' => Target::Partition,
        'd' => Target::Timestamp,
        'o' | 'e' => return Err(format!("%{letter} is given by the broker: it cannot be produced")),
        _ => {
            return Err(format!(
                "%{letter} is no letter of an input format: there are %t %T %k %K %v %V %h %H %p %d %%"
            ));
        }
    };
    let Some(modifier) = modifier else {
        return Ok(Step::Number(target, Form::Ascii));
    };
    if let Some(form) = Form::parse(modifier) {
        return Ok(Step::Number(target, form));
    }
    match modifier.parse::<u64>() {
        Ok(number) if number > 0 && matches!(target, Target::Length(_) | Target::Headers) => {
            Ok(Step::Fixed(target, number))
        }
        _ => Err(format!(
            "%{letter}{{{modifier}}}: a number is read as {FORMS}; a length may also be given, as in %{letter}{{4}}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_read_nothing_certain_are_refused() {
        for layout in [
            "",
            "%K{4}",
            "%k%v",
            "%v%K{4}%k",
            "%k %k\n",
            "%k%K\n",
            "%h{%k=%v }\n",
            "%H{2}%h\n",
            "%H{2}%h{%v }\n",
            "%H{2}%h{%k}\n",
            "%H{2}%h{%p%k }\n",
            "%o %v\n",
            "%e %v\n",
            "%v{json}\n",
            "%K{0}%k",
            "%p{4}%v\n",
            "%i %v\n",
        ] {
            assert!(Steps::new(layout).is_err(), "{layout}");
        }
    }

    #[test]
    fn a_literal_behind_an_unsized_text_ends_it() {
        let steps = Steps::new("%k\t%v").unwrap();
        assert!(steps.has_key && !steps.has_topic);
        assert_eq!(
            steps.steps,
            vec![
                Step::Text(Field::Key, Coding::Raw, Extent::Before(b"\t".to_vec())),
                Step::Text(Field::Value, Coding::Raw, Extent::Rest),
            ]
        );
    }
}
