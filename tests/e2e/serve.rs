//! `caudal serve`: what it says, how it ends, and the folders, ports and keys it refuses.

use std::path::Path;
use std::process::Output;

use caudal_harness::broker_bin::{Broker, caudal, serve};

use crate::api::{Stage, start};

/// Runs a `serve` that must end by itself.
fn refused(data: &Path, settings: &[&str]) -> (i32, String) {
    let settings: Vec<_> = settings.iter().map(Into::into).collect();
    let output: Output = serve(data, &settings, "127.0.0.1:0").output().expect("the binary under test runs");
    assert_eq!(output.stdout, b"", "it was never ready");
    (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn an_orderly_stop_ends_with_0_and_everything_is_there_again() {
    let mut stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    for round in 0..3 {
        stage.api.send_values("t", 0, &["x", "y"]).await;
        stage.broker.terminate().unwrap();
        assert_eq!(stage.broker.wait().unwrap().code(), Some(0), "round {round}: {}", stage.broker.log());
        stage.restart().await;
        assert_eq!(stage.api.read_all("t", 0).await.len(), (round + 1) * 2);
    }
}

#[test]
fn a_folder_in_use_is_refused_with_the_others_pid() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let broker = start(&data, &[]);
    let (code, said) = refused(&data, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&broker.pid().to_string()), "{said}");
    assert!(broker.stop().unwrap().success());
    assert!(start(&data, &[]).stop().unwrap().success(), "it is free again");
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::write(&data, "mine").unwrap();
    let (code, said) = refused(&data, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("data"), "it names the path: {said}");
    assert_eq!(std::fs::read(&data).unwrap(), b"mine");
}

#[test]
fn a_folder_of_another_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(start(&data, &[]).stop().unwrap().success());
    let identity = data.join("identity");
    let was = std::fs::read_to_string(&identity).unwrap();
    let number = was.find(|c: char| c.is_ascii_digit()).expect("the format's version is a number");
    let mut newer = was.clone();
    newer.replace_range(number..=number, "9");
    std::fs::write(&identity, &newer).unwrap();
    let (code, said) = refused(&data, &[]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(std::fs::read_to_string(&identity).unwrap(), newer);
    std::fs::write(&identity, was).unwrap();
    assert!(start(&data, &[]).stop().unwrap().success());
}

#[test]
fn a_port_in_use_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = serve(&folder.path().join("data"), &[], &address).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address), "{said}");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = refused(&folder.path().join("data"), &["grpc.listne=127.0.0.1:0"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("grpc.listne") && said.contains("grpc.listen"), "{said}");
    let file = folder.path().join("broker.toml");
    std::fs::write(&file, "[grpc]\nlisten = \"127.0.0.1:0\"\nlissen = 1\n").unwrap();
    let path = file.to_str().unwrap();
    let output = caudal("", &["serve", "-c", path], b"").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("lissen") && said.contains("listen"), "{said}");
}

#[test]
fn listening_to_the_world_needs_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = serve(&data, &[], "0.0.0.0:0").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("security.allow_insecure"), "{said}");
}

#[test]
fn the_number_of_shards_may_change_at_any_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (round, shards) in [1, 4, 2].into_iter().enumerate() {
        let broker: Broker = start(&data, &[&format!("shards={shards}")]);
        runtime.block_on(async {
            let api = crate::api::Api::connect(&broker).await;
            if round == 0 {
                api.create("t", 8, &[]).await;
            }
            for partition in 0..8 {
                api.send_values("t", partition, &["x"]).await;
                assert_eq!(api.read_all("t", partition).await.len(), round + 1);
            }
        });
        assert!(broker.stop().unwrap().success());
    }
}
