//! Whether the broker serves, stops in order, or has failed: one word that every thread can wait for.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::log::Fatal;

/// Where the broker is in its life. It only moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Partitions open; connections wait in the kernel, so that nobody is told of a topic that it does not exist.
    Starting,
    /// Requests are taken.
    Serving,
    /// No new requests; what was taken is answered.
    Stopping,
    /// A write or sync failed: nothing more is done.
    Failed,
}

/// The broker's life, shared by its threads.
#[derive(Debug)]
pub struct Life {
    phase: watch::Sender<Phase>,
    waits_for: Mutex<String>,
    fatal: Mutex<Option<Fatal>>,
}

impl Default for Life {
    fn default() -> Life {
        Life {
            phase: watch::Sender::new(Phase::Starting),
            waits_for: Mutex::new("the broker is starting".to_owned()),
            fatal: Mutex::new(None),
        }
    }
}

impl Life {
    /// Where it is.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Says what a start waits for, in one line for people.
    pub fn wait_for(&self, what: String) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// What a start waits for.
    pub fn waits_for(&self) -> String {
        self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything is open: takes requests from here on.
    pub fn serve(&self) {
        self.move_to(Phase::Serving);
    }

    /// Begins the orderly stop.
    pub fn stop(&self) {
        self.move_to(Phase::Stopping);
    }

    /// Ends everything. The first failure is logged and kept; others follow from it.
    pub fn fail(&self, fatal: Fatal) {
        {
            let mut first = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_none() {
                tracing::error!("{fatal}");
                *first = Some(fatal);
            }
        }
        self.move_to(Phase::Failed);
    }

    /// The failure, if there was one.
    pub fn take_failure(&self) -> Option<Fatal> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until `phase` or a later one is reached.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives as long as `self`, so the wait cannot end in an error.
        let _ = self.phase.subscribe().wait_for(|at| *at >= phase).await;
    }

    fn move_to(&self, phase: Phase) {
        self.phase.send_if_modified(|at| {
            let moves = *at < phase;
            *at = phase.max(*at);
            moves
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn it_only_moves_on_and_keeps_the_first_failure() {
        let life = Life::default();
        life.fail(Fatal::new("sync", "a", io::Error::other("first")));
        life.fail(Fatal::new("sync", "b", io::Error::other("second")));
        life.stop();
        assert_eq!(life.phase(), Phase::Failed);
        life.reached(Phase::Stopping).await;
        assert!(life.take_failure().is_some_and(|fatal| fatal.to_string().contains("first")));
    }
}
