//! Batches of given pairs, triplets or quadruplets.

use super::{
    DataError,
    random::{Purpose, stream},
};
use rand::seq::SliceRandom;

/// Batches of given tuples of N items each (pairs, triplets, quadruplets), every tuple once a pass in a new order.
///
/// The items of tuple `k` of a batch stand at its places `N k` to `N k + N - 1`; an item of several tuples comes
/// several times. Tuples that fill no batch are left out of a pass, as [`super::Shuffled`] does.
#[derive(Clone, Debug)]
pub struct FixedTuples<const N: usize> {
    tuples: Vec<[usize; N]>,
    per_batch: usize,
    seed: u64,
}

impl<const N: usize> FixedTuples<N> {
    /// Batches of `per_batch` of the `tuples`, which index data of `items` items.
    ///
    /// # Errors
    /// When an index is no item, or there are fewer tuples than a batch takes, or it takes none.
    pub fn new(tuples: Vec<[usize; N]>, items: usize, per_batch: usize, seed: u64) -> Result<Self, DataError> {
        if per_batch == 0 {
            return Err(DataError::Setting { what: "the tuples of a batch", range: "at least 1", value: 0.0 });
        }
        if let Some(item) = tuples.iter().flatten().find(|item| **item >= items) {
            let (what, range) = ("an item of a tuple", "below the number of items");
            return Err(DataError::Setting { what, range, value: *item as f64 });
        }
        if per_batch > tuples.len() {
            return Err(DataError::BatchTooLarge { batch: per_batch * N, images: tuples.len() * N });
        }
        Ok(Self { tuples, per_batch, seed })
    }

    /// Batches of one pass.
    pub fn batches(&self) -> usize {
        self.tuples.len() / self.per_batch
    }

    /// The batches of one pass.
    pub fn epoch(&self, pass: u64) -> impl Iterator<Item = Vec<usize>> + use<N> {
        let mut tuples = self.tuples.clone();
        tuples.shuffle(&mut stream(self.seed, Purpose::FixedTuples, pass));
        let per_batch = self.per_batch;
        (0..self.batches()).map(move |b| tuples[b * per_batch..(b + 1) * per_batch].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn a_pass_visits_each_triplet_once(count in 1usize..60, per_batch in 1usize..12, seed in any::<u64>()) {
            prop_assume!(per_batch <= count);
            let triplets: Vec<[usize; 3]> = (0..count).map(|i| [i, (i + 1) % 60, (i * 7) % 60]).collect();
            let sampler = FixedTuples::new(triplets.clone(), 60, per_batch, seed).unwrap();
            let batches: Vec<Vec<usize>> = sampler.epoch(0).collect();
            prop_assert_eq!(batches.len(), count / per_batch);
            prop_assert!(batches.iter().all(|batch| batch.len() == 3 * per_batch));
            let all = batches.concat();
            let seen: HashSet<&[usize]> = all.chunks(3).collect();
            prop_assert_eq!(seen.len(), count / per_batch * per_batch);
            prop_assert!(seen.iter().all(|t| triplets.iter().any(|given| given == t)));
            prop_assert_eq!(&batches, &sampler.epoch(0).collect::<Vec<_>>());
        }
    }

    #[test]
    fn passes_differ() {
        let pairs: Vec<[usize; 2]> = (0..50).map(|i| [i, i + 1]).collect();
        let sampler = FixedTuples::new(pairs, 51, 10, 4).unwrap();
        assert_ne!(sampler.epoch(0).next(), sampler.epoch(1).next());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let new = |per_batch, items| FixedTuples::new(vec![[0, 1], [1, 5]], items, per_batch, 0).unwrap_err();
        assert!(new(1, 5).to_string().contains("below the number of items, got 5"));
        assert!(matches!(new(0, 6), DataError::Setting { .. }));
        assert!(matches!(new(3, 6), DataError::BatchTooLarge { batch: 6, images: 4 }));
    }
}
