//! The bytes of a file in sectors, most of them absent: a sector that was never written reads as zeros.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A disk writes a sector whole or not at all.
pub(super) const SECTOR: usize = 512;

/// The content of one sector.
pub(super) type Sector = Arc<[u8; SECTOR]>;

/// A file's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) sectors: BTreeMap<u64, Sector>,
    pub(super) length: u64,
}

impl Image {
    /// Reads up to the end; the number of bytes read.
    pub(super) fn read(&self, position: u64, buffer: &mut [u8]) -> usize {
        let length = self.length.saturating_sub(position).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..length];
        buffer.fill(0);
        let (first, last) = (position / SECTOR as u64, (position + length as u64).div_ceil(SECTOR as u64));
        for (number, sector) in self.sectors.range(first..last) {
            let start = number * SECTOR as u64;
            let from = position.max(start);
            let to = (position + length as u64).min(start + SECTOR as u64);
            if from < to {
                buffer[(from - position) as usize..(to - position) as usize]
                    .copy_from_slice(&sector[(from - start) as usize..(to - start) as usize]);
            }
        }
        length
    }

    /// Writes bytes; the sectors as they are after it, in order.
    pub(super) fn write(&mut self, position: u64, bytes: &[u8]) -> Vec<(u64, Sector)> {
        let mut touched = Vec::new();
        let (mut at, mut rest) = (position, bytes);
        while !rest.is_empty() {
            let (number, inside) = (at / SECTOR as u64, (at % SECTOR as u64) as usize);
            let step = rest.len().min(SECTOR - inside);
            let mut content = self.sectors.get(&number).map_or([0; SECTOR], |sector| **sector);
            content[inside..inside + step].copy_from_slice(&rest[..step]);
            let sector = Arc::new(content);
            self.sectors.insert(number, Arc::clone(&sector));
            touched.push((number, sector));
            (at, rest) = (at + step as u64, &rest[step..]);
        }
        self.length = self.length.max(position + bytes.len() as u64);
        touched
    }

    /// Cuts or extends. What is cut away reads as zeros when the file grows again.
    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            self.sectors.split_off(&length.div_ceil(SECTOR as u64));
            let inside = (length % SECTOR as u64) as usize;
            if let Some(last) = self.sectors.get_mut(&(length / SECTOR as u64)) {
                Arc::make_mut(last)[inside..].fill(0);
            }
        }
        self.length = length;
    }

    /// A number that stands for all bytes.
    pub(super) fn sum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.length.to_le_bytes());
        for (number, sector) in &self.sectors {
            if sector.iter().any(|byte| *byte != 0) {
                sum.update(&number.to_le_bytes());
                sum.update(&**sector);
            }
        }
        sum.finalize()
    }
}

/// A set of bytes' places: ranges that do not touch.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        while let Some((&from, &to)) = self.0.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            (start, end) = (start.min(from), end.max(to));
            self.0.remove(&from);
        }
        self.0.insert(start, end);
    }

    pub(super) fn contains(&self, start: u64, end: u64) -> bool {
        start >= end || self.0.range(..=start).next_back().is_some_and(|(_, to)| *to >= end)
    }

    pub(super) fn touches(&self, start: u64, end: u64) -> bool {
        start < end && self.0.range(..end).next_back().is_some_and(|(_, to)| *to > start)
    }

    /// Forgets all places from `start`.
    pub(super) fn cut(&mut self, start: u64) {
        self.0.split_off(&start);
        if let Some((_, end)) = self.0.iter_mut().next_back() {
            *end = (*end).min(start);
        }
    }

    /// The parts of the set that lie in a range.
    pub(super) fn within(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let first = self.0.range(..=start).next_back().map_or(start, |(from, _)| *from);
        let parts = self.0.range(first..end).map(|(from, to)| ((*from).max(start), (*to).min(end)));
        parts.filter(|(from, to)| from < to).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_file() {
        let (mut image, mut plain) = (Image::default(), Vec::new());
        for (position, length) in [(0, 3), (600, 1200), (511, 2), (5000, 1), (512, 512usize)] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7 + position + 1) as u8).collect();
            let sectors = image.write(position as u64, &bytes).len();
            assert_eq!(sectors, (position + length).div_ceil(SECTOR) - position / SECTOR);
            plain.resize(plain.len().max(position + length), 0);
            plain[position..position + length].copy_from_slice(&bytes);
            for (position, length) in [(0, 9000), (510, 4), (4999, 1), (4999, 50), (9000, 1)] {
                let mut buffer = vec![9; length];
                let read = image.read(position, &mut buffer);
                let expected = plain.get(position as usize..).unwrap_or_default();
                assert_eq!(buffer[..read], expected[..expected.len().min(length)]);
            }
        }
        image.set_length(700);
        image.set_length(2000);
        plain.truncate(700);
        plain.resize(2000, 0);
        let mut buffer = vec![9; 2000];
        assert_eq!(image.read(0, &mut buffer), 2000);
        assert_eq!(buffer, plain);
    }

    #[test]
    fn ranges_are_a_set() {
        let mut ranges = Ranges::default();
        let mut plain = [false; 64];
        for (start, end) in [(10, 20), (30, 40), (20, 25), (5, 5), (28, 31), (0, 2), (24, 29), (50, 60)] {
            ranges.insert(start, end);
            plain[start as usize..end as usize].fill(true);
            for from in 0..64 {
                for to in from..64 {
                    let part = &plain[from..to];
                    let (from, to) = (from as u64, to as u64);
                    assert_eq!(ranges.contains(from, to), part.iter().all(|there| *there), "{from}..{to}");
                    assert_eq!(ranges.touches(from, to), part.contains(&true), "{from}..{to}");
                    let within: u64 = ranges.within(from, to).iter().map(|(from, to)| to - from).sum();
                    assert_eq!(within, part.iter().filter(|there| **there).count() as u64);
                }
            }
        }
        ranges.cut(35);
        assert!(ranges.contains(10, 35) && !ranges.touches(35, 64));
    }
}
