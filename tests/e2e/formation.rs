//! Brokers that start: which cluster they find, and who is told to end.

use std::path::Path;
use std::process::Stdio;

use caudal_harness::broker_bin::serve;
use caudal_harness::cluster_bin::Cluster;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_copy_of_a_data_folder_does_not_start_while_the_original_runs() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), 3).expect("three brokers start");
    let twin = folder.path().join("twin");
    copy(cluster.brokers[1].data(), &twin);
    let out = serve(&twin, &[], "127.0.0.1:0").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("this broker cannot start: ") && said.contains("a data folder was copied"),
        "{said}"
    );
    assert_eq!(out.stdout, b"", "it was never ready");
    cluster.stop().expect("the original goes on until it is told to stop");
}
