//! The messages, fields, values and methods of `caudal.v1` against `api.txt`, the listing of what was promised.
#![expect(clippy::unwrap_used, reason = "what helps the tests here fails like a test")]

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
};

/// What a name stands for, by its full name: `number type` of a field, `number` of a value, the form of a method.
type Listing = BTreeMap<String, String>;

fn described() -> Listing {
    let set = FileDescriptorSet::decode(caudal_proto::DESCRIPTORS).unwrap();
    let mut listing = Listing::new();
    for file in &set.file {
        describe_file(file, &mut listing);
    }
    listing
}

fn describe_file(file: &FileDescriptorProto, listing: &mut Listing) {
    for message in &file.message_type {
        describe_message(file.package(), message, listing);
    }
    for values in &file.enum_type {
        describe_enum(file.package(), values, listing);
    }
    for service in &file.service {
        describe_service(file.package(), service, listing);
    }
}

fn describe_message(scope: &str, message: &DescriptorProto, listing: &mut Listing) {
    let name = format!("{scope}.{}", message.name());
    listing.insert(name.clone(), "message".to_owned());
    for field in &message.field {
        let number = field.number();
        listing
            .insert(format!("{name}.{}", field.name()), format!("{number} {}", field_type(message, field)));
    }
    for nested in message.nested_type.iter().filter(|nested| !is_map_entry(nested)) {
        describe_message(&name, nested, listing);
    }
    for values in &message.enum_type {
        describe_enum(&name, values, listing);
    }
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

fn field_type(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let entry = |nested: &&DescriptorProto| {
        is_map_entry(nested) && field.type_name().ends_with(&format!(".{}.{}", message.name(), nested.name()))
    };
    if let Some(map) = message.nested_type.iter().find(entry) {
        return format!("map<{}, {}>", value_type(&map.field[0]), value_type(&map.field[1]));
    }
    let oneof = field.oneof_index.and_then(|at| message.oneof_decl.get(at as usize));
    let prefix = match (field.label(), field.proto3_optional(), oneof) {
        (Label::Repeated, ..) => "repeated ".to_owned(),
        (_, true, _) => "optional ".to_owned(),
        (_, _, Some(oneof)) => format!("oneof {} ", oneof.name()),
        _ => String::new(),
    };
    prefix + &value_type(field)
}

fn value_type(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

fn describe_enum(scope: &str, values: &EnumDescriptorProto, listing: &mut Listing) {
    let name = format!("{scope}.{}", values.name());
    listing.insert(name.clone(), "enum".to_owned());
    for value in &values.value {
        listing.insert(format!("{name}.{}", value.name()), value.number().to_string());
    }
}

fn describe_service(scope: &str, service: &ServiceDescriptorProto, listing: &mut Listing) {
    let name = format!("{scope}.{}", service.name());
    listing.insert(name.clone(), "service".to_owned());
    for method in &service.method {
        let stream = |streams: bool| if streams { "stream " } else { "" };
        let form = format!(
            "({}{}) returns ({}{})",
            stream(method.client_streaming()),
            method.input_type().trim_start_matches('.'),
            stream(method.server_streaming()),
            method.output_type().trim_start_matches('.'),
        );
        listing.insert(format!("{name}.{}", method.name()), form);
    }
}

fn written(listing: &Listing) -> String {
    listing.iter().map(|(name, form)| format!("{name} = {form}\n")).collect()
}

fn parsed(text: &str) -> Listing {
    let line = |line: &str| line.split_once(" = ").map(|(name, form)| (name.to_owned(), form.to_owned()));
    text.lines().map(|text| line(text).unwrap_or_else(|| panic!("not `name = form`: {text}"))).collect()
}

/// What was promised and is not so, and what is so and was not promised.
fn compare(promised: &Listing, described: &Listing) -> (Vec<String>, Vec<String>) {
    let broken = promised.iter().filter_map(|(name, form)| match described.get(name) {
        Some(found) if found == form => None,
        Some(found) => Some(format!("{name} = {form} has become {found}")),
        None => Some(format!("{name} = {form} is gone")),
    });
    let added = described.keys().filter(|name| !promised.contains_key(*name)).cloned();
    (broken.collect(), added.collect())
}

#[test]
fn nothing_promised_is_gone_or_renumbered() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("api.txt");
    let promised = parsed(&std::fs::read_to_string(&path).unwrap_or_default());
    let described = described();
    let (broken, added) = compare(&promised, &described);
    assert!(
        broken.is_empty(),
        "the .proto files break what clients were promised:\n  {}\nGive what is new a new name and number. Where no \
         release had it yet, delete these lines of proto/api.txt by hand.",
        broken.join("\n  ")
    );
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(&path, written(&described)).unwrap();
        return;
    }
    assert!(
        added.is_empty(),
        "not in proto/api.txt yet:\n  {}\nTo promise it: UPDATE=1 cargo test -p caudal-proto --test api",
        added.join("\n  ")
    );
}

#[test]
fn a_removed_a_renumbered_and_an_added_field_are_told() {
    let promised = described();
    assert!(promised.len() > 300, "{} names", promised.len());
    let mut other = promised.clone();
    other.remove("caudal.v1.Record.key").unwrap();
    other.insert("caudal.v1.Record.value".to_owned(), "3 optional bytes".to_owned());
    other.insert("caudal.v1.Record.colour".to_owned(), "9 string".to_owned());
    let (broken, added) = compare(&promised, &other);
    assert_eq!(
        broken,
        [
            "caudal.v1.Record.key = 1 optional bytes is gone",
            "caudal.v1.Record.value = 2 optional bytes has become 3 optional bytes",
        ]
    );
    assert_eq!(added, ["caudal.v1.Record.colour"]);
    assert_eq!(compare(&promised, &parsed(&written(&promised))), (vec![], vec![]));
}

#[test]
fn every_kind_of_name_is_listed() {
    let listing = described();
    for (name, form) in [
        ("caudal.v1.Reason", "enum"),
        ("caudal.v1.Reason.NOT_LEADER", "40"),
        ("caudal.v1.Receipt.synced", "9 repeated caudal.v1.ReplicaRef"),
        ("caudal.v1.ProduceItem.batch", "3 oneof data bytes"),
        ("caudal.v1.PartitionError.metadata", "3 map<string, string>"),
        ("caudal.v1.FetchService.Fetch", "(caudal.v1.FetchRequest) returns (caudal.v1.FetchResponse)"),
        (
            "caudal.v1.FetchService.FetchStream",
            "(stream caudal.v1.FetchStreamRequest) returns (stream caudal.v1.FetchStreamResponse)",
        ),
    ] {
        assert_eq!(listing.get(name).map(String::as_str), Some(form), "{name}");
    }
}

#[test]
fn a_reason_has_its_name_on_the_wire() {
    use caudal_proto::v1::Reason;
    for (reason, name) in [
        (Reason::Unspecified, "REASON_UNSPECIFIED"),
        (Reason::InvalidTopicName, "INVALID_TOPIC_NAME"),
        (Reason::BatchInflatesTooLarge, "BATCH_INFLATES_TOO_LARGE"),
        (Reason::NotLeader, "NOT_LEADER"),
        (Reason::Internal, "INTERNAL"),
    ] {
        assert_eq!((reason.as_str_name(), Reason::from_str_name(name)), (name, Some(reason)));
    }
}
