//! Retrieval scores with the definitions of pytorch-metric-learning's `AccuracyCalculator`.
//!
//! For a query with `R` relevant references (references of its class, itself left out) at the 1-based ranks
//! `r_1 < r_2 < ... < r_R` of the full ranking:
//!
//! - `recall_at_k`: 1 if `r_1 <= k`, else 0; `recall_at_1` is precision at 1 (CMC at 1).
//! - `r_precision`: share of relevant references among the first `R`.
//! - `map_at_r`: `(1 / R) * sum of i / r_i over r_i <= R` (Musgrave et al. 2020, "A Metric Learning Reality Check").
//! - `mean_average_precision`: `(1 / R) * sum of i / r_i` over the full ranking.
//! - `mrr`: `1 / r_1`.
//!
//! Each is averaged over the queries that have a relevant reference; the others ("lone") are counted and left out.
//! Equal distances are ordered by the smaller reference index.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::EvalError;
use crate::labels::Classes;
use crate::ranking::{Distance, Pair, Prepared, pack, unpack};
use crate::rows::check_labelled;

/// Keys that one block of queries may hold (8 MiB).
const BLOCK_KEYS: usize = 1 << 21;

/// Rows of a query block: enough to pay for packing the references, few enough to share out.
const QUERY_BLOCK: (usize, usize) = (32, 256);

/// Mean scores of a retrieval task, each in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetrievalScores {
    /// For each `k` asked for, the share of queries with a hit among the first `k`.
    pub recall_at: Vec<(usize, f64)>,
    /// Mean share of relevant references among the first `R`.
    pub r_precision: f64,
    /// Mean average precision at `R`, divided by `R`.
    pub map_at_r: f64,
    /// Mean average precision over the full ranking, divided by `R`.
    pub mean_average_precision: f64,
    /// Mean reciprocal rank of the first hit in the full ranking.
    pub mrr: f64,
    /// Queries scored.
    pub queries: usize,
    /// Queries without a relevant reference, left out.
    pub lone_queries: usize,
}

/// The values behind [`RetrievalScores`], one for each scored query: what a bootstrap over queries resamples.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PerQuery {
    /// Query rows that were scored, increasing.
    pub query: Vec<usize>,
    /// 1-based rank of the first relevant reference.
    pub first_rank: Vec<u32>,
    /// R-precision.
    pub r_precision: Vec<f64>,
    /// Average precision at `R`.
    pub map_at_r: Vec<f64>,
    /// Average precision over the full ranking.
    pub average_precision: Vec<f64>,
    /// Query rows without a relevant reference, increasing.
    pub lone: Vec<usize>,
}

impl PerQuery {
    /// For each scored query, 1 if a relevant reference is among the first `k`, else 0.
    pub fn recall_at(&self, k: usize) -> Vec<f64> {
        self.first_rank.iter().map(|&rank| f64::from(u8::from(rank as usize <= k))).collect()
    }

    /// For each scored query, the reciprocal rank of the first relevant reference.
    pub fn reciprocal_rank(&self) -> Vec<f64> {
        self.first_rank.iter().map(|&rank| 1.0 / f64::from(rank)).collect()
    }

    /// The means over the scored queries. `ks` are the cut-offs of `recall_at`.
    ///
    /// # Errors
    /// When no query was scored or a cut-off is zero.
    pub fn means(&self, ks: &[usize]) -> Result<RetrievalScores, EvalError> {
        if ks.contains(&0) {
            return Err(EvalError::setting("ks", 0, "cut-offs of at least 1"));
        }
        if self.query.is_empty() {
            return Err(EvalError::NoRelevant { queries: self.lone.len() });
        }
        Ok(RetrievalScores {
            recall_at: ks.iter().map(|&k| (k, mean(&self.recall_at(k)))).collect(),
            r_precision: mean(&self.r_precision),
            map_at_r: mean(&self.map_at_r),
            mean_average_precision: mean(&self.average_precision),
            mrr: mean(&self.reciprocal_rank()),
            queries: self.query.len(),
            lone_queries: self.lone.len(),
        })
    }

    /// Adds a query whose relevant references are at the increasing 1-based `ranks`, out of `relevant` in all.
    fn push(&mut self, query: usize, ranks: &[u32], relevant: usize) {
        let Some(&first) = ranks.first() else {
            self.lone.push(query);
            return;
        };
        let within = ranks.partition_point(|&rank| rank as usize <= relevant);
        let precisions = |ranks: &[u32]| -> f64 {
            ranks.iter().zip(1u32..).map(|(&rank, hits)| f64::from(hits) / f64::from(rank)).sum()
        };
        self.query.push(query);
        self.first_rank.push(first);
        self.r_precision.push(within as f64 / relevant as f64);
        self.map_at_r.push(precisions(&ranks[..within]) / relevant as f64);
        self.average_precision.push(precisions(ranks) / relevant as f64);
    }

    fn append(&mut self, mut other: Self) {
        self.query.append(&mut other.query);
        self.first_rank.append(&mut other.first_rank);
        self.r_precision.append(&mut other.r_precision);
        self.map_at_r.append(&mut other.map_at_r);
        self.average_precision.append(&mut other.average_precision);
        self.lone.append(&mut other.lone);
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean retrieval scores of `queries` `[q, d]` with their classes.
///
/// `references` are the rows to retrieve, `[r, d]`, with their classes; `None` ranks the queries against each other,
/// each left out of its own ranking by its index. `ks` are the cut-offs of `recall_at`, each between 1 and the
/// references that a query has.
///
/// # Errors
/// When a matrix is empty or not finite, shapes or label counts do not fit, a cut-off is out of range, or no query
/// has a relevant reference.
///
/// ```
/// use nearfar_core::matrix::Matrix;
/// use nearfar_eval::{Distance, retrieval};
///
/// let points = Matrix::new(vec![0.0, 1.0, 5.0, 6.0, 20.0], 5, 1).unwrap();
/// let scores = retrieval(&points, &[0, 0, 1, 1, 2], None, Distance::Euclidean, &[1]).unwrap();
/// assert_eq!(scores.recall_at, [(1, 1.0)]);
/// assert_eq!((scores.map_at_r, scores.lone_queries), (1.0, 1));
/// ```
pub fn retrieval(
    queries: &Matrix,
    query_labels: &[usize],
    references: Option<(&Matrix, &[usize])>,
    distance: Distance,
    ks: &[usize],
) -> Result<RetrievalScores, EvalError> {
    check_labelled("queries", queries, query_labels)?;
    let available = references.map_or(queries.rows().saturating_sub(1), |(rows, _)| rows.rows());
    if let Some(&k) = ks.iter().find(|&&k| k > available) {
        return Err(EvalError::TooManyNeighbors { k, available });
    }
    retrieval_per_query(queries, query_labels, references, distance)?.means(ks)
}

/// The values of each query behind [`retrieval`]; the arguments are the same.
///
/// Memory is bounded by the block: a few query rows against all references.
///
/// # Errors
/// As [`retrieval`].
pub fn retrieval_per_query(
    queries: &Matrix,
    query_labels: &[usize],
    references: Option<(&Matrix, &[usize])>,
    distance: Distance,
) -> Result<PerQuery, EvalError> {
    check_labelled("queries", queries, query_labels)?;
    let prepared_queries = Prepared::new("queries", queries, distance)?;
    let scores = match references {
        None => {
            let pair = Pair::new(&prepared_queries, &prepared_queries, distance, true)?;
            score_queries(&pair, query_labels, query_labels)
        }
        Some((references, labels)) => {
            check_labelled("references", references, labels)?;
            let prepared_references = Prepared::new("references", references, distance)?;
            let pair = Pair::new(&prepared_queries, &prepared_references, distance, false)?;
            score_queries(&pair, query_labels, labels)
        }
    };
    if scores.query.is_empty() { Err(EvalError::NoRelevant { queries: queries.rows() }) } else { Ok(scores) }
}

fn score_queries(pair: &Pair<'_>, query_labels: &[usize], reference_labels: &[usize]) -> PerQuery {
    let classes = Classes::new(reference_labels);
    let (queries, references) = (pair.queries.len(), pair.references.len());
    let share = queries.div_ceil(4 * rayon::current_num_threads());
    let block = (BLOCK_KEYS / references).min(share).clamp(QUERY_BLOCK.0, QUERY_BLOCK.1).min(queries);
    let blocks: Vec<PerQuery> = (0..queries.div_ceil(block))
        .into_par_iter()
        .map_init(
            || (vec![0.0f32; block * references], Ranker::default()),
            |(keys, ranker), at| {
                let (first, end) = (at * block, queries.min((at + 1) * block));
                let keys = &mut keys[..(end - first) * references];
                pair.products((first, end), (0, references), keys);
                let mut scores = PerQuery::default();
                for (query, keys) in (first..end).zip(keys.chunks_exact_mut(references)) {
                    keys.iter_mut().zip(pair.bias(0, references)).for_each(|(key, bias)| *key += bias);
                    let relevant = classes
                        .position(query_labels[query])
                        .map_or(&[] as &[u32], |class| classes.rows[class].as_slice());
                    let ranks = ranker.ranks(keys, relevant, pair.exclude_self.then_some(query as u32));
                    scores.push(query, ranks, ranks.len());
                }
                scores
            },
        )
        .collect();
    let mut all = PerQuery::default();
    blocks.into_iter().for_each(|block| all.append(block));
    all
}

/// Finds the ranks of a few references in a full ranking without sorting it.
#[derive(Default)]
struct Ranker {
    /// Packed keys of the relevant references, sorted.
    relevant: Vec<u64>,
    /// Relevant references below each cell of the key range, and after the last one.
    below: Vec<u32>,
    /// `counts[i]`: references that have exactly `i` relevant ones at or before them.
    counts: Vec<u32>,
    ranks: Vec<u32>,
}

impl Ranker {
    /// Increasing 1-based ranks of the references `relevant` among all `keys`, with `skipped` left out of both.
    ///
    /// A reference is before another when its key, then its index, is smaller. Every reference is placed among the
    /// sorted relevant ones: a table over equal cells of their key range answers at once unless a relevant key lies
    /// in the same cell. Rounding is monotone, so cells never contradict the order of the keys.
    fn ranks(&mut self, keys: &[f32], relevant: &[u32], skipped: Option<u32>) -> &[u32] {
        self.relevant.clear();
        self.relevant
            .extend(relevant.iter().filter(|&&index| Some(index) != skipped).map(|&i| pack(keys[i as usize], i)));
        self.relevant.sort_unstable();
        self.ranks.clear();
        let (Some(&nearest), Some(&farthest)) = (self.relevant.first(), self.relevant.last()) else {
            return &self.ranks;
        };
        let cells = Cells::new(unpack(nearest).0, unpack(farthest).0, self.relevant.len());
        self.fill_table(&cells);

        self.counts.clear();
        self.counts.resize(self.relevant.len() + 1, 0);
        for (&key, index) in keys.iter().zip(0u32..) {
            let place = self.place(&cells, key, index);
            self.counts[place] += 1;
        }
        if let Some(index) = skipped {
            let place = self.place(&cells, keys[index as usize], index);
            self.counts[place] -= 1;
        }
        let mut before = 0u32;
        for count in &self.counts[..self.relevant.len()] {
            before += count;
            self.ranks.push(before + 1);
        }
        &self.ranks
    }

    fn fill_table(&mut self, cells: &Cells) {
        self.below.clear();
        self.below.resize(cells.count + 1, 0);
        for &entry in &self.relevant {
            self.below[cells.of(unpack(entry).0) + 1] += 1;
        }
        let mut sum = 0u32;
        for below in &mut self.below {
            sum += *below;
            *below = sum;
        }
    }

    /// How many relevant references are at or before the reference `index` with `key`.
    #[inline]
    fn place(&self, cells: &Cells, key: f32, index: u32) -> usize {
        let cell = cells.of(key);
        let (start, end) = (self.below[cell] as usize, self.below[cell + 1] as usize);
        if start == end {
            return start;
        }
        let entry = pack(key, index);
        start + self.relevant[start..end].partition_point(|&other| other <= entry)
    }
}

/// Equal cells of a range of keys; keys outside fall in the first or the last one.
struct Cells {
    low: f32,
    scale: f32,
    count: usize,
}

impl Cells {
    /// About four cells for each relevant reference.
    fn new(low: f32, high: f32, relevant: usize) -> Self {
        let count = (4 * relevant).next_power_of_two().clamp(16, 1 << 16);
        Self { low, scale: count as f32 / (high - low), count }
    }

    #[inline]
    fn of(&self, key: f32) -> usize {
        // The cast saturates: below the range is cell 0, far above it the last one. With `high == low` the scale is
        // infinite; NaN (the key itself) becomes cell 0 and every larger key the last cell, which is still monotone.
        (((key - self.low) * self.scale) as i32).clamp(0, self.count as i32 - 1) as usize
    }
}

#[cfg(test)]
mod tests;
