//! `config/broker.toml`: the table of keys as a file.

use std::fmt::Write;

use crate::state::{Effect, TOPIC_KEYS};

use super::keys::{KEYS, Key, Kind};

const HEAD: &str = "\
# The configuration of a Caudal broker: every key, with its default.
#
#   caudal serve -c broker.toml --set key=value
#
# A key that is absent has its default, and --set wins over the file. `log.level = \"warn\"` means the same as
# `level = \"warn\"` below [log]. A key that is not known, or a value that cannot be, stops the start.
";

const TOPIC_HEAD: &str = "\
# Values of topics that set none themselves, taken when a topic is made: a later change here is for later topics. The
# keys are Kafka's, and durability. Further keys of Kafka's are taken too, unless their effect is not built.
";

/// The text of `config/broker.toml`: every key with its default and what it does.
pub fn reference() -> String {
    let mut file = HEAD.to_owned();
    // TOML wants keys without a section before the first one.
    for key in KEYS.iter().filter(|key| !key.name.contains('.')) {
        file.push('\n');
        entry(&mut file, key.name, key);
    }
    let mut open = "";
    for key in KEYS {
        let Some((section, name)) = key.name.split_once('.') else { continue };
        file.push('\n');
        if section != open {
            let _ = writeln!(file, "[{section}]");
            open = section;
        }
        entry(&mut file, name, key);
    }
    let _ = write!(file, "\n[topic]\n{TOPIC_HEAD}");
    for key in TOPIC_KEYS.iter().filter(|key| matches!(key.effect, Effect::Acts(_))) {
        file.push('\n');
        comment(&mut file, key.doc);
        let number = key.default.parse::<i64>().is_ok();
        let value = if number { key.default.to_owned() } else { quoted(key.default) };
        let _ = writeln!(file, "{} = {value}", key.name);
    }
    file
}

fn entry(file: &mut String, name: &str, key: &Key) {
    comment(file, key.doc);
    let _ = match key.default {
        Some(default) => writeln!(file, "{name} = {}", written(key.kind, default)),
        None => writeln!(file, "# {name} = {}", written(key.kind, key.example)),
    };
}

fn written(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Text => quoted(text),
        Kind::Integer | Kind::Boolean => text.to_owned(),
        Kind::List => {
            let items: Vec<String> = text.split(',').filter(|item| !item.is_empty()).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// The table's texts have nothing that Rust and TOML quote differently.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Sentences as comment lines of at most 110 characters.
fn comment(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 110 {
            let _ = writeln!(file, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(file, "{line}");
}
