//! Segments built anew from another replica's entries.

use super::*;
use crate::log::rig::{PARTITION, Rig, SMALL, Script, payload_at};
use crate::log::{Job, Round};

/// A log of several segments whose second one has a damaged entry; the entries, and the index of that one.
fn damaged(header: bool) -> (Rig, Vec<Entry>, Index) {
    let mut rig = Rig::new(SMALL);
    let entries = Script::start().batches(8);
    rig.append(&entries);
    rig.settle();
    let (place, frame) = rig.frames(2)[1];
    let at = if header { place + 30 } else { payload_at(place) + 65 };
    rig.damage(2, at, |bytes| bytes[0] ^= 4);
    rig.log.reader().read(frame.base_offset, Offset(24), usize::MAX, true).unwrap_err();
    (rig, entries, frame.index)
}

fn entry(entries: &[Entry], index: Index) -> Entry {
    entries.iter().find(|entry| entry.index == index).unwrap().clone()
}

#[test]
fn a_damaged_entry_is_replaced_by_another_replica_s_and_everything_is_served_again() {
    for header in [false, true] {
        let (mut rig, entries, index) = damaged(header);
        let last = entries.last().unwrap().index;
        assert_eq!(rig.log.damaged_segment(index), None, "what is not committed may still be cut");
        assert_eq!(rig.log.damaged_segment(last), Some(2));
        let reader = rig.log.reader();
        assert_eq!(reader.damaged_entries(2).unwrap(), [(index, index)]);
        let held = reader.read(Offset(0), Offset(9), usize::MAX, true).unwrap().batches;
        assert!(reader.rebuild(2, &[entry(&entries, index)]).unwrap());
        let install = Job::Install { partition: PARTITION, generation: 1, sequence: 2 };
        rig.disk.run(vec![Round { jobs: vec![install], ..Round::default() }]).unwrap();
        let (first, next) = rig.log.repaired(2).unwrap();
        assert!(first < next);
        assert_eq!(rig.log.damage(), []);
        assert_eq!(rig.offsets().len(), 8, "all of them");
        assert_eq!(rig.entries().len(), 8);
        assert_eq!(held.len(), 3, "who reads the old file keeps it");
        rig.mark();
        let recovered = rig.restart();
        assert_eq!((recovered.holes, recovered.damage), (vec![], vec![]));
        assert_eq!(rig.offsets().len(), 8);
    }
}

#[test]
fn entries_that_are_not_what_the_log_held_repair_nothing() {
    let (rig, entries, index) = damaged(false);
    let right = entry(&entries, index);
    let other = entry(&entries, index.next());
    let wrong = [
        vec![],
        vec![Entry { index, ..other.clone() }],
        vec![other],
        vec![Entry { term: crate::ids::Term(right.term.0 + 1), ..right.clone() }],
        vec![Entry { append_time: right.append_time + 1, ..right.clone() }],
        vec![Entry { payload: right.payload.slice(..right.payload.len() - 1), ..right.clone() }],
    ];
    let reader = rig.log.reader();
    for entries in wrong {
        assert!(!reader.rebuild(2, &entries).unwrap(), "{entries:?}");
        let names = rig.fs.list(&rig.folder()).unwrap();
        assert!(!names.iter().any(|name| paths::is_unfinished(name)), "{names:?}");
    }
    assert_eq!(reader.damaged_entries(2).unwrap(), [(index, index)], "it is as it was");
    assert!(matches!(reader.rebuild(99, &[]), Err(ReadError::Io(_))));
}
