//! Where reading one partition stands. Pure.
//!
//! Three offsets, never falling without a seek: what was handed out ≤ what arrived ≤ where to stop. Reading goes on
//! at the last offset of a batch + 1, so gaps between batches and inside them are accepted.

use caudal_proto::batch::Header;

/// Where reading one partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    position: i64,
    fetch_from: i64,
    stop: Option<i64>,
}

/// The records of a batch to hand out: from the first offset to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Cursor {
    /// Begins at `offset`, and ends before `stop` if there is one.
    pub(crate) fn new(offset: i64, stop: Option<i64>) -> Self {
        Cursor { position: offset, fetch_from: offset, stop }
    }

    /// The offset the next record handed out will have, at least.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The offset to fetch from.
    pub(crate) fn fetch_from(&self) -> i64 {
        self.fetch_from
    }

    /// A batch came. Returns whether it holds anything new.
    pub(crate) fn arrived(&mut self, batch: &Header) -> bool {
        let next = after(batch);
        let news = next > self.fetch_from && batch.base_offset < self.end() && !self.has_all();
        self.fetch_from = self.fetch_from.max(next);
        news
    }

    /// A batch that arrived is handed out.
    pub(crate) fn hand_out(&mut self, batch: &Header) -> Window {
        let window = Window { from: self.position, to: self.end() };
        self.position = after(batch).min(self.end()).max(self.position);
        window
    }

    /// Goes on at `offset`: what arrived is to be dropped.
    pub(crate) fn seek(&mut self, offset: i64) {
        self.position = offset;
        self.fetch_from = offset;
    }

    /// Fetching goes on at `offset`: what lies between is not there any more.
    pub(crate) fn jump(&mut self, offset: i64) {
        if self.position == self.fetch_from {
            self.position = offset;
        }
        self.fetch_from = offset;
    }

    /// Everything up to the stop has arrived: nothing more is to be fetched.
    pub(crate) fn has_all(&self) -> bool {
        self.stop.is_some_and(|stop| self.fetch_from >= stop)
    }

    /// Everything up to the stop was handed out.
    pub(crate) fn is_finished(&self) -> bool {
        self.stop.is_some_and(|stop| self.position >= stop)
    }

    fn end(&self) -> i64 {
        self.stop.unwrap_or(i64::MAX)
    }
}

/// The offset after a batch.
fn after(batch: &Header) -> i64 {
    batch.last_offset().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use caudal_proto::batch::{Builder, Codec, stamp};

    use super::*;

    fn batch(base: i64, count: usize) -> Header {
        let mut builder = Builder::new();
        for _ in 0..count {
            builder.push(0, None, None, []).unwrap();
        }
        let mut bytes = builder.finish(Codec::None, None).unwrap().to_vec();
        stamp(&mut bytes, base, 1);
        Header::parse(&bytes).unwrap()
    }

    #[test]
    fn a_batch_that_begins_before_is_cut_and_gaps_are_accepted() {
        let mut cursor = Cursor::new(5, None);
        assert!(!cursor.arrived(&batch(0, 5)), "all of it lies before");
        assert!(cursor.arrived(&batch(3, 4)));
        assert_eq!(cursor.fetch_from(), 7);
        assert!(cursor.arrived(&batch(100, 2)));
        assert_eq!(cursor.fetch_from(), 102);
        assert!(!cursor.arrived(&batch(100, 2)), "twice");

        assert_eq!(cursor.hand_out(&batch(3, 4)), Window { from: 5, to: i64::MAX });
        assert_eq!(cursor.position(), 7);
        assert_eq!(cursor.hand_out(&batch(100, 2)), Window { from: 7, to: i64::MAX });
        assert_eq!(cursor.position(), 102);
    }

    #[test]
    fn it_stops_inside_a_batch_and_beyond_a_gap() {
        let mut cursor = Cursor::new(0, Some(3));
        assert!(cursor.arrived(&batch(0, 5)));
        assert!(cursor.has_all() && !cursor.is_finished());
        assert_eq!(cursor.hand_out(&batch(0, 5)), Window { from: 0, to: 3 });
        assert!(cursor.is_finished());
        assert_eq!(cursor.position(), 3);

        let mut cursor = Cursor::new(0, Some(3));
        assert!(!cursor.arrived(&batch(10, 1)), "the first batch lies beyond the stop");
        assert!(cursor.has_all());
    }

    #[test]
    fn a_stop_at_the_start_is_finished_at_once() {
        assert!(Cursor::new(4, Some(4)).is_finished());
        assert!(Cursor::new(9, Some(4)).is_finished());
        assert!(!Cursor::new(i64::MAX, None).is_finished());
    }

    #[test]
    fn a_jump_keeps_what_arrived() {
        let mut cursor = Cursor::new(0, None);
        cursor.jump(50);
        assert_eq!((cursor.position(), cursor.fetch_from()), (50, 50));
        cursor.arrived(&batch(50, 10));
        cursor.jump(90);
        assert_eq!((cursor.position(), cursor.fetch_from()), (50, 90));
    }

    #[test]
    fn a_seek_forgets_what_arrived() {
        let mut cursor = Cursor::new(0, None);
        cursor.arrived(&batch(0, 10));
        cursor.seek(4);
        assert!(cursor.arrived(&batch(0, 10)));
        assert_eq!(cursor.hand_out(&batch(0, 10)).from, 4);
    }
}
