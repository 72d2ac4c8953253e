//! The names of a file system: as they are, and as a power cut would leave them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::seeded::Seeded;

use super::keep::Keep;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    File(u64),
}

type Tree = BTreeMap<PathBuf, Node>;

/// A change of names that not all of its folders have been synced for. It happens whole or not at all.
struct Pending {
    changes: Vec<(PathBuf, Option<Node>)>,
    folders: Vec<PathBuf>,
}

impl Pending {
    /// Whether it is about names in folders that one of the changes makes or removes.
    fn is_below(&self, changes: &[(PathBuf, Option<Node>)]) -> bool {
        let names = self.changes.iter().map(|(name, _)| name);
        names
            .flat_map(|name| name.ancestors().skip(1))
            .any(|folder| changes.iter().any(|(at, _)| at == folder))
    }
}

/// All names.
pub(super) struct Names {
    pub(super) current: Tree,
    pub(super) durable: Tree,
    pending: Vec<Pending>,
}

impl Names {
    /// Only the folder `root` and those above it, durably.
    pub(super) fn new(root: &Path) -> Names {
        let tree: Tree = root.ancestors().map(|folder| (folder.to_owned(), Node::Folder)).collect();
        Names { current: tree.clone(), durable: tree, pending: Vec::new() }
    }

    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        self.current.get(path).copied()
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<u64> {
        match self.get(path) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn folder(&self, path: &Path) -> io::Result<()> {
        match self.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn create(&mut self, path: &Path, node: Node) -> io::Result<()> {
        self.folder(parent(path))?;
        if self.get(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(vec![(path.to_owned(), Some(node))]);
        Ok(())
    }

    pub(super) fn create_folders(&mut self, path: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> =
            path.ancestors().take_while(|folder| self.get(folder).is_none()).collect();
        while let Some(folder) = missing.pop() {
            self.create(folder, Node::Folder)?;
        }
        self.folder(path)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.folder(path)?;
        let below = self.below(path).filter(|name| name.parent() == Some(path));
        let names = below.filter_map(|name| name.file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file(from)?;
        self.folder(parent(to))?;
        if self.get(to) == Some(Node::Folder) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.change(vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(file)))]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(vec![(path.to_owned(), None)]);
        Ok(())
    }

    pub(super) fn remove_all(&mut self, path: &Path) -> io::Result<()> {
        self.folder(path)?;
        let mut names: Vec<PathBuf> = self.below(path).cloned().collect();
        while let Some(name) = names.pop() {
            self.change(vec![(name, None)]);
        }
        self.change(vec![(path.to_owned(), None)]);
        Ok(())
    }

    /// Makes the changes in a folder durable, apart from renames whose other folder is not synced yet.
    pub(super) fn sync(&mut self, folder: &Path) -> io::Result<()> {
        self.folder(folder)?;
        for mut pending in std::mem::take(&mut self.pending) {
            pending.folders.retain(|other| other != folder);
            // What is in a folder that is new itself, perhaps in the place of one that was removed, is as durable as it.
            let waits = self.pending.iter().any(|before| pending.is_below(&before.changes));
            if pending.folders.is_empty() && !waits {
                apply(&mut self.durable, pending.changes);
            } else {
                self.pending.push(pending);
            }
        }
        Ok(())
    }

    /// The power goes: of what is not durable, some happened.
    pub(super) fn crash(&mut self, random: &mut Seeded) {
        let mut keep = Keep::draw(random);
        let mut lost = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            let kept = pending.folders.is_empty() || keep.next(random);
            if kept && !pending.is_below(&lost) {
                apply(&mut self.durable, pending.changes);
            } else {
                lost.extend(pending.changes);
            }
        }
        let orphan = |tree: &Tree, name: &Path| tree.get(parent(name)) != Some(&Node::Folder);
        while let Some(name) = self.durable.keys().find(|name| orphan(&self.durable, name)).cloned() {
            self.durable.remove(&name);
        }
        self.current = self.durable.clone();
    }

    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let from = self.current.range(path.to_owned()..).map(|(name, _)| name);
        from.take_while(move |name| name.starts_with(path)).filter(move |name| *name != path)
    }

    fn change(&mut self, changes: Vec<(PathBuf, Option<Node>)>) {
        let mut folders: Vec<PathBuf> = changes.iter().map(|(name, _)| parent(name).to_owned()).collect();
        folders.dedup();
        apply(&mut self.current, changes.clone());
        self.pending.push(Pending { changes, folders });
    }
}

/// The folder that a name is in; the root is in itself.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn apply(tree: &mut Tree, changes: Vec<(PathBuf, Option<Node>)>) {
    for (name, node) in changes {
        match node {
            Some(node) => {
                tree.insert(name, node);
            }
            None => {
                let below = |(other, _): (&PathBuf, &Node)| other.starts_with(&name).then(|| other.clone());
                while let Some(other) = tree.range(name.clone()..).next().and_then(below) {
                    tree.remove(&other);
                }
            }
        }
    }
}
