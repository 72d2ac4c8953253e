//! Waiting for partitions: a long poll or a stream waits for any of several, without a lost wake-up.
//!
//! A waiter registers, looks at the partition *again*, and only then sleeps. The publisher writes the new state and
//! only then looks for waiters. Both sides are sequentially consistent, so at least one of them sees the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// One who waits for partitions, which it numbers itself.
#[derive(Debug, Default)]
pub struct Watcher {
    woken: Notify,
    hits: Mutex<Vec<u32>>,
}

impl Watcher {
    /// A watcher of nothing yet.
    pub fn new() -> Arc<Watcher> {
        Arc::default()
    }

    /// Waits until a watched partition has changed since the last wait ended.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Moves the numbers of the partitions that changed into `hits`.
    pub fn take(&self, hits: &mut Vec<u32>) {
        hits.append(&mut self.hits.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn hit(&self, number: u32) {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        self.woken.notify_one();
    }
}

/// The watchers of one partition on one shard. Each is woken once and then forgotten.
#[derive(Debug, Default)]
pub struct Watchers {
    count: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    waiting: BTreeMap<u64, (Arc<Watcher>, u32)>,
}

impl Watchers {
    /// Adds a watcher; the key takes it away again. Look at the partition after this, and before waiting.
    pub fn add(&self, watcher: &Arc<Watcher>, number: u32) -> u64 {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let key = list.next;
        list.next += 1;
        list.waiting.insert(key, (Arc::clone(watcher), number));
        self.count.store(list.waiting.len(), Ordering::SeqCst);
        key
    }

    /// Takes a watcher away, if it has not been woken.
    pub fn remove(&self, key: u64) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.waiting.remove(&key);
        self.count.store(list.waiting.len(), Ordering::SeqCst);
    }

    /// Whether nobody waits. Only after the change that is waited for has been stored.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Wakes everybody.
    pub fn wake(&self) {
        let waiting = {
            let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            self.count.store(0, Ordering::SeqCst);
            std::mem::take(&mut list.waiting)
        };
        for (watcher, number) in waiting.into_values() {
            watcher.hit(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_lost() {
        let (watchers, watcher) = (Watchers::default(), Watcher::new());
        watchers.add(&watcher, 7);
        watchers.wake();
        watcher.woken().await;
        let mut hits = Vec::new();
        watcher.take(&mut hits);
        assert_eq!(hits, [7]);
        assert!(watchers.is_empty());
    }

    #[test]
    fn a_removed_watcher_leaves_nothing_behind() {
        let (watchers, watcher) = (Watchers::default(), Watcher::new());
        let first = watchers.add(&watcher, 1);
        watchers.add(&watcher, 2);
        watchers.remove(first);
        watchers.wake();
        watchers.remove(first);
        let mut hits = Vec::new();
        watcher.take(&mut hits);
        assert_eq!(hits, [2]);
        assert_eq!(Arc::strong_count(&watcher), 1);
    }
}
