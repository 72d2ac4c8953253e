//! Something asked for beside a task's loop: one question at a time, not too often. Pure: time is given.

use std::time::Instant;

use crate::config::BACKOFF_MAX;
use crate::retry;

/// A question that is asked again and again while there is need.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    /// There is need.
    pub(crate) wanted: bool,
    running: bool,
    not_before: Option<Instant>,
    round: u32,
}

impl Ask {
    /// Whether to ask now; `at_once` does not wait for the distance to the last question.
    pub(crate) fn begin(&mut self, now: Instant, at_once: bool) -> bool {
        let may = self.wanted && !self.running && (at_once || self.not_before.is_none_or(|at| at <= now));
        if may {
            if self.not_before.is_some_and(|at| now.saturating_duration_since(at) >= BACKOFF_MAX) {
                self.round = 0;
            }
            self.running = true;
            self.wanted = false;
        }
        may
    }

    /// There is need, unless the answer under way may meet it: for needs that are looked at again after it.
    pub(crate) fn want_next(&mut self, need: bool) {
        self.wanted |= need && !self.running;
    }

    /// The answer is here, or there is none.
    pub(crate) fn ended(&mut self, now: Instant, jitter: u64) {
        self.running = false;
        self.not_before = Some(now + retry::backoff(self.round, jitter));
        self.round = self.round.saturating_add(1);
    }

    /// The answer brought news: what was asked for in vain is over, and the next need is another one.
    pub(crate) fn news(&mut self, now: Instant, jitter: u64) {
        self.round = 0;
        let soon = now + retry::backoff(0, jitter);
        self.not_before = self.not_before.map(|at| at.min(soon));
    }

    /// When the next question may be asked, if there is need.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.wanted && !self.running)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn questions_keep_a_growing_distance_until_there_is_calm() {
        let mut now = crate::clock::now();
        let mut ask = Ask { wanted: true, ..Ask::default() };
        let mut distances = Vec::new();
        for _ in 0..4 {
            assert!(ask.begin(now, false));
            ask.wanted = true;
            assert!(!ask.begin(now, true), "one at a time");
            ask.ended(now, 0);
            assert!(!ask.begin(now, false), "not at once");
            let at = ask.wake_at().unwrap();
            distances.push(at - now);
            now = at;
        }
        assert!(distances.is_sorted_by(|a, b| a < b), "{distances:?}");
        now += BACKOFF_MAX;
        assert!(ask.begin(now, false));
        ask.ended(now, 0);
        ask.wanted = true;
        assert_eq!(ask.wake_at().unwrap() - now, distances[0]);
        assert!(distances[0] > Duration::ZERO);
    }

    #[test]
    fn after_news_the_next_question_may_come_soon() {
        let now = crate::clock::now();
        let mut ask = Ask { wanted: true, ..Ask::default() };
        for _ in 0..9 {
            assert!(ask.begin(now, true));
            ask.wanted = true;
            ask.ended(now, 0);
        }
        let patient = ask.wake_at().unwrap() - now;
        ask.news(now, 0);
        let soon = ask.wake_at().unwrap() - now;
        assert!(soon > Duration::ZERO && soon * 8 < patient, "{soon:?}, {patient:?}");
    }
}
