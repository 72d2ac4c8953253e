//! The results of a stream's batches to one partition, in the order in which the batches came.
//!
//! A batch can be refused while the ones before it are still on their way to the disk; its result waits for theirs.

use std::collections::VecDeque;

/// One batch whose result has not been handed out.
#[derive(Debug)]
struct Expected<T> {
    sequence: u64,
    bytes: u64,
    result: Option<T>,
}

/// The results of one partition, by the sequence of the stream.
#[derive(Debug)]
pub struct InOrder<T> {
    queue: VecDeque<Expected<T>>,
}

impl<T> Default for InOrder<T> {
    fn default() -> InOrder<T> {
        InOrder { queue: VecDeque::new() }
    }
}

impl<T> InOrder<T> {
    /// A batch of `bytes` has come. Sequences rise.
    pub fn expect(&mut self, sequence: u64, bytes: u64) {
        self.queue.push_back(Expected { sequence, bytes, result: None });
    }

    /// The result of a batch: its bytes, to give back; `None` where no such batch is expected.
    pub fn set(&mut self, sequence: u64, result: T) -> Option<u64> {
        let at = self.queue.partition_point(|expected| expected.sequence < sequence);
        let expected = self.queue.get_mut(at).filter(|expected| expected.sequence == sequence)?;
        if expected.result.replace(result).is_some() {
            return None;
        }
        Some(expected.bytes)
    }

    /// The next result, if the oldest batch has one.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let result = self.queue.front_mut()?.result.take()?;
        self.queue.pop_front().map(|expected| (expected.sequence, result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_result_waits_for_those_before() {
        let mut results = InOrder::default();
        for sequence in [1, 4, 9] {
            results.expect(sequence, sequence * 10);
        }
        assert_eq!(results.set(9, "third"), Some(90));
        assert_eq!(results.set(4, "second"), Some(40));
        assert_eq!(results.pop(), None);
        assert_eq!(results.set(1, "first"), Some(10));
        assert_eq!(results.pop(), Some((1, "first")));
        assert_eq!(results.pop(), Some((4, "second")));
        assert_eq!(results.pop(), Some((9, "third")));
        assert_eq!(results.pop(), None);
    }

    #[test]
    fn what_is_not_expected_is_ignored() {
        let mut results = InOrder::default();
        results.expect(5, 1);
        assert_eq!(results.set(4, ()), None);
        assert_eq!(results.set(6, ()), None);
        assert_eq!(results.set(5, ()), Some(1));
        assert_eq!(results.set(5, ()), None);
    }
}
