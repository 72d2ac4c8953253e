//! Every way in which a data folder is refused, and that nothing changes then.

use super::*;
use crate::ids::ReplicaId;

const NODE: Uuid = Uuid::from_u128(0x0D);

fn open(root: &Path) -> Result<Folder, FolderError> {
    Folder::open(root, NODE)
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The identity file with a line changed and its checksum made to fit.
fn rewrite(root: &Path, from: &str, to: &str) {
    let path = paths::identity_path(root);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text[..text.rfind("crc32 ").unwrap()].replace(from, to);
    let sum = crc32fast::hash(lines.as_bytes());
    fs::write(path, format!("{lines}crc32 {sum:08x}\n")).unwrap();
}

#[test]
fn a_new_folder_keeps_its_first_ids() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b");
    let mut folder = open(&root).unwrap();
    assert_eq!(folder.identity(), &Identity { node_uuid: NODE, home: None });
    assert_eq!(folder.root(), root);
    assert_eq!(names(&root), ["LOCK", "identity"]);
    let home = Home {
        cluster_id: Uuid::from_u128(0xC1),
        node_id: NodeId(4),
        control: ReplicaId(9),
        founders: vec![(NODE, "a:7172".into()), (Uuid::from_u128(7), "b:7172".into())],
        contacts: vec![(NodeId(1), "c:7172".into())],
    };
    folder.settle(&home).unwrap();
    folder.settle(&home).unwrap();
    let other = Home { node_id: NodeId(5), ..home.clone() };
    assert!(matches!(folder.settle(&other), Err(FolderError::OtherNode { has: NodeId(4), .. })));
    drop(folder);
    let again = Folder::open(&root, Uuid::from_u128(9)).unwrap();
    let expected = Identity { node_uuid: NODE, home: Some(home) };
    assert_eq!(again.identity(), &expected);
    assert_eq!(Identity::read(&root).unwrap(), Some(expected));
}

#[test]
fn only_one_at_a_time_and_the_other_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(error, FolderError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("in use by process {}", std::process::id())), "{error}");
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn a_file_is_not_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"mine").unwrap();
    assert!(matches!(open(&file), Err(FolderError::NotAFolder { .. })));
    assert!(matches!(open(&file.join("below")), Err(FolderError::NotAFolder { .. })));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_folder_where_nobody_can_write() {
    // Not even root makes folders here.
    let error = open(Path::new("/proc/self/caudal")).unwrap_err();
    assert!(matches!(error, FolderError::NotWritable { .. }), "{error}");
}

#[test]
fn other_people_s_folders_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), b"").unwrap();
    fs::write(dir.path().join("LOCK"), b"").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(&error, FolderError::NotOurs { found, .. } if found == "thesis.tex"), "{error}");
    assert_eq!(names(dir.path()), ["LOCK", "thesis.tex"]);
    assert_eq!(fs::read(dir.path().join("LOCK")).unwrap(), b"");
}

#[test]
fn a_first_start_that_was_cut_short_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("LOCK"), b"1\n").unwrap();
    fs::write(dir.path().join("identity.tmp"), b"caudal da").unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    open(dir.path()).unwrap();
    assert_eq!(names(dir.path()), ["LOCK", "identity", "lost+found"]);
}

#[test]
fn a_lost_identity_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    fs::write(dir.path().join("meta.a"), b"votes").unwrap();
    fs::remove_file(paths::identity_path(dir.path())).unwrap();
    assert!(matches!(open(dir.path()), Err(FolderError::NotOurs { found, .. }) if found == "meta.a"));
}

#[test]
fn another_format_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    rewrite(dir.path(), "format 1", "format 2");
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, FolderError::Version { found: 2, .. }), "{error}");
    assert!(error.to_string().contains("has format 2, this broker reads 1"), "{error}");
}

#[test]
fn no_changed_byte_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let path = paths::identity_path(dir.path());
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            fs::write(&path, bytes).unwrap();
            assert!(matches!(open(dir.path()), Err(FolderError::Damaged { .. })), "byte {at}");
        }
        fs::write(&path, &whole[..at]).unwrap();
        assert!(matches!(open(dir.path()), Err(FolderError::Damaged { .. })), "cut at {at}");
    }
    for (from, to) in [
        ("node-uuid ", "node-id one\nnode-uuid "),
        ("node-uuid ", "cluster x\nnode-uuid "),
        ("node-uuid", "node"),
        ("format 1", "format"),
    ] {
        fs::write(&path, &whole).unwrap();
        rewrite(dir.path(), from, to);
        assert!(matches!(open(dir.path()), Err(FolderError::Damaged { .. })), "{from} -> {to}");
    }
    fs::write(&path, &whole).unwrap();
    open(dir.path()).unwrap();
}
