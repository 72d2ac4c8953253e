//! Which partition a record goes to. Pure: randomness is given.
//!
//! Keys land where Kafka's Java client puts them, so that both can write to one topic.

/// Kafka's variant of MurmurHash2 (seed `0x9747b28c`, 32 bits, little-endian).
pub(crate) fn murmur2(bytes: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Kafka's length is an int; keys are far shorter than 2 GiB.
    let mut h = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ (k ^ (k >> 24)).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (place, &byte) in rest.iter().enumerate() {
            h ^= u32::from(byte) << (8 * place);
        }
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

/// The partition of a key among `count` partitions.
pub(crate) fn by_key(key: &[u8], count: i32) -> i32 {
    (murmur2(key) & i32::MAX) % count.max(1)
}

/// The partition of the records without a key: one until its batch is full, then another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sticky(i32);

impl Sticky {
    /// Begins with a random partition among `count`.
    pub(crate) fn new(count: i32, random: u64) -> Self {
        Sticky(below(count, random))
    }

    /// The current one among `count`, which may have grown.
    pub(crate) fn partition(self, count: i32) -> i32 {
        self.0.min(count.max(1) - 1)
    }

    /// Another one, where there is another.
    pub(crate) fn turn(&mut self, count: i32, random: u64) {
        if count > 1 {
            // One of the `count - 1` others, each as likely.
            self.0 = (self.0 + 1 + below(count - 1, random)) % count;
        }
    }
}

fn below(count: i32, random: u64) -> i32 {
    let count = u64::from(count.max(1).unsigned_abs());
    i32::try_from(random % count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_kafkas_published_values() {
        let published: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in published {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_key_stays_and_every_partition_is_used() {
        let mut used = [false; 12];
        for n in 0..500 {
            let key = format!("N{n}");
            let partition = by_key(key.as_bytes(), 12);
            assert_eq!(partition, by_key(key.as_bytes(), 12));
            used[usize::try_from(partition).unwrap()] = true;
        }
        assert_eq!(used, [true; 12]);
    }

    #[test]
    fn sticky_turns_to_each_other_partition_and_never_stays() {
        let mut seen = [0; 5];
        for random in 0..40 {
            let mut sticky = Sticky(2);
            sticky.turn(5, random);
            seen[usize::try_from(sticky.partition(5)).unwrap()] += 1;
        }
        assert_eq!(seen, [10, 10, 0, 10, 10]);
        let mut alone = Sticky::new(1, 77);
        alone.turn(1, 3);
        assert_eq!(alone.partition(1), 0);
    }
}
