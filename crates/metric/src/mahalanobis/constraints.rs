//! Weak supervision drawn from class labels.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::MahalanobisError;
use crate::weak::{Chunks, Pairs, Quadruplets};

/// The pairs that learners draw from class labels: `count` same-class pairs, then `count` different-class pairs; all
/// there are when there are fewer. Every pair of distinct rows is drawn with equal chance, none twice, and no row is
/// paired with itself. `None` draws `20 C^2` of each kind for `C` classes, the default of metric-learn and of ITML's
/// paper.
///
/// # Errors
/// When `count` is 0, on fewer than two classes, and when no class has two rows.
pub fn pairs_from_labels(labels: &[usize], count: Option<usize>, seed: u64) -> Result<Pairs, MahalanobisError> {
    if count == Some(0) {
        return Err(MahalanobisError::setting("constraints", 0, "at least 1"));
    }
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
    let count = count.unwrap_or(20 * classes.count() * classes.count());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let same_count = count.min(same_total);
    let mut pairs: Vec<[usize; 2]> =
        sample(&mut rng, same_total, same_count).into_iter().map(|r| classes.same_pair(r)).collect();
    let different = sample(&mut rng, different_total, count.min(different_total));
    pairs.extend(different.into_iter().map(|r| classes.different_pair(r)));
    let same = (0..pairs.len()).map(|i| i < same_count).collect();
    Ok(Pairs { pairs, same })
}

/// Quadruplets from class labels: the two rows of a same-class pair, then the two of a different-class pair. Pairs are
/// those of [`pairs_from_labels`]; the longer list is cut to the length of the shorter.
///
/// # Errors
/// As [`pairs_from_labels`].
pub fn quadruplets_from_labels(
    labels: &[usize],
    count: Option<usize>,
    seed: u64,
) -> Result<Quadruplets, MahalanobisError> {
    let Pairs { pairs, same } = pairs_from_labels(labels, count, seed)?;
    let (near, far) = pairs.split_at(same.iter().filter(|&&s| s).count());
    Ok(Quadruplets(near.iter().zip(far).map(|(&[a, b], &[c, d])| [a, b, c, d]).collect()))
}

/// Chunks from class labels: `count` disjoint groups of `size` rows of one class, all there are when there are fewer.
/// Each class is shuffled and cut; the groups are then drawn with equal chance.
///
/// # Errors
/// When `count` is 0, `size` is below 2, or no class has `size` rows.
pub fn chunks_from_labels(labels: &[usize], count: usize, size: usize, seed: u64) -> Result<Chunks, MahalanobisError> {
    if count == 0 {
        return Err(MahalanobisError::setting("chunks", count, "at least 1"));
    }
    if size < 2 {
        return Err(MahalanobisError::setting("chunk_size", size, "at least 2"));
    }
    let classes = Classes::new(labels);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (start, length) in classes.spans() {
        let mut members = classes.order[start..start + length].to_vec();
        members.shuffle(&mut rng);
        groups.extend(members.chunks_exact(size).map(<[usize]>::to_vec));
    }
    if groups.is_empty() {
        return Err(MahalanobisError::NoTuples { kind: "class with as many rows as a chunk" });
    }
    groups.shuffle(&mut rng);
    let mut chunks = vec![None; labels.len()];
    for (chunk, rows) in groups.iter().take(count).enumerate() {
        rows.iter().for_each(|&row| chunks[row] = Some(chunk));
    }
    Ok(Chunks(chunks))
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

    fn count(&self) -> usize {
        self.starts.len() - 1
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

    fn same_pair(&self, mut r: usize) -> [usize; 2] {
        for (start, size) in self.spans() {
            let here = size * (size - 1) / 2;
            if r < here {
                let (a, b) = triangular_pair(r);
                return [self.order[start + a], self.order[start + b]];
            }
            r -= here;
        }
        unreachable!("the number was drawn below the total")
    }

    fn different_pair(&self, mut r: usize) -> [usize; 2] {
        for (start, size) in self.spans() {
            let later = self.order.len() - start - size;
            if r < size * later {
                return [self.order[start + r / later], self.order[start + size + r % later]];
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
        let Pairs { pairs, same } = pairs_from_labels(&labels, Some(100), 0).unwrap();
        let unordered: BTreeSet<_> = pairs.iter().map(|&[a, b]| (a.min(b), a.max(b))).collect();
        assert_eq!((unordered.len(), pairs.len()), (15, 15));
        for (&[a, b], same) in pairs.iter().zip(same) {
            assert_eq!(labels[a] == labels[b], same);
        }
    }

    #[test]
    fn draws_as_many_of_each_kind_and_repeats_with_the_seed() {
        let labels: Vec<usize> = (0..60).map(|i| i % 4).collect();
        let Pairs { pairs, same } = pairs_from_labels(&labels, Some(20), 3).unwrap();
        assert_eq!((pairs.len(), same.iter().filter(|&&s| s).count()), (40, 20));
        assert!(pairs.iter().zip(&same).all(|(&[a, b], &s)| a != b && (labels[a] == labels[b]) == s));
        assert_eq!(pairs, pairs_from_labels(&labels, Some(20), 3).unwrap().pairs);
        assert_ne!(pairs, pairs_from_labels(&labels, Some(20), 4).unwrap().pairs);
        let of_default = pairs_from_labels(&labels, None, 3).unwrap();
        assert_eq!(of_default.same.iter().filter(|&&s| s).count(), 320); // 20 x 4^2
    }

    #[test]
    fn quadruplets_put_the_near_pair_first() {
        let labels = [0, 0, 0, 1, 2];
        let Quadruplets(quadruplets) = quadruplets_from_labels(&labels, None, 1).unwrap();
        assert_eq!(quadruplets.len(), 3); // three same pairs, seven different ones
        assert!(quadruplets.iter().all(|&[a, b, c, d]| labels[a] == labels[b] && labels[c] != labels[d]));
    }

    #[test]
    fn chunks_are_disjoint_groups_of_one_class() {
        let labels: Vec<usize> = (0..20).map(|i| i % 3).collect(); // 7, 7 and 6 rows: 2 + 2 + 2 groups of 3
        let Chunks(all) = chunks_from_labels(&labels, 100, 3, 0).unwrap();
        assert_eq!(all.iter().flatten().count(), 18);
        for chunk in 0..6 {
            let rows: Vec<usize> = (0..20).filter(|&i| all[i] == Some(chunk)).collect();
            assert!(rows.len() == 3 && rows.iter().all(|&i| labels[i] == labels[rows[0]]), "{rows:?}");
        }
        let Chunks(some) = chunks_from_labels(&labels, 2, 3, 0).unwrap();
        assert_eq!(some.iter().flatten().count(), 6);
        assert!(matches!(chunks_from_labels(&labels, 1, 8, 0), Err(MahalanobisError::NoTuples { .. })));
        for (count, size) in [(0, 2), (1, 1)] {
            let error = chunks_from_labels(&labels, count, size, 0).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { .. }));
        }
    }

    #[test]
    fn says_when_a_kind_does_not_exist() {
        assert_eq!(pairs_from_labels(&[3, 3], Some(5), 0).unwrap_err(), MahalanobisError::OneClass { class: 3 });
        let error = pairs_from_labels(&[0, 1, 2], Some(5), 0).unwrap_err();
        assert_eq!(error, MahalanobisError::MissingPairs { kind: "same-class" });
        let error = pairs_from_labels(&[0, 0, 1], Some(0), 0).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "constraints", .. }));
    }
}
