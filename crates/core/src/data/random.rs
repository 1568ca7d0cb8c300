//! Streams of random numbers that never meet.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for; two purposes never share numbers, whatever their seeds' distance.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Order of a pass over all items.
    Shuffled,
    /// Order of classes and of their items.
    PerClass,
    /// Order of super classes, of their classes and of their items.
    Hierarchical,
    /// Order of classes, of their groups and of their items.
    CrossGroups,
    /// Order of a pass over given tuples.
    FixedTuples,
    /// Items of one class that go into a part.
    Split,
    /// Classes that are never trained on.
    Unseen,
    /// Items with false labels.
    Noise,
}

impl Purpose {
    /// Eight letters: as a number so large that no epoch, which takes this place in the keys of the augmentation,
    /// reaches it.
    fn word(self) -> u64 {
        u64::from_le_bytes(match self {
            Self::Shuffled => *b"shuffled",
            Self::PerClass => *b"perclass",
            Self::Hierarchical => *b"hierarch",
            Self::CrossGroups => *b"crossgrp",
            Self::FixedTuples => *b"fixtuple",
            Self::Split => *b"splitset",
            Self::Unseen => *b"unseenof",
            Self::Noise => *b"falselab",
        })
    }
}

/// The stream fixed by (seed, purpose, index). The words, little-endian and side by side, are the ChaCha key, so that
/// no two streams share a key, as they could if the words were hashed down to 64 bits.
pub(super) fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose.word(), index]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn every_part_of_the_key_changes_the_stream() {
        let first = |seed, purpose, index| stream(seed, purpose, index).next_u64();
        let streams = [
            first(0, Purpose::Shuffled, 0),
            first(1, Purpose::Shuffled, 0),
            first(0, Purpose::PerClass, 0),
            first(0, Purpose::Split, 0),
            first(0, Purpose::Unseen, 0),
            first(0, Purpose::Shuffled, 1),
        ];
        for (i, a) in streams.iter().enumerate() {
            assert_eq!(streams.iter().filter(|b| *b == a).count(), 1, "stream {i} repeats");
        }
        assert_eq!(first(3, Purpose::Split, 4), first(3, Purpose::Split, 4));
    }
}
