//! Do two groups of items lie apart, or would any other names of the groups do as well?

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::check;
use crate::error::EvalError;

/// Up to so many ways to deal the names out, each is gone through.
const MOST_EXACT: usize = 20_000;

/// Ways drawn where there are more.
const DRAWN: usize = 9_999;

/// Differences below this share of the mean distance are rounding: sums in another order differ in their last digits.
const ROUNDING: f64 = 1e-9;

/// Outcome of [`groups_test`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GroupsTest {
    /// Mean distance of two items of different groups less that of two items of one group.
    pub excess: f64,
    /// Share of the ways to deal the names out, the real one included, that give at least this excess.
    pub p_value: f64,
    /// Those ways.
    pub as_large: usize,
    /// Ways looked at: all that there are, or 10,000 with the real one.
    pub ways: usize,
}

/// Permutation test of two groups of items by their distances (multi-response permutation procedure, Mielke, Berry and
/// Johnson 1976): how often do the names of the groups, dealt out to the items at random, set them as far apart?
///
/// `distances` is `[n, n]`, symmetric; `first[i]` says whether item `i` is of the first group. One-sided. All ways to
/// deal the names out are counted, up to 20,000; of more, 9,999 are drawn, which depend on the seed alone. It asks about
/// the items: three items against four reach 1 / 35 at best, two against two no less than 1 / 3.
///
/// # Errors
/// When there are fewer than three items, only one group, a row or `first` of another length, or a distance that is not
/// finite.
///
/// ```
/// // Places 0 and 1 against 10, 11 and 12 on a line: none of the other 9 ways to choose two sets them so far apart.
/// let places = [0.0f64, 1.0, 10.0, 11.0, 12.0];
/// let distances: Vec<Vec<f64>> = places.iter().map(|a| places.iter().map(|b| (a - b).abs()).collect()).collect();
/// let test = nearfar_eval::stats::groups_test(&distances, &[true, true, false, false, false], 0).unwrap();
/// assert_eq!((test.as_large, test.ways, test.p_value), (1, 10, 0.1));
/// ```
pub fn groups_test(distances: &[Vec<f64>], first: &[bool], seed: u64) -> Result<GroupsTest, EvalError> {
    let items = distances.len();
    if items < 3 {
        return Err(EvalError::TooFewItems { what: "items in groups", needed: 3, got: items });
    }
    for (right, right_rows) in
        [("the groups", first.len())].into_iter().chain(distances.iter().map(|row| ("a row of distances", row.len())))
    {
        if right_rows != items {
            return Err(EvalError::Paired { left: "the distances", left_rows: items, right, right_rows });
        }
    }
    distances.iter().try_for_each(|row| check("distances", row, 1))?;
    let size = first.iter().filter(|first| **first).count();
    if size == 0 || size == items {
        return Err(EvalError::TooFewClasses { what: "the test of two groups", needed: 2, got: 1 });
    }
    let deal = Deal::new(distances, size);
    let excess = deal.excess(first);
    let least = excess - ROUNDING * deal.mean;
    let (as_large, ways) = match ways(items, size) {
        Some(ways) => (deal.all().filter(|excess| *excess >= least).count(), ways),
        // The real way counts as one of those drawn.
        None => (1 + deal.drawn(first, seed).filter(|excess| *excess >= least).count(), 1 + DRAWN),
    };
    Ok(GroupsTest { excess, p_value: as_large as f64 / ways as f64, as_large, ways })
}

/// Ways to choose `size` of `items`, if they are few enough to go through.
fn ways(items: usize, size: usize) -> Option<usize> {
    let mut ways = 1usize;
    // Each step is a binomial coefficient, larger than the one before: the first that is too large ends it.
    for i in 0..size.min(items - size) {
        ways = ways * (items - i) / (i + 1);
        if ways > MOST_EXACT {
            return None;
        }
    }
    Some(ways)
}

/// Distances and what is the same for every way to deal the names out.
struct Deal<'a> {
    distances: &'a [Vec<f64>],
    /// Items of the first group.
    size: usize,
    /// Sum over pairs.
    sum: f64,
    /// Mean over pairs.
    mean: f64,
    /// Pairs of one group, and of both.
    pairs: (f64, f64),
}

impl<'a> Deal<'a> {
    fn new(distances: &'a [Vec<f64>], size: usize) -> Self {
        let items = distances.len();
        let of = |items: usize| items as f64 * (items as f64 - 1.0) / 2.0;
        let sum: f64 = distances.iter().enumerate().map(|(i, row)| row[..i].iter().sum::<f64>()).sum();
        let inside = of(size) + of(items - size);
        Self { distances, size, sum, mean: sum / of(items), pairs: (inside, of(items) - inside) }
    }

    fn excess(&self, first: &[bool]) -> f64 {
        let alike = |i: usize, j: usize| if first[i] == first[j] { self.distances[i][j] } else { 0.0 };
        let inside: f64 = (0..first.len()).map(|i| (0..i).map(|j| alike(i, j)).sum::<f64>()).sum();
        (self.sum - inside) / self.pairs.1 - inside / self.pairs.0
    }

    /// The excess of every way, in the order of the positions chosen.
    fn all(&self) -> impl Iterator<Item = f64> {
        let (items, size) = (self.distances.len(), self.size);
        let mut next = Some((0..size).collect::<Vec<usize>>());
        std::iter::from_fn(move || {
            let chosen = next.take()?;
            let mut first = vec![false; items];
            chosen.iter().for_each(|&item| first[item] = true);
            // The last position that can move up, and those after it right behind.
            if let Some(at) = (0..size).rev().find(|&at| chosen[at] < items - size + at) {
                let moved = chosen[at] + 1;
                next = Some(chosen[..at].iter().copied().chain(moved..moved + size - at).collect());
            }
            Some(self.excess(&first))
        })
    }

    /// The excess of ways drawn at random.
    fn drawn(&self, first: &[bool], seed: u64) -> impl Iterator<Item = f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut first = first.to_vec();
        (0..DRAWN).map(move |_| {
            for i in (1..first.len()).rev() {
                // Drawn as 64 bits, so that the width of `usize` cannot change the sequence.
                first.swap(i, rng.random_range(0..=i as u64) as usize);
            }
            self.excess(&first)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::noise;

    fn line(places: &[f64]) -> Vec<Vec<f64>> {
        places.iter().map(|a| places.iter().map(|b| (a - b).abs()).collect()).collect()
    }

    #[test]
    fn two_against_two_by_hand() {
        // Between: 10, 11, 9, 10; inside: 1 and 1. The same with the groups exchanged: 2 of 6 ways.
        let test = groups_test(&line(&[0.0, 1.0, 10.0, 11.0]), &[true, true, false, false], 0).unwrap();
        assert_eq!((test.as_large, test.ways), (2, 6));
        assert!((test.excess - 9.0).abs() < 1e-12);
        // A group around the other.
        let test = groups_test(&line(&[0.9, 0.1, 0.5]), &[true, true, false], 0).unwrap();
        assert!((test.excess + 0.4).abs() < 1e-12);
        assert_eq!(test.p_value, 1.0);
        let equal = groups_test(&line(&[0.5; 4]), &[true, false, false, false], 0).unwrap();
        assert_eq!((equal.excess, equal.p_value), (0.0, 1.0));
    }

    #[test]
    fn many_items_are_drawn() {
        let places: Vec<f64> = (0..24).map(|i| f64::from(noise(i)) + if i < 12 { 0.0 } else { 5.0 }).collect();
        let first: Vec<bool> = (0..24).map(|i| i < 12).collect();
        let apart = groups_test(&line(&places), &first, 7).unwrap();
        assert_eq!((apart.as_large, apart.ways), (1, 10_000));
        assert_eq!(groups_test(&line(&places), &first, 7).unwrap(), apart);
        let mixed: Vec<bool> = (0..24).map(|i| i % 2 == 0).collect();
        assert!(groups_test(&line(&places), &mixed, 7).unwrap().p_value > 0.1);
    }

    /// Names dealt out at random are called names that matter no more often than the level says.
    #[test]
    fn mere_names_seldom_matter() {
        let found = (0..400usize).filter(|run| {
            let places: Vec<f64> = (0..9).map(|i| f64::from(noise(*run * 9 + i))).collect();
            groups_test(&line(&places), &[true, true, true, true, false, false, false, false, false], 0)
                .unwrap()
                .p_value
                <= 0.05
        });
        // Binomial with mean 20 and deviation 4.4 at most.
        let found = found.count();
        assert!((4..=37).contains(&found), "{found} of 400");
    }

    #[test]
    fn bad_input_is_named() {
        let of = |distances: &[Vec<f64>], first: &[bool]| groups_test(distances, first, 0).unwrap_err();
        assert!(matches!(of(&line(&[0.0, 1.0]), &[true, false]), EvalError::TooFewItems { needed: 3, .. }));
        assert!(matches!(of(&line(&[0.0, 1.0, 2.0]), &[true; 3]), EvalError::TooFewClasses { .. }));
        assert!(matches!(of(&line(&[0.0, 1.0, 2.0]), &[true, false]), EvalError::Paired { .. }));
        let mut ragged = line(&[0.0, 1.0, 2.0]);
        ragged[1].pop();
        assert!(matches!(of(&ragged, &[true, false, false]), EvalError::Paired { .. }));
        assert!(matches!(of(&line(&[0.0, 1.0, f64::NAN]), &[true, false, false]), EvalError::NonFinite { .. }));
    }

    proptest! {
        /// Against every way by its bits; exchanged groups and another order of the items change nothing.
        #[test]
        fn all_ways_are_counted(places in prop::collection::vec(0u8..6, 3..9), bits in 1u32..200) {
            let items = places.len();
            let places: Vec<f64> = places.into_iter().map(f64::from).collect();
            let of = |bits: u32| (0..items).map(|i| (bits >> i) & 1 == 1).collect::<Vec<bool>>();
            let first = of(bits);
            let size = first.iter().filter(|first| **first).count();
            prop_assume!(size > 0 && size < items);
            let test = groups_test(&line(&places), &first, 0).unwrap();
            let excess = |first: &[bool]| {
                let mut sums = [(0.0, 0.0); 2];
                for (i, j) in (0..items).flat_map(|i| (0..i).map(move |j| (i, j))) {
                    let sum = &mut sums[usize::from(first[i] == first[j])];
                    *sum = (sum.0 + (places[i] - places[j]).abs(), sum.1 + 1.0);
                }
                sums[0].0 / sums[0].1 - sums[1].0 / sums[1].1
            };
            let ways: Vec<f64> = (0..1u32 << items)
                .map(of)
                .filter(|way| way.iter().filter(|first| **first).count() == size)
                .map(|way| excess(&way))
                .collect();
            prop_assert_eq!(test.ways, ways.len());
            prop_assert_eq!(test.as_large, ways.iter().filter(|way| **way >= excess(&first) - 1e-9).count());
            let exchanged: Vec<bool> = first.iter().map(|first| !first).collect();
            prop_assert_eq!(groups_test(&line(&places), &exchanged, 0).unwrap().as_large, test.as_large);
            let reversed: Vec<f64> = places.iter().rev().copied().collect();
            let first: Vec<bool> = first.iter().rev().copied().collect();
            prop_assert_eq!(groups_test(&line(&reversed), &first, 0).unwrap().as_large, test.as_large);
        }
    }
}
