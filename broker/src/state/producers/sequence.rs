//! Arithmetic of sequences: 0 to `i32::MAX`, around and around.

const ROUND: i64 = 1 << 31;

/// The sequence that follows `count` records from `first`.
pub(super) fn after(first: i32, count: u32) -> i32 {
    let next = (i64::from(first) + i64::from(count)).rem_euclid(ROUND);
    i32::try_from(next).unwrap_or(0)
}

/// Whether `a` lies before `b`, on the shorter way around.
pub(super) fn is_before(a: i32, b: i32) -> bool {
    let ahead = (i64::from(b) - i64::from(a)).rem_euclid(ROUND);
    ahead != 0 && ahead < ROUND / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_follows_the_largest() {
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 2, 5), 2);
        assert_eq!(after(0, 3), 3);
    }

    #[test]
    fn before_is_the_shorter_way_around() {
        assert!(is_before(3, 4) && !is_before(4, 3) && !is_before(4, 4));
        assert!(is_before(i32::MAX, 0) && !is_before(0, i32::MAX));
        assert!(is_before(i32::MAX - 10, 10) && !is_before(10, i32::MAX - 10));
    }
}
