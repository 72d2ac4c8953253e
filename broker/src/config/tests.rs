//! The keys, the file that is shipped, and what is refused by name.

use std::path::PathBuf;

use super::*;
use crate::state::TOPIC_KEYS;

const FILE: &str = include_str!("../../../config/broker.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Some(text), &[]).map_err(|error| error.to_string())
}

fn with(sets: &[&str]) -> Result<Config, String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::parse(None, &sets).map_err(|error| error.to_string())
}

#[test]
fn the_file_that_is_shipped_is_the_table_of_keys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/broker.toml");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert!(file == reference(), "config/broker.toml differs from the keys: run this test with UPDATE=1");
}

#[test]
fn the_file_that_is_shipped_equals_the_defaults() {
    assert_eq!(parse(FILE), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_file_that_is_shipped_has_every_key_with_its_documentation() {
    for key in keys::KEYS {
        assert!(key.doc.ends_with('.'), "{}", key.name);
        let name = key.name.split_once('.').map_or(key.name, |(_, name)| name);
        assert!(
            FILE.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = "))),
            "{name}"
        );
    }
    let commented_in: String = FILE
        .lines()
        .map(|line| line.replace("# advertise", "advertise").replace("# rack", "rack") + "\n")
        .collect();
    let config = parse(&commented_in).unwrap();
    assert_eq!(config.grpc_advertise.as_deref(), Some("broker1.example.org:7171"));
    assert_eq!(config.node_rack.as_deref(), Some("rack-7"));
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let config = Config::default();
    assert_eq!(config.data_dir, PathBuf::from("./caudal-data"));
    assert_eq!(config.grpc_listen, "127.0.0.1:7171".parse().unwrap());
    assert_eq!(config.peer_listen, "127.0.0.1:7172".parse().unwrap());
    assert_eq!(config.http_listen, "127.0.0.1:7173".parse().unwrap());
    assert_eq!((config.shards, config.allow_insecure), (0, false));
    assert_eq!((config.log_level, config.log_format), (LogLevel::Info, LogFormat::Text));
    assert_eq!(config.grpc_address("127.0.0.1:40000".parse().unwrap()), "127.0.0.1:40000");
}

#[test]
fn sections_dotted_keys_and_quoted_keys_mean_the_same() {
    let expected = Config { shards: 3, log_level: LogLevel::Warn, ..Config::default() };
    for text in [
        "shards = 3\n[log]\nlevel = \"warn\"",
        "shards = 3\nlog.level = \"warn\"",
        "shards = 3\n\"log.level\" = \"warn\"",
        "shards = 3\nlog = { level = \"warn\" }",
    ] {
        assert_eq!(parse(text), Ok(expected.clone()), "{text}");
    }
}

#[test]
fn every_key_reaches_its_place() {
    let config = parse(
        r#"
        shards = 2
        [data]
        dir = "/var/lib/caudal"
        [grpc]
        listen = "0.0.0.0:1"
        advertise = "b1:1"
        [peer]
        listen = "[::1]:2"
        advertise = "[2001:db8::1]:2"
        [http]
        listen = "localhost:3"
        [cluster]
        seeds = []
        [node]
        rack = "r"
        [security]
        allow_insecure = true
        [log]
        level = "trace"
        format = "json"
        [topic]
        retention.ms = 5
        durability = "memory"
        "min.cleanable.dirty.ratio" = 0.25
        preallocate = true
        "#,
    )
    .unwrap();
    let topic = BTreeMap::from(
        [
            ("retention.ms", "5"),
            ("durability", "memory"),
            ("min.cleanable.dirty.ratio", "0.25"),
            ("preallocate", "true"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let expected = Config {
        data_dir: PathBuf::from("/var/lib/caudal"),
        grpc_listen: "0.0.0.0:1".parse().unwrap(),
        grpc_advertise: Some("b1:1".into()),
        peer_listen: "[::1]:2".parse().unwrap(),
        peer_advertise: Some("[2001:db8::1]:2".into()),
        http_listen: "127.0.0.1:3".parse().unwrap(),
        cluster_seeds: vec![],
        node_rack: Some("r".into()),
        shards: 2,
        allow_insecure: true,
        log_level: LogLevel::Trace,
        log_format: LogFormat::Json,
        topic: TopicDefaults::new(&topic).unwrap(),
    };
    assert_eq!(config, expected);
    assert_eq!(config.grpc_address("0.0.0.0:1".parse().unwrap()), "b1:1");
}

#[test]
fn a_set_wins_over_the_file_and_the_last_set_over_the_others() {
    let sets = ["shards=2", "shards = 4", "topic.retention.ms=9", "data.dir=/a=b"].map(str::to_owned);
    let config = Config::parse(Some("shards = 1\n[topic]\nretention.ms = 5"), &sets).unwrap();
    assert_eq!((config.shards, config.data_dir), (4, PathBuf::from("/a=b")));
    assert_eq!(config.topic.values()["retention.ms"], "9");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    for (text, key, nearest) in [
        ("shard = 1", "shard", "shards"),
        ("[grpc]\nlisen = \"127.0.0.1:1\"", "grpc.lisen", "grpc.listen"),
        ("[grcp]\nlisten = \"127.0.0.1:1\"", "grcp.listen", "grpc.listen"),
        ("[gprc]", "gprc", "grpc.listen"),
        ("[topic]\nretention.ms = { a = 1 }", "topic.retention.ms.a", "topic.retention.ms"),
        ("[log]\nlevels = {}", "log.levels", "log.level"),
        ("retention.ms = 5", "retention.ms", "topic.retention.ms"),
        ("[topic]\nretention.m = 5", "topic.retention.m", "topic.retention.ms"),
        ("[topic]\ncleanup.polcy = \"delete\"", "topic.cleanup.polcy", "topic.cleanup.policy"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(&format!("{key:?}")), "{text}: {error}");
        assert!(error.contains(&format!("did you mean {nearest:?}?")), "{text}: {error}");
    }
    assert!(with(&["grpc.lissten=x"]).unwrap_err().contains("did you mean \"grpc.listen\"?"));
}

#[test]
fn a_value_of_another_type_is_named_with_its_key_and_what_does() {
    for (text, parts) in [
        ("shards = \"4\"", ["shards=", "without quotes"]),
        ("shards = 1.5", ["shards=1.5", "whole number"]),
        ("shards = -1", ["shards=-1", "from 0 to 1024"]),
        ("[grpc]\nlisten = 7171", ["grpc.listen=7171", "in quotes"]),
        ("[security]\nallow_insecure = \"yes\"", ["security.allow_insecure=", "true or false"]),
        ("[cluster]\nseeds = \"a:1\"", ["cluster.seeds=", "in brackets"]),
        ("[cluster]\nseeds = [1]", ["cluster.seeds=", "in brackets"]),
        ("[data]\ndir = { a = 1 }", ["data.dir=", "in quotes"]),
        ("shards = {}", ["shards=", "whole number"]),
        ("[topic]\nretention.ms = {}", ["topic.retention.ms=", "a number"]),
        ("[topic]\nretention.ms = [1]", ["topic.retention.ms=", "a number"]),
        ("[topic]\nretention.ms = 1979-05-27", ["topic.retention.ms=1979-05-27", "a number"]),
    ] {
        let error = parse(text).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
    }
}

#[test]
fn a_value_that_cannot_be_is_named_with_its_key_and_what_does() {
    for (set, why) in [
        ("shards=four", "whole number"),
        ("shards=1025", "to 1024"),
        ("data.dir=", "empty"),
        ("grpc.listen=7171", "IP:PORT"),
        ("grpc.listen=example.org:7171", "IP:PORT"),
        ("grpc.listen=127.0.0.1:70000", "IP:PORT"),
        ("grpc.advertise=broker1", "HOST:PORT"),
        ("grpc.advertise=broker1:0", "HOST:PORT"),
        ("grpc.advertise=:7171", "HOST:PORT"),
        ("grpc.advertise=0.0.0.0:7171", "HOST:PORT"),
        ("grpc.advertise=http://broker1:7171", "HOST:PORT"),
        ("peer.advertise=[::]:7171", "HOST:PORT"),
        ("cluster.seeds=a:1,b", "HOST:PORT"),
        ("node.rack=a\u{7}b", "control"),
        ("security.allow_insecure=1", "true, false"),
        ("log.level=loud", "error, warn, info, debug, trace"),
        ("log.format=xml", "text, json"),
        ("topic.retention.ms=7d", "whole number"),
        ("topic.cleanup.policy=compact", "not supported yet"),
        ("topic.durability=none", "synced, memory"),
    ] {
        let error = with(&[set]).unwrap_err();
        assert!(error.starts_with(&format!("{set}: ")) && error.contains(why), "{set}: {error}");
    }
}

#[test]
fn topic_values_that_do_not_fit_each_other_are_refused_and_together_they_may_fit() {
    let error = with(&["topic.segment.bytes=1048576"]).unwrap_err();
    assert!(error.starts_with("section [topic]: ") && error.contains("segment.bytes=1048576"), "{error}");
    assert!(with(&["topic.segment.bytes=1048576", "topic.max.message.bytes=100000"]).is_ok());
}

#[test]
fn what_the_network_reaches_is_refused_unless_it_is_meant() {
    for address in
        ["0.0.0.0:7171", "[::]:7171", "192.168.0.1:7171", "[::ffff:10.0.0.1]:7171", "[fe80::1]:7171"]
    {
        for key in ["grpc.listen", "peer.listen", "http.listen"] {
            let error = with(&[&format!("{key}={address}"), "grpc.advertise=b:1"]).unwrap_err();
            assert!(error.contains(key) && error.contains("security.allow_insecure=true"), "{error}");
            let told = ["grpc.advertise=b:1", "peer.advertise=b:2", "security.allow_insecure=true"];
            let listen = format!("{key}={address}");
            assert!(with(&[&[listen.as_str()][..], &told].concat()).is_ok());
        }
    }
    for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"] {
        assert!(with(&[&format!("grpc.listen={address}")]).is_ok(), "{address}");
    }
}

#[test]
fn clients_are_not_told_an_address_that_nobody_can_connect_to() {
    let error = with(&["grpc.listen=0.0.0.0:7171", "security.allow_insecure=true"]).unwrap_err();
    assert!(error.contains("grpc.advertise"), "{error}");
}

#[test]
fn other_brokers_are_not_told_an_address_that_nobody_can_connect_to() {
    let error = with(&["peer.listen=0.0.0.0:7172", "security.allow_insecure=true"]).unwrap_err();
    assert!(error.contains("peer.advertise"), "{error}");
}

#[test]
fn three_brokers_on_one_machine_have_files_of_their_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/cluster");
    let configs: Vec<Config> = ["1", "2", "3"]
        .iter()
        .map(|n| Config::load(Some(&folder.join(format!("{n}.toml"))), &[]).unwrap())
        .collect();
    for config in &configs {
        assert_eq!(config.cluster_seeds, configs[0].cluster_seeds);
        assert!(config.cluster_seeds.contains(&config.peer_listen.to_string()));
        let same = configs.iter().filter(|other| {
            other.data_dir == config.data_dir
                || other.grpc_listen == config.grpc_listen
                || other.http_listen == config.http_listen
        });
        assert_eq!(same.count(), 1, "each has ports and a folder of its own");
    }
}

#[test]
fn a_seed_is_named_once() {
    let error = with(&["cluster.seeds=a:1,b:2,a:1"]).unwrap_err();
    assert!(error.contains("cluster.seeds names a:1 twice"), "{error}");
}

#[test]
fn what_is_no_configuration_says_where() {
    let error = parse("shards = 1\n[grpc\n").unwrap_err();
    assert!(error.starts_with("line 2 of the configuration is not TOML: "), "{error}");
    assert!(!error.contains('\n'));
    assert!(parse("shards = 1\nshards = 2").unwrap_err().contains("line 2"));
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&"a={".repeat(100_000)).is_err());
    assert!(parse(&format!("{}a = 1", "a.".repeat(100_000))).is_err());
    assert!(parse("\"log.level\" = \"info\"\n[log]\nlevel = \"warn\"").unwrap_err().contains("given twice"));
    assert!(with(&["shards"]).unwrap_err().contains("write key=value"));
}

#[test]
fn a_file_is_read_and_one_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.toml");
    std::fs::write(&path, "shards = 5").unwrap();
    assert_eq!(Config::load(Some(&path), &[]).unwrap().shards, 5);
    assert_eq!(Config::load(None, &[]).unwrap(), Config::default());
    let missing = folder.path().join("missing.toml");
    let error = Config::load(Some(&missing), &[]).unwrap_err().to_string();
    assert!(error.contains("missing.toml"), "{error}");
    std::fs::write(&path, "#".repeat(CONFIG_FILE_BYTES_MAX as usize + 1)).unwrap();
    let error = Config::load(Some(&path), &[]).unwrap_err().to_string();
    assert!(error.contains("at most 1048576"), "{error}");
}

#[test]
fn no_topic_key_hides_behind_another_in_a_file() {
    // In TOML `a = 1` and `a.b = 2` exclude each other.
    for key in TOPIC_KEYS {
        let longer = format!("{}.", key.name);
        assert!(TOPIC_KEYS.iter().all(|other| !other.name.starts_with(&longer)), "{}", key.name);
    }
}
