//! The random numbers of one view of one image.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A private stream of random numbers, fixed by (seed, epoch, image index, view).
///
/// The four words, little-endian and side by side, are the 256-bit ChaCha key. The key is therefore different for every
/// different quadruple: two streams never share a key, as they could if the words were hashed down to 64 bits.
/// Only whole words of the generator are used, so the numbers do not depend on how a library samples distributions.
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    pub(super) fn new(seed: u64, epoch: u64, index: u64, view: u64) -> Self {
        let mut key = [0u8; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, epoch, index, view]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform on `[0, 1)`, all 53 bits.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform between `low` and `high`.
    pub(super) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with the given probability; never at 0, always at 1.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < f64::from(probability)
    }

    /// Uniform on `0..count` for a positive `count`. The multiply-shift is biased by less than `count / 2^64`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_key_changes_the_stream() {
        let first = |seed, epoch, index, view| Draws::new(seed, epoch, index, view).unit();
        let streams = [first(0, 0, 0, 0), first(1, 0, 0, 0), first(0, 1, 0, 0), first(0, 0, 1, 0), first(0, 0, 0, 1)];
        for (i, a) in streams.iter().enumerate() {
            assert_eq!(streams.iter().filter(|b| *b == a).count(), 1, "stream {i} repeats");
        }
        assert_eq!(first(3, 1, 4, 1).to_bits(), first(3, 1, 4, 1).to_bits());
    }

    #[test]
    fn numbers_stay_in_range_and_are_uniform() {
        let mut draws = Draws::new(7, 0, 0, 0);
        let mut counts = [0usize; 5];
        let mut total = 0.0;
        for _ in 0..10_000 {
            counts[draws.below(5)] += 1;
            let value = draws.uniform(2.0, 4.0);
            assert!((2.0..=4.0).contains(&value));
            total += value;
        }
        assert!((total / 10_000.0 - 3.0).abs() < 0.03);
        assert!(counts.iter().all(|&count| (1_800..2_200).contains(&count)), "{counts:?}");
    }

    #[test]
    fn chance_is_exact_at_its_ends() {
        let mut draws = Draws::new(0, 0, 0, 0);
        assert!((0..1_000).all(|_| draws.chance(1.0)));
        assert!((0..1_000).all(|_| !draws.chance(0.0)));
        assert_eq!(draws.below(1), 0);
    }
}
