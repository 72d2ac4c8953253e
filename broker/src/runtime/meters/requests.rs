//! Requests by method and outcome. An outcome is a number: 0 for success, else that of the reason (`docs/ERRORS.md`).

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::{Histogram, Reading};

/// Outcomes that are told apart; reasons have smaller numbers.
pub const OUTCOMES: usize = 128;

/// All went well.
pub const OK: usize = 0;

/// A failure without a reason: of the transport, or of a method that does not exist.
pub const OTHER: usize = OUTCOMES - 1;

/// How often each outcome came.
#[derive(Debug)]
pub struct Outcomes([AtomicU64; OUTCOMES]);

impl Default for Outcomes {
    fn default() -> Outcomes {
        Outcomes(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Outcomes {
    /// Counts one; an outcome that has no place counts as [`OTHER`].
    pub fn count(&self, outcome: usize) {
        self.0[outcome.min(OTHER)].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what was counted to `sums`.
    pub fn add_to(&self, sums: &mut [u64; OUTCOMES]) {
        sums.iter_mut().zip(&self.0).for_each(|(sum, count)| *sum += count.load(Ordering::Relaxed));
    }
}

/// Outcomes and durations of each method.
#[derive(Debug)]
pub struct Requests {
    methods: &'static [&'static str],
    counted: Box<[(Outcomes, Histogram)]>,
}

impl Requests {
    /// None yet of these methods.
    pub fn new(methods: &'static [&'static str]) -> Requests {
        Requests { methods, counted: methods.iter().map(|_| Default::default()).collect() }
    }

    /// Counts an answer to a method, by its place; `micros` is how long it took, where that says anything.
    pub fn count(&self, method: usize, outcome: usize, micros: Option<u64>) {
        let Some((outcomes, durations)) = self.counted.get(method) else { return };
        outcomes.count(outcome);
        if let Some(micros) = micros {
            durations.observe(micros);
        }
    }

    /// The methods, in order.
    pub fn methods(&self) -> &'static [&'static str] {
        self.methods
    }

    /// Adds what was counted of a method to `sums` and `durations`.
    pub fn add_to(&self, method: usize, sums: &mut [u64; OUTCOMES], durations: &mut Reading) {
        if let Some((outcomes, histogram)) = self.counted.get(method) {
            outcomes.add_to(sums);
            durations.add(&histogram.read());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_own_and_what_has_no_place_is_not_lost() {
        let requests = Requests::new(&["A", "B"]);
        requests.count(0, OK, Some(70));
        requests.count(1, 40, None);
        requests.count(1, OUTCOMES + 5, None);
        requests.count(2, OK, Some(1));
        let read = |method| {
            let (mut sums, mut durations) = ([0; OUTCOMES], Reading::default());
            requests.add_to(method, &mut sums, &mut durations);
            (sums[OK], sums[40], sums[OTHER], durations.count())
        };
        assert_eq!((read(0), read(1), read(2)), ((1, 0, 0, 1), (0, 1, 1, 0), (0, 0, 0, 0)));
    }
}
