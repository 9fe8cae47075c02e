//! Numbers that look random and are the same in every run (SplitMix64).

/// A row of numbers that its seed decides.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The row of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another row, for the part of the whole that has this number.
    #[must_use]
    pub fn of_part(&self, part: u64) -> Self {
        let mut row = Self(self.0 ^ Self(part).any());
        Self(row.any())
    }

    /// The next number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.any() as usize % end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_its_row_and_those_of_its_parts() {
        let row = |mut numbers: Numbers| [(); 4].map(|()| numbers.any());
        assert_eq!(row(Numbers::new(7)), row(Numbers::new(7)));
        assert_ne!(row(Numbers::new(7)), row(Numbers::new(8)));
        let part = |seed, part| row(Numbers::new(seed).of_part(part));
        assert_eq!(part(7, 1), part(7, 1));
        assert_ne!(part(7, 1), part(7, 2));
        assert_ne!(part(7, 1), part(8, 1));
    }
}
