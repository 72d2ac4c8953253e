//! `topic`, profiles, completions.

use crate::broker::{Broker, caudal, run};

#[test]
fn a_topic_lives_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let dry = broker.json(&["topic", "create", "t", "-p", "2", "--dry-run"]);
    assert_eq!(dry["dry_run"], true);
    assert_eq!(broker.json(&["topic", "list"])["topics"], serde_json::json!([]));
    broker.ok(&["topic", "create", "t", "-p", "2", "-c", "retention.ms=2d"], b"");
    assert_eq!(broker.ok(&["topic", "list", "t*"], b"").lines().count(), 2);
    assert_eq!(broker.ok(&["topic", "list", "x*"], b"").lines().count(), 1);

    let changed =
        broker.json(&["topic", "alter", "t", "--set", "retention.bytes=10GiB", "--unset", "retention.ms"]);
    let changes = changed["topics"][0]["changes"].as_array().unwrap();
    assert!(
        changes.iter().any(|c| c["key"] == "retention.bytes" && c["after"] == "10737418240"),
        "{changes:?}"
    );
    assert_eq!(broker.json(&["topic", "add-partitions", "t", "-n", "1"])["partitions"], 3);

    broker.ok(&["produce", "t", "-p", "0"], b"a\nb\nc\n");
    let trimmed = broker.json(&["topic", "trim", "t", "-p", "0", "--before-offset", "2", "--yes"]);
    assert_eq!(trimmed["partitions"][0]["log_start_after"], 2);
    let described = broker.json(&["topic", "describe", "t"]);
    let topic = &described["topics"][0];
    assert_eq!((&topic["partitions"][0]["log_start"], &topic["records"]), (&2.into(), &1.into()));
    let configs = topic["configs"].as_array().unwrap();
    assert!(configs.iter().any(|c| c["key"] == "retention.bytes" && c["source"] == "topic"), "{configs:?}");

    let asked = broker.run(&["topic", "delete", "t"], b"y\n");
    assert_eq!(asked.code, 2, "nobody can be asked: {}", asked.stderr);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert_eq!(broker.run(&["topic", "delete", "t", "nowhere", "--yes"], b"").code, 4);
    assert_eq!(broker.run(&["topic", "describe", "t"], b"").code, 1);
}

#[test]
fn refusals_are_one_line_and_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    for (arguments, says) in [
        (&["topic", "create", "a/b"][..], "a/b"),
        (&["topic", "create", "__x"], "__x"),
        (&["topic", "create", "t", "-p", "0"], "0 partitions"),
        (&["topic", "create", "t", "-p", "1000000"], "1000000 partitions"),
        (&["topic", "create", "t", "-r", "2"], "2 replicas"),
        (&["topic", "create", "t", "-c", "retention.sm=1"], "retention.ms"),
        (&["topic", "create", "t", "-c", "cleanup.policy=compact"], "cleanup.policy=compact"),
        (&["topic", "alter", "nowhere", "--set", "retention.ms=1d"], "nowhere"),
        (&["topic", "add-partitions", "nowhere", "-n", "1"], "nowhere"),
        (&["topic", "trim", "nowhere", "--before-time", "-1h", "--yes"], "nowhere"),
    ] {
        let ran = broker.run(arguments, b"");
        assert_eq!((ran.code, ran.stderr.lines().count()), (1, 1), "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(says),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    let causes = broker.run(&["topic", "describe", "nowhere", "-v"], b"").stderr;
    assert!(causes.contains("caused by: NotFound, UNKNOWN_TOPIC"), "{causes}");
}

#[test]
fn a_profile_names_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&folder.path().join("data"));
    std::fs::create_dir_all(folder.path().join("caudal")).unwrap();
    let file = folder.path().join("caudal/config.toml");
    std::fs::write(&file, format!("[profile.here]\nbrokers = \"{}\"\ntimeout = \"5s\"\n", broker.address()))
        .unwrap();
    let list = |profile: &str| {
        let mut command = caudal(&["topic", "list", "--profile", profile]);
        command.env("XDG_CONFIG_HOME", folder.path()).env("CAUDAL_BROKERS", "127.0.0.1:1");
        run(command, b"")
    };
    assert_eq!(list("here").code, 0);
    let missing = list("there");
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("there is here"), "{}", missing.stderr);
    std::fs::write(&file, "[profile.here]\nbroker = \"x\"\n").unwrap();
    let wrong = list("here");
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("line 2") && wrong.stderr.contains("brokers"), "{}", wrong.stderr);
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(caudal(&["completions", shell]), b"");
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("add-partitions"), "{shell}");
    }
}
