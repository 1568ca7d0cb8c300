//! What statements of one kind say in the form of another, so that a learner made for one form learns from all kinds
//! that hold it.
//!
//! | form | pairs | triplets | quadruplets | chunks |
//! |---|---|---|---|---|
//! | pairs | themselves | near as same, far as different | near as same, far as different | same, all within a chunk |
//! | triplets | a row's pairs of both kinds | themselves | - | - |
//! | quadruplets | as their triplets | (a, p, a, n) | themselves | - |
//! | chunks | chains of same pairs | - | - | themselves |
//!
//! Where a form says more than was said (nearer is not yet the same), the page of the method says so. No result depends
//! on the order of the statements, or on how often one comes.

use super::{Chunks, Pairs, Quadruplets, Triplets, Weak, WeakError, WeakKind, ordered};
use nearfar_core::data::Dataset;
use rand::{SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Triplets that [`Weak::triplets`] draws at most for each pair.
const TRIPLETS_A_PAIR: usize = 10;

impl Pairs {
    /// The chunks that the pairs make: rows that a chain of same pairs joins (Bar-Hillel et al., 2005). They are
    /// numbered by their first rows; a row in no same pair is in none.
    ///
    /// # Errors
    /// As [`Pairs::validate`], when there is no same pair, and when a chain joins two rows that a pair tells apart.
    pub fn chunks(&self, rows: usize) -> Result<Chunks, WeakError> {
        self.validate(rows)?;
        let mut parents: Vec<usize> = (0..rows).collect();
        let answers = || self.pairs.iter().zip(&self.same);
        for (&[a, b], _) in answers().filter(|(_, same)| **same) {
            let (a, b) = (root(&mut parents, a), root(&mut parents, b));
            parents[a.max(b)] = a.min(b);
        }
        for (place, (&[a, b], &same)) in answers().enumerate() {
            if !same && root(&mut parents, a) == root(&mut parents, b) {
                return Err(WeakError::Chain { place, a, b });
            }
        }
        let roots: Vec<usize> = (0..rows).map(|row| root(&mut parents, row)).collect();
        let mut sizes = vec![0usize; rows];
        roots.iter().for_each(|root| sizes[*root] += 1);
        let (mut numbers, mut next) = (vec![None; rows], 0);
        for row in (0..rows).filter(|row| roots[*row] == *row && sizes[*row] > 1) {
            numbers[row] = Some(next);
            next += 1;
        }
        if next == 0 {
            return Err(WeakError::Lacks { given: "pairs", what: "pair that belongs together" });
        }
        Ok(Chunks(roots.into_iter().map(|root| numbers[root]).collect()))
    }

    /// The triplets that the pairs make: a row, another that belongs with it, and one that does not. All of them where
    /// there are at most `most`, else so many, each equally likely; sorted.
    ///
    /// # Errors
    /// When `most` is 0, and when no row is in a pair of each kind.
    pub fn triplets(&self, most: usize, seed: u64) -> Result<Triplets, WeakError> {
        if most == 0 {
            return Err(WeakError::Setting { name: "most", range: "at least 1", value: most });
        }
        let mut known: BTreeMap<usize, [BTreeSet<usize>; 2]> = BTreeMap::new();
        for (&[a, b], &same) in self.pairs.iter().zip(&self.same) {
            let kind = usize::from(!same);
            known.entry(a).or_default()[kind].insert(b);
            known.entry(b).or_default()[kind].insert(a);
        }
        let listed = |set: BTreeSet<usize>| set.into_iter().collect::<Vec<usize>>();
        let anchors: Vec<(usize, [Vec<usize>; 2])> =
            known.into_iter().map(|(row, kinds)| (row, kinds.map(listed))).collect();
        let mut total = 0usize;
        let mut ends = Vec::with_capacity(anchors.len());
        for (_, [same, different]) in &anchors {
            total = total.saturating_add(same.len() * different.len());
            ends.push(total);
        }
        if total == 0 {
            return Err(WeakError::Lacks { given: "pairs", what: "row that is in a pair of each kind" });
        }
        let mut chosen: Vec<usize> = if total <= most {
            (0..total).collect()
        } else {
            sample(&mut ChaCha8Rng::seed_from_u64(seed), total, most).into_iter().collect()
        };
        chosen.sort_unstable();
        let triplet = |number: usize| {
            let place = ends.partition_point(|end| *end <= number);
            let number = number - place.checked_sub(1).map_or(0, |before| ends[before]);
            let (row, [same, different]) = &anchors[place];
            [*row, same[number / different.len()], different[number % different.len()]]
        };
        Ok(Triplets(chosen.into_iter().map(triplet).collect()))
    }
}

impl Weak {
    /// As pairs. Of triplets and quadruplets the near pairs are taken as same and the far ones as different, which says
    /// more than was said; a pair that is near in one and far in another says nothing by itself and is left out. Chunks
    /// give same pairs only, as many as the square of their size.
    ///
    /// # Errors
    /// When no pair is left.
    pub fn pairs(&self) -> Result<Cow<'_, Pairs>, WeakError> {
        let given = self.kind().name();
        Ok(match self {
            Self::Pairs(pairs) => Cow::Borrowed(pairs),
            Self::Chunks(chunks) => Cow::Owned(chunks.pairs()),
            Self::Triplets(Triplets(all)) => {
                Cow::Owned(told_apart(all.iter().map(|&[a, p, n]| ([a, p], [a, n])), given)?)
            }
            Self::Quadruplets(Quadruplets(all)) => {
                Cow::Owned(told_apart(all.iter().map(|&[a, b, c, d]| ([a, b], [c, d])), given)?)
            }
        })
    }

    /// As triplets. Pairs are joined at rows that are in one of each kind ([`Pairs::triplets`]); where that makes more
    /// than ten triplets for each pair, so many are drawn with `seed`.
    ///
    /// # Errors
    /// On quadruplets and chunks, and on pairs that make none.
    pub fn triplets(&self, seed: u64) -> Result<Cow<'_, Triplets>, WeakError> {
        match self {
            Self::Triplets(triplets) => Ok(Cow::Borrowed(triplets)),
            Self::Pairs(pairs) => {
                let distinct: BTreeSet<[usize; 2]> = pairs.pairs.iter().copied().map(ordered).collect();
                let most = distinct.len().saturating_mul(TRIPLETS_A_PAIR).max(1);
                Ok(Cow::Owned(pairs.triplets(most, seed)?))
            }
            Self::Quadruplets(_) | Self::Chunks(_) => Err(self.kind().silent(WeakKind::Triplets)),
        }
    }

    /// As quadruplets: a triplet (a, p, n) is the quadruplet (a, p, a, n), and pairs are taken as their triplets.
    ///
    /// # Errors
    /// On chunks, and on pairs that make no triplet.
    pub fn quadruplets(&self, seed: u64) -> Result<Cow<'_, Quadruplets>, WeakError> {
        match self {
            Self::Quadruplets(quadruplets) => Ok(Cow::Borrowed(quadruplets)),
            Self::Pairs(_) | Self::Triplets(_) => {
                let triplets = self.triplets(seed)?;
                Ok(Cow::Owned(Quadruplets(triplets.0.iter().map(|&[a, p, n]| [a, p, a, n]).collect())))
            }
            Self::Chunks(_) => Err(self.kind().silent(WeakKind::Quadruplets)),
        }
    }

    /// As chunks of data of `rows` rows. Pairs make them by chains ([`Pairs::chunks`]).
    ///
    /// # Errors
    /// On triplets and quadruplets, and as [`Pairs::chunks`].
    pub fn chunks(&self, rows: usize) -> Result<Cow<'_, Chunks>, WeakError> {
        match self {
            Self::Chunks(chunks) => Ok(Cow::Borrowed(chunks)),
            Self::Pairs(pairs) => Ok(Cow::Owned(pairs.chunks(rows)?)),
            Self::Triplets(_) | Self::Quadruplets(_) => Err(self.kind().silent(WeakKind::Chunks)),
        }
    }

    /// The class of every row **if whatever was not said to belong together is different**: each chunk, each chain of
    /// same pairs, and each row that is in different pairs alone. A row of which nothing was said has none. With these
    /// classes everything that takes class labels can learn.
    ///
    /// Whether that holds is for the one who made the statements to say. Two photographs of one person in two chunks
    /// would be pushed apart, and no score of the training would show it.
    ///
    /// # Errors
    /// On triplets and quadruplets, on statements that do not fit the data or contradict each other, and when there are
    /// no two classes.
    pub fn as_classes(&self, rows: usize) -> Result<Chunks, WeakError> {
        self.validate(rows)?;
        let Chunks(mut classes) = self.chunks(rows)?.into_owned();
        if let Self::Pairs(pairs) = self {
            let alone: BTreeSet<usize> =
                pairs.pairs.iter().flatten().copied().filter(|row| classes[*row].is_none()).collect();
            let first = classes.iter().flatten().max().map_or(0, |last| last + 1);
            alone.into_iter().zip(first..).for_each(|(row, class)| classes[row] = Some(class));
        }
        let known: BTreeSet<usize> = classes.iter().flatten().copied().collect();
        if known.len() < 2 {
            let what = "two groups that could be two classes";
            return Err(WeakError::Lacks { given: self.kind().name(), what });
        }
        Ok(Chunks(classes))
    }
}

impl Chunks {
    /// The rows of `data` that are in a chunk, rising, and the data set of them whose classes are the chunks, numbered
    /// anew in their order: what class-label methods learn from where chunks are classes ([`Weak::as_classes`]).
    ///
    /// # Errors
    /// As [`Chunks::validate`].
    pub fn dataset(&self, data: &Dataset) -> Result<(Vec<usize>, Dataset), WeakError> {
        self.validate(data.len())?;
        let known: BTreeSet<usize> = self.0.iter().flatten().copied().collect();
        let numbers: BTreeMap<usize, usize> = known.iter().copied().zip(0..).collect();
        let (rows, labels): (Vec<usize>, Vec<usize>) =
            self.0.iter().enumerate().filter_map(|(row, chunk)| Some((row, numbers[&(*chunk)?]))).unzip();
        let class_names = known.iter().map(|chunk| format!("chunk {chunk}")).collect();
        let chosen = Dataset { labels: Some(labels), class_names, ..data.select(&rows) };
        Ok((rows, chosen))
    }
}

/// The first row of the set that a row is in.
fn root(parents: &mut [usize], mut row: usize) -> usize {
    while parents[row] != row {
        parents[row] = parents[parents[row]]; // the next way up is half as long
        row = parents[row];
    }
    row
}

/// Near pairs as same, far ones as different, each once, without those that are both; sorted.
fn told_apart(
    compared: impl Iterator<Item = ([usize; 2], [usize; 2])>,
    given: &'static str,
) -> Result<Pairs, WeakError> {
    let mut kinds: BTreeMap<[usize; 2], [bool; 2]> = BTreeMap::new();
    for (near, far) in compared {
        kinds.entry(ordered(near)).or_default()[0] = true;
        kinds.entry(ordered(far)).or_default()[1] = true;
    }
    let kept = kinds.into_iter().filter(|(_, [near, far])| near != far);
    let (pairs, same): (Vec<[usize; 2]>, Vec<bool>) = kept.map(|(pair, [near, _])| (pair, near)).unzip();
    if pairs.is_empty() {
        return Err(WeakError::Lacks { given, what: "pair that is only near, or only far" });
    }
    Ok(Pairs { pairs, same })
}
