//! The architecture as a test: what `docs/ARCHITECTURE.md` and `docs/STYLE.md` say is so, or this fails.
//!
//! Each check is a function from the files of the repository to the list of breaches, so that bad samples can show
//! that it fails.

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/docs_samples.rs"]
mod docs_samples;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/source.rs"]
mod source;

fn none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn imports_between_rooms_point_down() {
    none(&rooms::breaches(&source::tree()));
}

#[test]
fn crates_depend_only_as_the_picture_says() {
    none(&crates::breaches(&source::tree()));
}

#[test]
fn files_are_documented_short_well_named_and_finished() {
    none(&files::breaches(&source::tree()));
}

#[test]
fn paths_named_in_documents_exist() {
    none(&docs::missing_paths(&source::tree()));
}

#[test]
fn tests_named_in_documents_exist() {
    none(&docs::missing_proofs(&source::tree()));
}

#[test]
fn every_promise_and_invariant_names_its_test() {
    none(&docs::unproven(&source::tree()));
}

#[test]
fn every_reason_of_an_error_is_explained() {
    none(&docs::unexplained(&source::tree()));
}

#[test]
fn comments_and_strings_are_no_code() {
    let code = |text: &str| source::Source::new("a.rs", text).code;
    assert_eq!(code("a // b\nc"), "a     \nc");
    assert_eq!(code("a /* b /* c */ d */ e").trim_end(), format!("a {} e", " ".repeat(17)));
    assert_eq!(code(r#"f("x\"y", 'z', '"', b"w") + g::<'a>()"#).split_whitespace().last(), Some("g::<'a>()"));
    assert_eq!(code("r#\"unsafe \" unsafe\"# + x").trim(), "+ x");
}
