//! Which of the things that were not synced a power cut keeps.

use crate::seeded::Seeded;

/// One cut's way of choosing, so that pure loss, a clean prefix and wild reordering all happen often.
pub(super) enum Keep {
    None,
    All,
    /// What came first, up to a number.
    First(u64),
    /// Each by itself, so many times out of 8.
    Some(u64),
}

impl Keep {
    pub(super) fn draw(random: &mut Seeded) -> Keep {
        match random.below(8) {
            0 | 1 => Keep::None,
            2 => Keep::All,
            3 => Keep::First(random.below(16)),
            _ => Keep::Some(1 + random.below(7)),
        }
    }

    /// Whether the next one is kept.
    pub(super) fn next(&mut self, random: &mut Seeded) -> bool {
        match self {
            Keep::None => false,
            Keep::All => true,
            Keep::First(left) => {
                let kept = *left > 0;
                *left = left.saturating_sub(1);
                kept
            }
            Keep::Some(times) => random.chance(*times, 8),
        }
    }
}
