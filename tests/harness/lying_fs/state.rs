//! The state behind all handles of a lying file system: names, contents, and the faults to come.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::seeded::Seeded;

use super::content::Content;
use super::image::SECTOR;
use super::names::{Names, Node};
use super::{Fault, Op, PowerCut};

/// Room is taken in blocks of this many bytes.
const BLOCK: u64 = 4096;

/// A call that is to fail.
pub(super) struct Plan {
    pub(super) op: Op,
    pub(super) path_has: String,
    /// How many such calls pass before it.
    pub(super) after: u64,
    pub(super) fault: Fault,
}

/// How a call goes.
pub(super) enum Step {
    Goes,
    /// The power fails in the middle of it.
    Cut,
    Fails(Fault),
}

pub(super) struct State {
    pub(super) names: Names,
    pub(super) files: BTreeMap<u64, Content>,
    next_file: u64,
    next_slice: u64,
    pub(super) random: Seeded,
    /// Raised by each crash: handles of an earlier one are dead.
    pub(super) epoch: u64,
    pub(super) plans: Vec<Plan>,
    /// The changing calls that are still carried out; `None` for all.
    pub(super) left: Option<u64>,
    pub(super) cut: bool,
    /// The changing calls so far.
    pub(super) operations: u64,
    pub(super) quota: Option<u64>,
    pub(super) direct_reads: bool,
    pub(super) violations: Vec<String>,
    pub(super) trace: Option<Vec<String>>,
}

impl State {
    pub(super) fn new(seed: u64, root: &Path) -> State {
        State {
            names: Names::new(root),
            files: BTreeMap::new(),
            next_file: 0,
            next_slice: 0,
            random: Seeded::stream(seed, "disk"),
            epoch: 0,
            plans: Vec::new(),
            left: None,
            cut: false,
            operations: 0,
            quota: None,
            direct_reads: true,
            violations: Vec::new(),
            trace: None,
        }
    }

    /// Counts a call and says how it goes.
    ///
    /// # Errors
    /// When the power is off.
    pub(super) fn step(&mut self, op: Op, path: &Path, what: impl FnOnce() -> String) -> io::Result<Step> {
        if self.cut {
            return Err(power_cut());
        }
        if op.changes() {
            self.operations += 1;
            if let Some(trace) = &mut self.trace {
                trace.push(what());
            }
            match &mut self.left {
                Some(0) => {
                    self.cut = true;
                    return Ok(Step::Cut);
                }
                Some(left) => *left -= 1,
                None => {}
            }
        }
        let text = path.to_string_lossy();
        let meant = |plan: &Plan| plan.op == op && text.contains(&plan.path_has);
        if let Some(due) = self.plans.iter().position(|plan| meant(plan) && plan.after == 0) {
            return Ok(Step::Fails(self.plans.remove(due).fault));
        }
        self.plans.iter_mut().filter(|plan| meant(plan)).for_each(|plan| plan.after -= 1);
        Ok(Step::Goes)
    }

    /// A call that is carried out whole or not at all: where the power fails in it, by chance.
    pub(super) fn all_or_nothing(
        &mut self,
        (op, path): (Op, &Path),
        what: impl FnOnce() -> String,
        run: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.step(op, path, what)? {
            Step::Goes => run(self),
            Step::Fails(fault) => Err(fault.into()),
            Step::Cut => {
                if self.random.chance(1, 2) {
                    run(self)?;
                }
                Err(power_cut())
            }
        }
    }

    pub(super) fn new_file(&mut self, path: &Path) -> io::Result<u64> {
        self.next_file += 1;
        self.names.create(path, Node::File(self.next_file))?;
        self.files.insert(self.next_file, Content::default());
        Ok(self.next_file)
    }

    /// The content of a file; one that has no name any more is still there for who has it open.
    pub(super) fn content(&mut self, file: u64) -> &mut Content {
        self.files.entry(file).or_default()
    }

    /// Takes room for a file up to `length`.
    pub(super) fn take_room(&mut self, file: u64, length: u64) -> io::Result<()> {
        let wanted = length.next_multiple_of(BLOCK);
        let has = self.content(file).room;
        if wanted <= has {
            return Ok(());
        }
        if self.quota.is_some_and(|quota| self.used() + (wanted - has) > quota) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content(file).room = wanted;
        Ok(())
    }

    /// The room that all files with a name have.
    pub(super) fn used(&self) -> u64 {
        let named = self.names.current.values().filter_map(|node| match node {
            Node::File(file) => self.files.get(file),
            Node::Folder => None,
        });
        named.map(|content| content.room).sum()
    }

    /// Writes as much as a write that does not end well leaves: some whole sectors from its beginning.
    pub(super) fn write_part(&mut self, file: u64, position: u64, bytes: &[u8]) {
        let sectors = (bytes.len() / SECTOR) as u64 + 1;
        let part = (self.random.below(sectors + 1) as usize * SECTOR).min(bytes.len());
        self.content(file).write(position, &bytes[..part]);
    }

    pub(super) fn new_slice(&mut self, file: u64, start: u64, end: u64) -> u64 {
        self.next_slice += 1;
        let number = self.next_slice;
        self.content(file).slices.insert(number, (start, end));
        number
    }

    pub(super) fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// Ends all handles. What a dead process left unsynced stays or goes.
    pub(super) fn crash(&mut self, power_dies: bool) {
        self.epoch += 1;
        self.plans.clear();
        (self.left, self.cut) = (None, false);
        if power_dies {
            self.names.crash(&mut self.random);
        }
        let mut named: Vec<u64> = Vec::new();
        for node in self.names.current.values().chain(self.names.durable.values()) {
            if let Node::File(file) = node {
                named.push(*file);
            }
        }
        named.sort_unstable();
        self.files.retain(|file, _| named.binary_search(file).is_ok());
        for content in self.files.values_mut() {
            if power_dies {
                content.power_dies(&mut self.random);
            } else {
                content.process_dies();
            }
        }
    }

    /// A number that stands for everything that a power cut would leave for sure.
    pub(super) fn durable_hash(&self) -> u64 {
        let mut hash = 0xCBF2_9CE4_8422_2325u64;
        let mut add =
            |number: u64| hash = (hash ^ number).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
        for (path, node) in &self.names.durable {
            add(u64::from(crc32fast::hash(path.as_os_str().as_encoded_bytes())));
            match node {
                Node::Folder => add(1),
                Node::File(file) => add(self.files.get(file).map_or(0, |c| u64::from(c.durable.sum())) << 1),
            }
        }
        hash
    }
}

pub(super) fn power_cut() -> io::Error {
    io::Error::other(PowerCut)
}
