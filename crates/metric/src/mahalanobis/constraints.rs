//! Pairs of rows drawn from labels.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::MahalanobisError;

/// Pairs of rows, and which of them belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabeledPairs {
    /// Indices of the two rows of each pair.
    pub pairs: Vec<(usize, usize)>,
    /// Whether the rows of each pair belong together; as long as [`LabeledPairs::pairs`].
    pub same: Vec<bool>,
}

/// `count` same-class pairs, then `count` different-class pairs; all there are when there are fewer. Every pair of
/// distinct rows is drawn with equal chance, none twice, and no row is paired with itself.
pub(super) fn pairs_from_labels(labels: &[usize], count: usize, seed: u64) -> Result<LabeledPairs, MahalanobisError> {
    let classes = Classes::new(labels);
    let (same_total, different_total) = (classes.same_total(), classes.different_total());
    if different_total == 0 {
        return Err(match labels.first() {
            Some(&class) => MahalanobisError::OneClass { class },
            None => MahalanobisError::TooFewRows { got: 0, needed: 2 },
        });
    }
    if same_total == 0 {
        return Err(MahalanobisError::MissingPairs { kind: "same-class" });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let same_count = count.min(same_total);
    let mut pairs: Vec<(usize, usize)> =
        sample(&mut rng, same_total, same_count).into_iter().map(|r| classes.same_pair(r)).collect();
    let different = sample(&mut rng, different_total, count.min(different_total));
    pairs.extend(different.into_iter().map(|r| classes.different_pair(r)));
    let same = (0..pairs.len()).map(|i| i < same_count).collect();
    Ok(LabeledPairs { pairs, same })
}

/// Pair number `r` of the pairs `(a, b)` with `a < b`, ordered by `b`, then `a`.
pub(super) fn triangular_pair(r: usize) -> (usize, usize) {
    let mut b = (0.5 + (0.25 + 2.0 * r as f64).sqrt()) as usize; // root of b (b - 1) / 2 = r, to rounding
    while b * (b - 1) / 2 > r {
        b -= 1;
    }
    while b * (b + 1) / 2 <= r {
        b += 1;
    }
    (r - b * (b - 1) / 2, b)
}

/// Row indices grouped by class.
struct Classes {
    order: Vec<usize>,
    /// First place of each class in `order`, then its length.
    starts: Vec<usize>,
}

impl Classes {
    fn new(labels: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&i| (labels[i], i));
        let mut starts: Vec<usize> =
            (0..order.len()).filter(|&p| p == 0 || labels[order[p - 1]] != labels[order[p]]).collect();
        starts.push(order.len());
        Self { order, starts }
    }

    /// First place and size of each class.
    fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        self.starts.windows(2).map(|w| (w[0], w[1] - w[0]))
    }

    fn same_total(&self) -> usize {
        self.spans().map(|(_, size)| size * size.saturating_sub(1) / 2).sum()
    }

    /// Pairs of a row with a row of a later class.
    fn different_total(&self) -> usize {
        self.spans().map(|(start, size)| size * (self.order.len() - start - size)).sum()
    }

    fn same_pair(&self, mut r: usize) -> (usize, usize) {
        for (start, size) in self.spans() {
            let here = size * (size - 1) / 2;
            if r < here {
                let (a, b) = triangular_pair(r);
                return (self.order[start + a], self.order[start + b]);
            }
            r -= here;
        }
        unreachable!("the number was drawn below the total")
    }

    fn different_pair(&self, mut r: usize) -> (usize, usize) {
        for (start, size) in self.spans() {
            let later = self.order.len() - start - size;
            if r < size * later {
                return (self.order[start + r / later], self.order[start + size + r % later]);
            }
            r -= size * later;
        }
        unreachable!("the number was drawn below the total")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn triangular_numbers_count_every_pair_once() {
        let pairs: BTreeSet<_> = (0..45).map(triangular_pair).collect();
        assert_eq!(pairs.len(), 45);
        assert!(pairs.iter().all(|&(a, b)| a < b && b < 10));
        let large = 3_000_000_000usize; // beyond the exact range of a naive root
        let (a, b) = triangular_pair(large * (large - 1) / 2 + 7);
        assert_eq!((a, b), (7, large));
    }

    #[test]
    fn a_large_enough_count_gives_every_pair_once() {
        let labels = [4, 9, 4, 9, 4, 1];
        let LabeledPairs { pairs, same } = pairs_from_labels(&labels, 100, 0).unwrap();
        let unordered: BTreeSet<_> = pairs.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect();
        assert_eq!((unordered.len(), pairs.len()), (15, 15));
        for (&(a, b), same) in pairs.iter().zip(same) {
            assert_eq!(labels[a] == labels[b], same);
        }
    }

    #[test]
    fn draws_as_many_of_each_kind_and_repeats_with_the_seed() {
        let labels: Vec<usize> = (0..60).map(|i| i % 4).collect();
        let LabeledPairs { pairs, same } = pairs_from_labels(&labels, 20, 3).unwrap();
        assert_eq!((pairs.len(), same.iter().filter(|&&s| s).count()), (40, 20));
        assert!(pairs.iter().zip(&same).all(|(&(a, b), &s)| a != b && (labels[a] == labels[b]) == s));
        assert_eq!(pairs, pairs_from_labels(&labels, 20, 3).unwrap().pairs);
        assert_ne!(pairs, pairs_from_labels(&labels, 20, 4).unwrap().pairs);
    }

    #[test]
    fn says_when_a_kind_does_not_exist() {
        assert_eq!(pairs_from_labels(&[3, 3], 5, 0).unwrap_err(), MahalanobisError::OneClass { class: 3 });
        let error = pairs_from_labels(&[0, 1, 2], 5, 0).unwrap_err();
        assert_eq!(error, MahalanobisError::MissingPairs { kind: "same-class" });
    }
}
