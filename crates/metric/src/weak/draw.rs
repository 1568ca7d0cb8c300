//! Pairs, triplets, quadruplets and chunks drawn from class labels, without replacement and without listing them all.

use super::{Chunks, Pairs, Quadruplets, Triplets, WeakError};
use rand::{
    SeedableRng,
    seq::{SliceRandom, index::sample},
};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Rows of known class, class after class.
pub(super) struct Known {
    rows: Vec<usize>,
    /// For each place in `rows`: where its class stands.
    classes: Vec<Range<usize>>,
}

impl Known {
    pub(super) fn new(labels: &[Option<usize>]) -> Self {
        let mut known: Vec<(usize, usize)> =
            labels.iter().enumerate().filter_map(|(row, label)| Some(((*label)?, row))).collect();
        known.sort_unstable();
        let mut classes = Vec::with_capacity(known.len());
        for class in known.chunk_by(|a, b| a.0 == b.0) {
            let start = classes.len();
            classes.extend((0..class.len()).map(|_| start..start + class.len()));
        }
        Self { rows: known.into_iter().map(|(_, row)| row).collect(), classes }
    }

    /// Every pair of rows of one class.
    pub(super) fn all_pairs(&self) -> Vec<[usize; 2]> {
        let later = move |a: usize| (a + 1..self.classes[a].end).map(move |b| [self.rows[a], self.rows[b]]);
        (0..self.rows.len()).flat_map(later).collect()
    }

    /// The rows of each class.
    fn by_class(&self) -> impl Iterator<Item = &[usize]> {
        let first = move |place: &usize| self.classes[*place].start == *place;
        (0..self.rows.len()).filter(first).map(move |place| &self.rows[self.classes[place].clone()])
    }

    /// Draws `count` different (place, number) with number below `choices(place)`, each equally likely and in random
    /// order; all there are if there are fewer.
    fn draw(&self, count: usize, rng: &mut ChaCha8Rng, choices: impl Fn(usize) -> usize) -> Vec<(usize, usize)> {
        let mut ends = Vec::with_capacity(self.rows.len());
        let mut total = 0usize;
        for place in 0..self.rows.len() {
            // Beyond 2^64 choices the last places are not drawn.
            total = total.saturating_add(choices(place));
            ends.push(total);
        }
        let numbered = sample(rng, total, count.min(total)).into_iter();
        numbered
            .map(|number| {
                let place = ends.partition_point(|end| *end <= number);
                (place, number - place.checked_sub(1).map_or(0, |before| ends[before]))
            })
            .collect()
    }

    /// Pairs of one class.
    fn same(&self, count: usize, rng: &mut ChaCha8Rng) -> Result<Vec<[usize; 2]>, WeakError> {
        let drawn = self.draw(count, rng, |a| self.classes[a].end - a - 1);
        let pairs: Vec<_> = drawn.into_iter().map(|(a, number)| [self.rows[a], self.rows[a + 1 + number]]).collect();
        if pairs.is_empty() { Err(WeakError::Missing { what: "pair of one class" }) } else { Ok(pairs) }
    }

    /// Pairs of two classes.
    fn different(&self, count: usize, rng: &mut ChaCha8Rng) -> Result<Vec<[usize; 2]>, WeakError> {
        let drawn = self.draw(count, rng, |a| self.rows.len() - self.classes[a].end);
        let row = |a: usize, number: usize| [self.rows[a], self.rows[self.classes[a].end + number]];
        let pairs: Vec<_> = drawn.into_iter().map(|(a, number)| row(a, number)).collect();
        if pairs.is_empty() { Err(WeakError::Missing { what: "pair of two classes" }) } else { Ok(pairs) }
    }
}

/// `count` must draw something.
fn stream(count: usize, seed: u64) -> Result<ChaCha8Rng, WeakError> {
    if count == 0 {
        return Err(WeakError::Setting { name: "count", range: "at least 1", value: count });
    }
    Ok(ChaCha8Rng::seed_from_u64(seed))
}

pub(super) fn pairs(labels: &[Option<usize>], count: usize, seed: u64) -> Result<Pairs, WeakError> {
    let (known, mut rng) = (Known::new(labels), stream(count, seed)?);
    let mut pairs = known.same(count, &mut rng)?;
    let alike = pairs.len();
    pairs.extend(known.different(count, &mut rng)?);
    Ok(Pairs { same: (0..pairs.len()).map(|i| i < alike).collect(), pairs })
}

pub(super) fn triplets(labels: &[Option<usize>], count: usize, seed: u64) -> Result<Triplets, WeakError> {
    let (known, mut rng) = (Known::new(labels), stream(count, seed)?);
    let others = |place: usize| known.rows.len() - known.classes[place].len();
    let drawn = known.draw(count, &mut rng, |a| (known.classes[a].len() - 1).saturating_mul(others(a)));
    if drawn.is_empty() {
        return Err(WeakError::Missing { what: "triplet" });
    }
    let triplet = |(a, number): (usize, usize)| {
        let class = &known.classes[a];
        let (p, n) = (class.start + number / others(a), number % others(a));
        let p = if p < a { p } else { p + 1 }; // the anchor is left out
        let n = if n < class.start { n } else { n + class.len() }; // and so is its class
        [known.rows[a], known.rows[p], known.rows[n]]
    };
    Ok(Triplets(drawn.into_iter().map(triplet).collect()))
}

pub(super) fn quadruplets(labels: &[Option<usize>], count: usize, seed: u64) -> Result<Quadruplets, WeakError> {
    let (known, mut rng) = (Known::new(labels), stream(count, seed)?);
    let near = known.same(count, &mut rng)?;
    let far = known.different(count, &mut rng)?;
    Ok(Quadruplets(near.into_iter().zip(far).map(|([a, b], [c, d])| [a, b, c, d]).collect()))
}

pub(super) fn chunks(labels: &[Option<usize>], count: usize, size: usize, seed: u64) -> Result<Chunks, WeakError> {
    let (known, mut rng) = (Known::new(labels), stream(count, seed)?);
    if size < 2 {
        return Err(WeakError::Setting { name: "size", range: "at least 2", value: size });
    }
    let mut possible: Vec<Vec<usize>> = Vec::new();
    for class in known.by_class() {
        let mut class = class.to_vec();
        class.shuffle(&mut rng);
        possible.extend(class.chunks_exact(size).map(<[usize]>::to_vec));
    }
    if possible.len() < count {
        return Err(WeakError::TooManyChunks { asked: count, size, most: possible.len() });
    }
    possible.shuffle(&mut rng);
    let mut chunks = vec![None; labels.len()];
    for (chunk, rows) in possible.into_iter().take(count).enumerate() {
        rows.into_iter().for_each(|row| chunks[row] = Some(chunk));
    }
    Ok(Chunks(chunks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn what_is_drawn_is_valid_and_what_was_asked_for(
            labels in proptest::collection::vec(proptest::option::of(0usize..4), 2..40),
            count in 1usize..60,
            seed in any::<u64>(),
        ) {
            let n = labels.len();
            let known = |i: usize| labels[i].is_some();
            let together = |i: usize, j: usize| known(i) && labels[i] == labels[j];
            let apart = |i: usize, j: usize| known(i) && known(j) && labels[i] != labels[j];
            let pairs_of = |kind: &dyn Fn(usize, usize) -> bool| {
                (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|(i, j)| kind(*i, *j)).count()
            };
            let (same, different) = (pairs_of(&together), pairs_of(&apart));
            match Pairs::from_labels(&labels, count, seed) {
                Ok(pairs) => {
                    pairs.validate(n).unwrap();
                    let right = |([i, j], s): (&[usize; 2], &bool)| if *s { together(*i, *j) } else { apart(*i, *j) };
                    prop_assert!(pairs.pairs.iter().zip(&pairs.same).all(right));
                    prop_assert_eq!(pairs.pairs.iter().collect::<HashSet<_>>().len(), pairs.pairs.len());
                    prop_assert_eq!(pairs.same.iter().filter(|s| **s).count(), count.min(same));
                    prop_assert_eq!(pairs.pairs.len(), count.min(same) + count.min(different));
                    let four = Quadruplets::from_labels(&labels, count, seed).unwrap();
                    four.validate(n).unwrap();
                    prop_assert_eq!(four.0.len(), count.min(same).min(different));
                    prop_assert!(four.0.iter().all(|[a, b, c, d]| together(*a, *b) && apart(*c, *d)));
                }
                Err(error) => {
                    let missing = matches!(error, WeakError::Missing { .. });
                    prop_assert!(missing && same.min(different) == 0);
                }
            }
            let all = (0..n).map(|a| {
                let positives = (0..n).filter(|p| *p != a && together(a, *p)).count();
                positives * (0..n).filter(|x| apart(a, *x)).count()
            }).sum::<usize>();
            match Triplets::from_labels(&labels, count, seed) {
                Ok(triplets) => {
                    triplets.validate(n).unwrap();
                    prop_assert!(triplets.0.iter().all(|[a, p, x]| together(*a, *p) && apart(*a, *x)));
                    prop_assert_eq!(triplets.0.iter().collect::<HashSet<_>>().len(), count.min(all));
                }
                Err(error) => {
                    let missing = matches!(error, WeakError::Missing { .. });
                    prop_assert!(missing && all == 0);
                }
            }
        }

        #[test]
        fn chunks_are_of_one_class_and_of_the_size_asked_for(size in 2usize..5, seed in any::<u64>()) {
            let labels: Vec<Option<usize>> = (0..41).map(|i| if i % 7 == 0 { None } else { Some(i % 3) }).collect();
            let chunks = Chunks::from_labels(&labels, 6, size, seed).unwrap();
            chunks.validate(labels.len()).unwrap();
            for chunk in 0..6 {
                let rows: Vec<usize> = (0..41).filter(|i| chunks.0[*i] == Some(chunk)).collect();
                prop_assert_eq!(rows.len(), size);
                prop_assert!(rows.iter().all(|r| labels[*r].is_some() && labels[*r] == labels[rows[0]]));
            }
            prop_assert_eq!(chunks.pairs().pairs.len(), 6 * size * (size - 1) / 2);
        }
    }

    #[test]
    fn seeds_fix_and_change_what_is_drawn() {
        let labels: Vec<Option<usize>> = (0..60).map(|i| Some(i % 5)).collect();
        assert_eq!(Pairs::from_labels(&labels, 9, 1).unwrap(), Pairs::from_labels(&labels, 9, 1).unwrap());
        assert_ne!(Triplets::from_labels(&labels, 9, 1).unwrap(), Triplets::from_labels(&labels, 9, 2).unwrap());
        assert_ne!(Chunks::from_labels(&labels, 9, 2, 1).unwrap(), Chunks::from_labels(&labels, 9, 2, 2).unwrap());
    }

    #[test]
    fn what_the_labels_do_not_hold_is_refused() {
        let one_class = [Some(0), Some(0), None];
        let missing = |what: &str| format!("the labels hold no {what}");
        let message = Pairs::from_labels(&one_class, 3, 0).unwrap_err().to_string();
        assert!(message.starts_with(&missing("pair of two classes")), "{message}");
        let message = Pairs::from_labels(&[Some(0), Some(1)], 3, 0).unwrap_err().to_string();
        assert!(message.starts_with(&missing("pair of one class")), "{message}");
        assert!(matches!(Triplets::from_labels(&one_class, 3, 0), Err(WeakError::Missing { what: "triplet" })));
        assert!(matches!(Pairs::from_labels(&one_class, 0, 0), Err(WeakError::Setting { name: "count", .. })));
        assert!(matches!(Chunks::from_labels(&one_class, 1, 1, 0), Err(WeakError::Setting { name: "size", .. })));
        let most = Chunks::from_labels(&one_class, 2, 2, 0);
        assert!(matches!(most, Err(WeakError::TooManyChunks { asked: 2, size: 2, most: 1 })));
    }
}
