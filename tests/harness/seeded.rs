//! Random numbers from a seed: the same on every machine and in every version.

/// A stream of numbers (SplitMix64). Streams with a name of their own do not shift each other.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// A stream of its own, for one purpose.
    pub fn stream(seed: u64, name: &str) -> Seeded {
        Seeded(seed ^ (u64::from(crc32fast::hash(name.as_bytes())) << 32 | name.len() as u64))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// True `times` out of `of`.
    pub fn chance(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }
}

#[test]
fn a_seed_says_it_all() {
    let mut one = Seeded::new(7);
    assert_eq!([one.draw(), one.draw()], [0x63CB_E1E4_5932_0DD7, 0x044C_3CD7_F43C_661C]);
    let mut disk = Seeded::stream(7, "disk");
    assert_ne!(disk.draw(), Seeded::stream(7, "net").draw());
    assert_eq!(disk.below(0), 0);
    assert!((0..1000).filter(|_| disk.chance(1, 4)).count().abs_diff(250) < 60);
}
