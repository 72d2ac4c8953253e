//! A sealed segment: durable, never written again.

use std::path::Path;
use std::sync::Arc;

use super::{SegmentFacts, SegmentHeader};
use crate::log::contents::{Contents, Indexes};
use crate::log::pages::{From, Pages};
use crate::log::producers::ProducerFold;
use crate::log::scan::{ScanError, scan};
use crate::log::{File, Fs, Map, OpenMode, Tip, footer, paths};

/// What stays in memory of a sealed segment.
#[derive(Debug, Clone)]
pub(in crate::log) struct Sealed {
    /// Which file.
    pub(in crate::log) header: SegmentHeader,
    /// What retention needs to know.
    pub(in crate::log) facts: SegmentFacts,
    /// What lies before its first frame.
    pub(in crate::log) base: Tip,
    /// What its last frame leaves behind.
    pub(in crate::log) tip: Tip,
    /// Where its frames end.
    pub(in crate::log) end: u64,
}

/// A sealed segment with its file open, mapped, and its indexes at hand.
pub(in crate::log) struct Loaded {
    pub(in crate::log) file: Arc<dyn File>,
    pub(in crate::log) map: Arc<dyn Map>,
    pub(in crate::log) indexes: Arc<Indexes>,
}

impl Sealed {
    /// A segment whose frames are `contents`, all durable.
    pub(in crate::log) fn new(header: SegmentHeader, contents: &Contents) -> Sealed {
        Sealed {
            header,
            facts: SegmentFacts::of(header.sequence, contents, true),
            base: contents.base,
            tip: contents.tip,
            end: contents.end,
        }
    }

    /// Opens and maps the file, with the indexes of its `.idx`, or of a scan where that is not to be believed.
    pub(in crate::log) fn load(&self, fs: &dyn Fs, dir: &Path) -> Result<Loaded, ScanError> {
        let file = fs.open(&paths::segment_path(dir, self.header.sequence), OpenMode::Read)?;
        let map = file.map(self.end)?;
        let indexes = match self.footer(fs, dir) {
            Some(contents) => contents.indexes,
            None => {
                let mut contents = Contents::empty(self.base, ProducerFold::default());
                let mut pages = Pages::new(file.clone(), From::Cache)?;
                scan(&mut pages, &mut contents, self.tip.index, Some(self.tip.index.next()))?;
                contents.indexes
            }
        };
        Ok(Loaded { file, map, indexes })
    }

    /// The segment's `.idx`, if it is one of exactly these frames.
    pub(in crate::log) fn footer(&self, fs: &dyn Fs, dir: &Path) -> Option<Contents> {
        footer::read(fs, dir, &self.header)
            .filter(|contents| (contents.base, contents.tip, contents.end) == (self.base, self.tip, self.end))
    }
}
