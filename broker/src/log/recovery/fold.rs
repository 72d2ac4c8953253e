//! Folds the segments of a log in order, from its start to its end.

use std::path::Path;
use std::sync::Arc;

use super::survey::{First, Found};
use super::{OpenError, Pages, Tip};
use crate::ids::{Index, Term};
use crate::log::contents::{Contents, OtherEntry};
use crate::log::damage::Hole;
use crate::log::pages::From;
use crate::log::producers::ProducerFold;
use crate::log::scan::{ScanEnd, scan};
use crate::log::segment::{Active, Sealed, SegmentHeader};
use crate::log::writer::LogConfig;
use crate::log::{FRAME_HEADER_BYTES, FrameHeader, Fs, PartitionMeta, footer, paths};

/// What the segments so far add up to.
pub(super) struct Fold<'a> {
    fs: &'a dyn Fs,
    dir: &'a Path,
    meta: &'a PartitionMeta,
    config: LogConfig,
    partition_header: SegmentHeader,
    tip: Tip,
    producers: ProducerFold,
    pub(super) sealed: Vec<Arc<Sealed>>,
    pub(super) others: Vec<Vec<OtherEntry>>,
    pub(super) terms: Vec<(Index, Term)>,
    pub(super) holes: Vec<Hole>,
    pub(super) lost_end: bool,
    pub(super) verified: bool,
}

impl<'a> Fold<'a> {
    /// At the log's start.
    pub(super) fn new(
        fs: &'a dyn Fs,
        dir: &'a Path,
        partition_header: SegmentHeader,
        meta: &'a PartitionMeta,
        config: LogConfig,
    ) -> Fold<'a> {
        Fold {
            fs,
            dir,
            meta,
            config,
            partition_header,
            tip: Tip::before(&meta.start()),
            producers: footer::read(fs, dir, &partition_header)
                .map(|before| before.producers)
                .unwrap_or_default(),
            sealed: Vec::new(),
            others: Vec::new(),
            terms: Vec::new(),
            holes: Vec::new(),
            lost_end: false,
            verified: true,
        }
    }

    /// A segment that is not the newest: durable as a whole. `after` is the one behind it.
    pub(super) fn sealed(&mut self, found: &Found, after: &Found) -> Result<(), OpenError> {
        self.begin(found)?;
        let header = self.header(found);
        let end = match after.first {
            First::Frame(frame) => Some(frame),
            First::Zeros | First::Other => None,
        };
        let known = footer::read(self.fs, self.dir, &header).filter(|contents| {
            contents.base == self.tip && end.is_none_or(|frame| ends_before(&contents.tip, &frame))
        });
        let contents = match known {
            Some(contents) => contents,
            None => {
                let contents = self.scan_sealed(found, end)?;
                footer::write(self.fs, self.dir, &header, &contents);
                contents
            }
        };
        self.sealed.push(Arc::new(Sealed::new(header, &contents)));
        self.tip = contents.tip;
        self.terms.extend(contents.terms);
        self.holes.extend(contents.holes);
        self.others.push(contents.others);
        self.producers = contents.producers;
        Ok(())
    }

    fn scan_sealed(&mut self, found: &Found, end: Option<FrameHeader>) -> Result<Contents, OpenError> {
        let mut contents = Contents::empty(self.tip, std::mem::take(&mut self.producers));
        let mut pages = Pages::new(found.file.clone(), From::Disk).map_err(OpenError::io(&found.path))?;
        // Every entry before the next segment's first was durable.
        let durable = end.map_or(Index(self.meta.durable_index), |frame| frame.index.prev());
        let stop = end.map(|frame| frame.index);
        scan(&mut pages, &mut contents, durable, stop).map_err(OpenError::scan(&found.path))?;
        self.verified &= pages.verified();
        if let Some(frame) = end.filter(|frame| !ends_before(&contents.tip, frame)) {
            if contents.tip.index >= frame.index.prev() || !contents.tip.admits(&frame) {
                let why = format!("it ends with {:?}, the next segment begins with {frame:?}", contents.tip);
                return Err(OpenError::Order { path: found.path.clone(), why });
            }
            contents.skip_rest(&before(&contents.tip, &frame));
        }
        Ok(contents)
    }

    /// The newest segment with frames.
    pub(super) fn active(&mut self, found: &Found) -> Result<Active, OpenError> {
        self.begin(found)?;
        let io = |source| OpenError::Io { path: found.path.clone(), source };
        let durable = Index(self.meta.durable_index);
        let producers = std::mem::take(&mut self.producers);
        let mut pages = Pages::new(found.file.clone(), From::Disk).map_err(io)?;
        let mut contents = self
            .checkpoint(found, &mut pages)?
            .unwrap_or_else(|| Contents::empty(self.tip, producers.clone()));
        let end = scan(&mut pages, &mut contents, durable, None).map_err(OpenError::scan(&found.path))?;
        self.lost_end = end == ScanEnd::Lost;
        let next_header = pages.get(contents.end, FRAME_HEADER_BYTES).map_err(io)?;
        let zeros = next_header.iter().all(|&byte| byte == 0);
        self.verified &= pages.verified();
        let file = (found.sequence, found.path.clone(), found.file.clone());
        let mut active =
            Active::new(file, contents, producers, self.config.segment_bytes, found.length).map_err(io)?;
        active.indexed = self.fs.exists(&paths::index_path(self.dir, found.sequence)).map_err(io)?;
        if !zeros && !self.lost_end {
            active.zero_next_header().and_then(|()| found.file.sync()).map_err(io)?;
            active.synced(active.writes());
        }
        Ok(active)
    }

    /// What the `.idx` of the newest segment says, if it speaks only of frames that are durable and that are there.
    fn checkpoint(&self, found: &Found, pages: &mut Pages) -> Result<Option<Contents>, OpenError> {
        let known = footer::read(self.fs, self.dir, &self.header(found));
        let Some(contents) = known
            .filter(|contents| contents.base == self.tip && contents.tip.index.0 <= self.meta.durable_index)
        else {
            return Ok(None);
        };
        let Some(position) = contents.last_position else { return Ok(None) };
        let last = pages.get(position, FRAME_HEADER_BYTES).map_err(OpenError::io(&found.path))?;
        // By its chain value it is the same frame, and so are all before it: a cut removes the `.idx` file before it
        // overwrites anything, so none speaks of frames behind the end.
        let there = FrameHeader::parse(last).is_ok_and(|last| {
            Tip::of(&last) == contents.tip && position + last.frame_bytes() == contents.end
        });
        Ok(there.then_some(contents))
    }

    /// Goes on with a segment: what is missing before its first frame is a hole.
    fn begin(&mut self, found: &Found) -> Result<(), OpenError> {
        let First::Frame(frame) = found.first else { return Ok(()) };
        if self.tip.is_followed_by(&frame) {
            return Ok(());
        }
        let missing = frame.index > self.tip.index.next() && self.tip.admits(&frame);
        if !missing {
            // A first frame that does not follow is damaged or torn: the scan tells which.
            return Ok(());
        }
        let tip = before(&self.tip, &frame);
        self.holes.push(Hole {
            first_index: self.tip.index.next(),
            last_index: tip.index,
            first_offset: self.tip.next_offset,
            next_offset: tip.next_offset,
        });
        self.tip = tip;
        Ok(())
    }

    fn header(&self, found: &Found) -> SegmentHeader {
        SegmentHeader { sequence: found.sequence, ..self.partition_header }
    }
}

fn ends_before(tip: &Tip, frame: &FrameHeader) -> bool {
    tip.is_followed_by(frame)
}

/// What lies before `frame`, as far as it says, behind `tip`.
fn before(tip: &Tip, frame: &FrameHeader) -> Tip {
    Tip {
        index: frame.index.prev(),
        next_offset: frame.base_offset,
        chain: frame.prev,
        term: tip.term,
        append_time: tip.append_time,
    }
}
