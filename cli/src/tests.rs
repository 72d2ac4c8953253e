//! The command line as a whole.

use clap::Command as ClapCommand;

use super::*;

fn each(command: &ClapCommand, path: &str, look: &mut dyn FnMut(&str, &ClapCommand)) {
    look(path, command);
    for verb in command.get_subcommands() {
        each(verb, &format!("{path} {}", verb.get_name()), look);
    }
}

fn try_parse(line: &str) -> Result<Cli, ExitCode> {
    parse(line.split(' ').map(OsString::from))
}

#[test]
fn the_grammar_is_sound() {
    command().debug_assert();
}

#[test]
fn every_help_shows_examples_and_says_what_each_flag_does() {
    let mut seen = 0;
    each(&command(), "caudal", &mut |path, verb| {
        seen += 1;
        let help = verb.clone().render_long_help().to_string();
        assert!(help.contains("Examples:\n  caudal "), "{path} --help shows no examples");
        assert!(verb.get_about().is_some(), "{path} does not say what it does");
        for flag in verb.get_arguments() {
            assert!(flag.get_help().is_some(), "{path} {} is not explained", flag.get_id());
        }
    });
    assert!(seen > 10, "only {seen} commands were seen");
}

/// Every example of every help is a command line that parses.
#[test]
fn every_example_parses() {
    let mut tried = 0;
    each(&command(), "caudal", &mut |path, verb| {
        let help = verb.get_after_help().expect("examples").to_string();
        for example in help.lines().filter_map(|line| line.strip_prefix("  ")) {
            let Some(start) = example.find("caudal ") else { continue };
            let words = words(&example[start..]);
            assert!(parse(words.clone()).is_ok(), "{path} --help: {words:?}");
            tried += 1;
        }
    });
    assert!(tried > 30, "only {tried} examples were tried");
}

/// A line as a shell would cut it, up to a pipe or a redirection.
fn words(line: &str) -> Vec<OsString> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '<' | '>' | '|' if !quoted => break,
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word).into());
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word.into());
    }
    words
}

#[test]
fn global_flags_stand_before_or_after_the_verb() {
    for line in [
        "caudal -b h:1 --timeout 3s --output json topic list",
        "caudal topic list -b h:1 --timeout 3s --output json",
        "caudal topic -b h:1 list --timeout 3s --output json",
    ] {
        let cli = try_parse(line).expect("a command line");
        assert_eq!(cli.global.brokers.as_deref(), Some("h:1"), "{line}");
        assert_eq!(cli.global.timeout, Some(std::time::Duration::from_secs(3)), "{line}");
        assert_eq!(cli.global.output, args::Form::Json, "{line}");
    }
}

#[test]
fn values_may_begin_with_a_minus() {
    for line in [
        "caudal topic trim t --before-time -1h",
        "caudal topic trim t --before-offset -5",
        "caudal consume t -o -5",
        "caudal consume t -o -5:end",
        "caudal produce t --acks -1",
        "caudal topic create t -p -1",
    ] {
        assert!(try_parse(line).is_ok(), "{line}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        "caudal",
        "caudal topic",
        "caudal topic create",
        "caudal topic create t -c novalue",
        "caudal topic alter t",
        "caudal topic trim t",
        "caudal topic trim t --before-offset 1 --before-time -1h",
        "caudal produce t -f %v{json}",
        "caudal produce t -z brotli",
        "caudal consume t -o beginning",
        "caudal consume t -g group",
        "caudal consume t -f %s",
        "caudal topic list --timeout 10",
        "caudal topic list -v -q",
        "caudal bench produce --records 5 --duration 5s",
        "caudal bench produce --topic t -p 3",
    ] {
        assert!(try_parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_usage_error_is_one_line() {
    let words = ["caudal", "topic", "create", "--partitons", "3"];
    let error = command().try_get_matches_from(words).expect_err("a wrong flag");
    let line = usage_line(&error);
    assert!(!line.contains('\n'), "{line}");
    assert!(line.starts_with("error: unexpected argument '--partitons'"), "{line}");
    assert!(line.contains("--partitions") && line.contains("Usage: caudal topic create"), "{line}");
}
