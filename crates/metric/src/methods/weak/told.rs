//! Statements as batches need them.

use crate::{
    Pair, Tuples,
    losses::Evidence,
    weak::{Pairs, Quadruplets, Triplets, Weak, WeakError, ordered, places},
};
use nearfar_core::train::{GivenTuples, Sampling};
use std::collections::BTreeMap;

/// Statements, and how batches hold them side by side. The maps are sorted: what a method prints of itself tells its
/// checkpoints apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// Pairs side by side, with the answer to every pair, the smaller row first.
    Pairs { given: GivenTuples, same: BTreeMap<[usize; 2], bool> },
    /// Triplets that pairs make side by side, with every answer about a row.
    Answers { given: GivenTuples, about: BTreeMap<usize, Vec<(usize, bool)>> },
    /// Triplets side by side.
    Triplets(GivenTuples),
    /// Quadruplets side by side.
    Quadruplets(GivenTuples),
}

impl Told {
    /// For a loss that must be told so much.
    pub(super) fn new(said: &Weak, evidence: Evidence) -> Result<Self, WeakError> {
        let triplets = || -> Result<GivenTuples, WeakError> {
            let Triplets(triplets) = said.triplets(0)?.into_owned();
            Ok(GivenTuples::Triplets(triplets.into()))
        };
        Ok(match said {
            Weak::Pairs(Pairs { pairs, same }) if evidence == Evidence::Pairs => {
                let answers = pairs.iter().zip(same).map(|(pair, same)| (ordered(*pair), *same));
                Self::Pairs { same: answers.collect(), given: GivenTuples::Pairs(pairs.clone().into()) }
            }
            Weak::Pairs(Pairs { pairs, same }) => {
                let mut about: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
                for (&[a, b], &same) in pairs.iter().zip(same) {
                    about.entry(a).or_default().push((b, same));
                    about.entry(b).or_default().push((a, same));
                }
                // The order of the statements does not matter, nor how often one comes.
                for answers in about.values_mut() {
                    answers.sort_unstable();
                    answers.dedup();
                }
                Self::Answers { given: triplets()?, about }
            }
            Weak::Quadruplets(Quadruplets(four)) => Self::Quadruplets(GivenTuples::Quadruplets(four.clone().into())),
            // Of chunks there are none.
            Weak::Triplets(_) | Weak::Chunks(_) => Self::Triplets(triplets()?),
        })
    }

    /// How batches are drawn.
    pub(super) fn sampling(&self) -> Sampling {
        match self {
            Self::Pairs { given, .. }
            | Self::Answers { given, .. }
            | Self::Triplets(given)
            | Self::Quadruplets(given) => Sampling::Tuples(given.clone()),
        }
    }

    /// The tuples of a batch of these rows, as its order of images puts them side by side.
    pub(super) fn tuples(&self, rows: &[usize]) -> Tuples {
        match self {
            Self::Pairs { same, .. } => {
                let pairs: Vec<[usize; 2]> = side_by_side(rows);
                let answer = |[i, j]: &[usize; 2]| same.get(&ordered([rows[*i], rows[*j]])).copied();
                // Rows that stand side by side but were never compared say nothing.
                let answered = pairs.iter().filter_map(|pair| Some((*pair, answer(pair)?)));
                let (pairs, same) = answered.unzip();
                Tuples::from(&Pairs { pairs, same })
            }
            Self::Answers { about, .. } => answers_within(rows, about),
            Self::Triplets(_) => Tuples::from(&Triplets(side_by_side(rows))),
            Self::Quadruplets(_) => Tuples::from(&Quadruplets(side_by_side(rows))),
        }
    }

    /// The quadruplets of a batch of these rows, as places; nothing where something else was said.
    pub(super) fn quadruplets(&self, rows: &[usize]) -> Option<Vec<[usize; 4]>> {
        matches!(self, Self::Quadruplets(_)).then(|| side_by_side(rows))
    }
}

/// Every answer about two of these rows, as pairs in both directions; of a row that is there twice the first place
/// counts.
fn answers_within(rows: &[usize], about: &BTreeMap<usize, Vec<(usize, bool)>>) -> Tuples {
    let places = places(rows);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    for (place, row) in rows.iter().enumerate().filter(|(place, row)| places[*row] == *place) {
        for (other, same) in about.get(row).into_iter().flatten() {
            if let Some(&other) = places.get(other) {
                let kind = if *same { &mut positive } else { &mut negative };
                kind.push(Pair::new(place, other));
            }
        }
    }
    Tuples::Pairs { positive, negative }
}

/// Places `0..N`, `N..2 N` and so on of a batch of these rows.
fn side_by_side<const N: usize>(rows: &[usize]) -> Vec<[usize; N]> {
    (0..rows.len() / N).map(|k| std::array::from_fn(|i| N * k + i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(pairs: &[Pair]) -> Vec<(u32, u32)> {
        pairs.iter().map(|pair| (pair.anchor, pair.other)).collect()
    }

    /// Rows 3 and 8 belong together, so do 3 and 5; 8 and 1 do not, nor do 3 and 1.
    fn said() -> Pairs {
        Pairs { pairs: vec![[3, 8], [8, 1], [5, 3], [1, 3]], same: vec![true, false, true, false] }
    }

    #[test]
    fn losses_that_compare_two_kinds_see_every_answer_about_the_rows_of_a_batch() {
        let told = Told::new(&Weak::Pairs(said()), Evidence::Triplets).unwrap();
        let Sampling::Tuples(GivenTuples::Triplets(given)) = told.sampling() else { panic!("{told:?}") };
        assert_eq!(given.to_vec(), [[3, 5, 1], [3, 8, 1], [8, 3, 1]]);
        // The batch of the triplets (8, 3, 1) and (3, 8, 1): every row is there twice, 5 is not there.
        let Tuples::Pairs { positive, negative } = told.tuples(&[8, 3, 1, 3, 8, 1]) else { panic!("pairs") };
        assert_eq!(listed(&positive), [(0, 1), (1, 0)]);
        assert_eq!(listed(&negative), [(0, 2), (1, 2), (2, 1), (2, 0)]);
    }

    #[test]
    fn the_order_of_the_statements_does_not_matter() {
        let Pairs { pairs, same } = said();
        let turned = Pairs {
            pairs: pairs.iter().rev().chain([&pairs[0]]).map(|&[a, b]| [b, a]).collect(),
            same: same.iter().rev().chain([&same[0]]).copied().collect(),
        };
        let told = |pairs: Pairs| Told::new(&Weak::Pairs(pairs), Evidence::Triplets).unwrap();
        assert_eq!(told(said()), told(turned));
    }

    #[test]
    fn pairs_without_a_row_in_both_kinds_are_refused() {
        let apart = Pairs { pairs: vec![[0, 1], [2, 3]], same: vec![true, false] };
        let error = Told::new(&Weak::Pairs(apart), Evidence::Triplets).unwrap_err();
        assert_eq!(error.to_string(), "the pairs hold no row that is in a pair of each kind");
    }
}
