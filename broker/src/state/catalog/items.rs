//! Requests that name several topics: each has its own answer, in the order of the request.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{COMMAND_BYTES_MAX, TOPICS_PER_REQUEST_MAX};
use crate::refusal::Refusal;
use crate::state::command::Command;
use crate::state::request::{Answered, Plan, Reply};

/// What one item of a request comes to: its answer, or a part of the command.
pub(super) enum Item<Answer, Part> {
    Known(Result<Answer, Refusal>),
    Part(Part),
}

/// The items of a request by name, in its order.
pub(super) type Items<Answer, Part> = Vec<(String, Item<Answer, Part>)>;

impl<Answer, Part> From<Refusal> for Item<Answer, Part> {
    fn from(refusal: Refusal) -> Self {
        Item::Known(Err(refusal))
    }
}

/// Parts what is known from what must be proposed.
pub(super) fn gather<Answer, Part>(
    items: Items<Answer, Part>,
    reply: impl Fn(Vec<(String, Result<Answer, Refusal>)>) -> Reply,
    command: impl Fn(Vec<Part>) -> Command,
) -> Plan {
    let (mut places, mut known, mut parts, mut waiting) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, (name, item)) in items.into_iter().enumerate() {
        match item {
            Item::Known(result) => {
                places.push(place);
                known.push((name, result));
            }
            Item::Part(part) => {
                parts.push(part);
                waiting.push(name);
            }
        }
    }
    if parts.is_empty() {
        return Plan::Answer(reply(known));
    }
    let answered = Answered::new(places, reply(known));
    let command = command(parts);
    let bytes = command.encode().len();
    if bytes > COMMAND_BYTES_MAX {
        let refused = waiting.into_iter().map(|name| (name, Err(too_large(bytes)))).collect();
        return Plan::Answer(answered.complete(reply(refused)));
    }
    Plan::Propose { command, answered }
}

fn too_large(bytes: usize) -> Refusal {
    let why = format!(
        "the change takes {bytes} bytes, {COMMAND_BYTES_MAX} fit at once: name fewer topics in a request"
    );
    Refusal::InvalidArgument { field: "topics".to_owned(), why }
}

/// The refusals of names that come more than once: which of them is meant cannot be known.
pub(super) fn twice<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, Refusal> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeMap::new();
    for name in names {
        if !seen.insert(name) && !twice.contains_key(name) {
            let why = format!("{:?} is named more than once", cut(name));
            twice.insert(name.to_owned(), Refusal::InvalidArgument { field: "topics".to_owned(), why });
        }
    }
    twice
}

/// The refusal of each topic where there are more than one request may name.
pub(super) fn too_many(topics: usize) -> Option<Refusal> {
    (topics > TOPICS_PER_REQUEST_MAX).then(|| Refusal::InvalidArgument {
        field: "topics".to_owned(),
        why: format!(
            "{topics} topics are named, at most {TOPICS_PER_REQUEST_MAX} may be: send several requests"
        ),
    })
}

/// What of a client's text goes back into a message.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}
