//! Bytes that change on the disk: never served, never cut away, named; everything else is served.

use std::path::{Path, PathBuf};

use caudal_harness::broker_bin::caudal;
use caudal_proto::v1::{DescribeTopicsRequest, FetchFormat, OffsetAnchor, Reason};

use crate::api::{Stage, reason};

const TOPIC: &str = "precious";

/// The segment files of the data folder that hold a text, and where.
fn holding(folder: &Path, text: &str) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if path.extension().is_some_and(|e| e == "log") {
            let bytes = std::fs::read(&path).expect("a segment can be read");
            let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
            found.extend(at.map(|at| (path, at)));
        }
    }
    found
}

/// Changes one bit of the only place on the disk that holds a text.
fn damage(data: &Path, text: &str) -> PathBuf {
    let found = holding(data, text);
    let [(path, at)] = &found[..] else { panic!("{text:?} is at {found:?}") };
    let mut bytes = std::fs::read(path).expect("a segment can be read");
    bytes[*at] ^= 0x20;
    std::fs::write(path, bytes).expect("a segment can be written");
    path.clone()
}

#[tokio::test]
async fn a_changed_byte_is_named_and_everything_else_is_served() {
    let mut stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for n in 0..30 {
        stage.api.send_values(TOPIC, 0, &[&format!("value-{n}-a"), &format!("value-{n}-b")]).await;
    }
    // An orderly stop syncs everything and says so in the durable mark: what is wrong below it is damage.
    stage.broker.terminate().unwrap();
    assert!(stage.broker.wait().unwrap().success());
    let file = damage(stage.broker.data(), "value-10-b");
    stage.restart().await;

    for offset in [20, 21] {
        let result = stage.api.fetch_now(TOPIC, 0, offset, FetchFormat::Records).await;
        let error = result.error.unwrap_or_else(|| panic!("offset {offset} is damaged"));
        assert_eq!(error.reason(), Reason::DataDamaged, "{}", error.message);
        let range = (error.metadata["first_offset"].as_str(), error.metadata["last_offset"].as_str());
        assert_eq!(
            range,
            (offset.to_string().as_str(), "21"),
            "from where it was asked for to the end of the damage"
        );
    }
    for offset in (0..20).chain(22..60) {
        let result = stage.api.fetch_now(TOPIC, 0, offset, FetchFormat::Records).await;
        assert_eq!(reason(&result.error), Reason::Unspecified, "offset {offset}");
        assert_eq!(result.records[0].offset, offset);
    }
    let request = DescribeTopicsRequest { names: vec![TOPIC.to_owned()] };
    let topic =
        stage.api.topics.clone().describe_topics(request).await.unwrap().into_inner().topics.remove(0);
    let damaged: Vec<(i64, i64)> =
        topic.partitions[0].damaged.iter().map(|d| (d.first_offset, d.last_offset)).collect();
    assert_eq!(damaged, [(20, 21)]);

    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 60, "nothing was cut");
    assert_eq!(stage.api.send_values(TOPIC, 0, &["more"]).await.base_offset, 60, "it goes on taking writes");
    stage.crash().await;
    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 61);

    stage.broker.terminate().unwrap();
    assert!(stage.broker.wait().unwrap().success());
    let verify = caudal("", &["log", "verify", stage.broker.data().to_str().unwrap()], b"").unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&verify.stdout), String::from_utf8_lossy(&verify.stderr));
    assert_eq!(verify.status.code(), Some(1), "{said}");
    assert!(said.contains(file.file_name().unwrap().to_str().unwrap()), "it names the file: {said}");
}

#[tokio::test]
async fn a_byte_that_changes_under_a_running_broker_is_not_served() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    stage.api.send_values(TOPIC, 0, &["first"]).await;
    stage.api.send_values(TOPIC, 0, &["soon-another"]).await;
    // Far enough from the end that nobody takes it for fresh.
    let filler = "f".repeat(1 << 20);
    for _ in 0..12 {
        stage.api.send_values(TOPIC, 0, &[&filler[..1_000_000]]).await;
    }
    let [(path, at)] = &holding(stage.broker.data(), "soon-another")[..] else { panic!("it is there once") };
    let file = std::fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"S", *at as u64).unwrap();
    let result = stage.api.fetch_now(TOPIC, 0, 1, FetchFormat::Records).await;
    assert_eq!(reason(&result.error), Reason::DataDamaged);
    let result = stage.api.fetch_now(TOPIC, 0, 0, FetchFormat::Records).await;
    assert_eq!(result.records[0].offset, 0, "the one before is served");
    let result = stage.api.fetch_now(TOPIC, 0, 2, FetchFormat::Records).await;
    assert_eq!(result.records[0].offset, 2, "the one behind is served");
}
