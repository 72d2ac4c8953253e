//! Election timeouts, drawn from a seed.

use crate::limits::ELECTION_TICKS;

/// Election timeouts: another one each time that Raft begins to wait anew, so that replicas that once stood for election
/// together do not do so for ever.
pub(super) struct Draws {
    seed: u64,
    count: u64,
    /// What Raft had waited at the last look.
    elapsed: usize,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Draws {
        Draws { seed, count: 0, elapsed: 0 }
    }

    /// The timeout to wait for, in ticks, where Raft has waited `elapsed` of them.
    pub(super) fn timeout(&mut self, elapsed: usize) -> usize {
        if elapsed < self.elapsed {
            self.count += 1;
        }
        self.elapsed = elapsed;
        let draw = crc32fast::hash(&[self.seed.to_le_bytes(), self.count.to_le_bytes()].concat());
        ELECTION_TICKS + draw as usize % ELECTION_TICKS
    }
}
