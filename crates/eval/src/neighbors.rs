//! Exact nearest neighbours by blocked matrix products and partial selection.
//!
//! Nothing of size `queries x references` ever exists: products are made block by block, and each query keeps a short
//! list of candidates below its current limit. The result does not depend on the blocks or on the number of threads,
//! and equal distances are ordered by the smaller index.
//!
//! Arithmetic is `f32`, the squared distance `|q|^2 + |r|^2 - 2 q.r`: features whose offset is thousands of times their
//! spread should be centred first. The distance of a row to its exact copy is exactly zero.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;

use crate::error::EvalError;
pub use crate::ranking::Distance;
use crate::ranking::{Pair, Prepared, pack, unpack};

/// Rows of a full query block: enough to pay for packing the references once a block.
const QUERY_BLOCK: usize = 256;

/// Rows of a query block when there are few queries or long candidate lists.
const MIN_QUERY_BLOCK: usize = 32;

/// References in one product: a block of products (512 KiB) stays in the second-level cache.
const REFERENCE_BLOCK: usize = 512;

/// Candidates that all queries of a block may hold together (8 MiB).
const BLOCK_CANDIDATES: usize = 1 << 20;

/// Keys compared with the limit at once.
const LANES: usize = 16;

/// The nearest references of each query.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbors {
    /// Neighbours of each query.
    pub k: usize,
    /// Reference indices `[queries, k]`, row after row, nearest first.
    pub indices: Vec<u32>,
    /// Their scores `[queries, k]`: squared distances (Euclidean) or similarities (cosine); see [`Distance`].
    pub scores: Vec<f32>,
}

impl Neighbors {
    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.indices.len().checked_div(self.k).unwrap_or(0)
    }

    /// Reference indices of query `i`, nearest first.
    ///
    /// # Panics
    /// When `i` is not a query.
    pub fn indices_of(&self, i: usize) -> &[u32] {
        &self.indices[i * self.k..(i + 1) * self.k]
    }

    /// Scores of query `i`, nearest first.
    ///
    /// # Panics
    /// When `i` is not a query.
    pub fn scores_of(&self, i: usize) -> &[f32] {
        &self.scores[i * self.k..(i + 1) * self.k]
    }
}

/// The `k` nearest references of every query, exactly.
///
/// `queries` is `[q, d]`, `references` is `[r, d]`, `1 <= k <= r`. With `exclude_self`, query `i` is reference `i` (the
/// references are the queries, or begin with them) and is left out by its index, never by its distance; then `k < r`.
/// Ties go to the smaller index.
///
/// # Errors
/// When a matrix is empty, holds a value that is not finite, is too large for squared distances in `f32`, or does not
/// fit the other one; when `k` is zero or exceeds the references that a query can have.
///
/// ```
/// use nearfar_core::matrix::Matrix;
/// use nearfar_eval::{Distance, nearest};
///
/// let points = Matrix::new(vec![0.0, 1.0, 3.0], 3, 1).unwrap();
/// let neighbors = nearest(&points, &points, 2, Distance::Euclidean, true).unwrap();
/// assert_eq!(neighbors.indices_of(0), [1, 2]);
/// assert_eq!(neighbors.scores_of(0), [1.0, 9.0]); // squared distances
/// ```
pub fn nearest(
    queries: &Matrix,
    references: &Matrix,
    k: usize,
    distance: Distance,
    exclude_self: bool,
) -> Result<Neighbors, EvalError> {
    let prepared_references = Prepared::new("references", references, distance)?;
    if std::ptr::eq(queries, references) {
        let pair = Pair::new(&prepared_references, &prepared_references, distance, exclude_self)?;
        return select(&pair, k);
    }
    let prepared_queries = Prepared::new("queries", queries, distance)?;
    select(&Pair::new(&prepared_queries, &prepared_references, distance, exclude_self)?, k)
}

/// The `k` nearest references of prepared rows.
pub(crate) fn select(pair: &Pair<'_>, k: usize) -> Result<Neighbors, EvalError> {
    let available = pair.available();
    if k == 0 {
        return Err(EvalError::setting("k", k, "at least 1"));
    }
    if k > available {
        return Err(EvalError::TooManyNeighbors { k, available });
    }
    // Several blocks a thread even out their finishing times; long candidate lists need shorter blocks.
    let share = pair.queries.len().div_ceil(4 * rayon::current_num_threads());
    let by_memory = BLOCK_CANDIDATES / candidate_capacity(k, available);
    let queries = QUERY_BLOCK.min(share).min(by_memory).max(MIN_QUERY_BLOCK);
    Ok(select_in_blocks(pair, k, queries, REFERENCE_BLOCK))
}

/// [`select`] with the sizes of the blocks, which change no bit of the result. `1 <= k <= available`.
pub(crate) fn select_in_blocks(pair: &Pair<'_>, k: usize, query_block: usize, reference_block: usize) -> Neighbors {
    let queries = pair.queries.len();
    let mut indices = vec![0u32; queries * k];
    let mut scores = vec![0.0f32; queries * k];
    indices.par_chunks_mut(query_block * k).zip(scores.par_chunks_mut(query_block * k)).enumerate().for_each_init(
        || Workspace::new(pair, k, query_block.min(queries), reference_block),
        |workspace, (block, (indices, scores))| {
            let first = block * query_block;
            workspace.search(pair, first, first + indices.len() / k);
            for (row, (indices, scores)) in indices.chunks_mut(k).zip(scores.chunks_mut(k)).enumerate() {
                workspace.candidates[row].finish(|rank, key, index| {
                    indices[rank] = index;
                    scores[rank] = pair.score(first + row, key);
                });
            }
        },
    );
    Neighbors { k, indices, scores }
}

/// Entries that one query's list may hold: selection runs once every `capacity - k` candidates.
fn candidate_capacity(k: usize, available: usize) -> usize {
    if k == available { k } else { (2 * k).max(k + 64).min(available) }
}

/// Buffers of one thread, reused from block to block.
struct Workspace {
    products: Vec<f32>,
    candidates: Vec<Candidates>,
    reference_block: usize,
}

impl Workspace {
    fn new(pair: &Pair<'_>, k: usize, query_block: usize, reference_block: usize) -> Self {
        let reference_block = reference_block.min(pair.references.len());
        let capacity = candidate_capacity(k, pair.available());
        Self {
            products: vec![0.0; query_block * reference_block],
            candidates: (0..query_block).map(|_| Candidates::new(k, capacity)).collect(),
            reference_block,
        }
    }

    /// Finds the nearest references of queries `first..end`.
    fn search(&mut self, pair: &Pair<'_>, first: usize, end: usize) {
        let rows = end - first;
        self.candidates[..rows].iter_mut().for_each(Candidates::clear);
        let references = pair.references.len();
        for start in (0..references).step_by(self.reference_block) {
            let stop = references.min(start + self.reference_block);
            let width = stop - start;
            let products = &mut self.products[..rows * width];
            pair.products((first, end), (start, stop), products);
            let bias = pair.bias(start, stop);
            for (row, products) in products.chunks_exact(width).enumerate() {
                // No reference has this index, so nothing is left out by it.
                let skipped = if pair.exclude_self { (first + row) as u32 } else { u32::MAX };
                self.candidates[row].scan(products, bias, start as u32, skipped);
            }
        }
    }
}

/// The nearest references of one query so far.
struct Candidates {
    /// Packed keys in no order; among them are the `k` smallest so far.
    entries: Vec<u64>,
    /// Only a smaller key can still be among the `k` smallest. References come by increasing index, so an equal key
    /// would lose the tie.
    limit: f32,
    k: usize,
    capacity: usize,
}

impl Candidates {
    fn new(k: usize, capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), limit: f32::INFINITY, k, capacity }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.limit = f32::INFINITY;
    }

    /// Offers the references `start..start + products.len()`, all but `skipped`.
    #[inline]
    fn scan(&mut self, products: &[f32], bias: &[f32], start: u32, skipped: u32) {
        for (chunk, (products, bias)) in products.chunks(LANES).zip(bias.chunks(LANES)).enumerate() {
            if !any_below(products, bias, self.limit) {
                continue;
            }
            let base = start + (chunk * LANES) as u32;
            for (index, (&product, &bias)) in (base..).zip(products.iter().zip(bias)) {
                let key = product + bias;
                if key < self.limit && index != skipped {
                    self.push(pack(key, index));
                }
            }
        }
    }

    #[inline]
    fn push(&mut self, entry: u64) {
        if self.entries.len() == self.capacity {
            self.compact();
            // The limit is tighter now: the entry may have become too far.
            if unpack(entry).0 >= self.limit {
                return;
            }
        }
        self.entries.push(entry);
    }

    /// Keeps the `k` smallest entries and tightens the limit.
    #[inline(never)]
    fn compact(&mut self) {
        let (_, &mut worst, _) = self.entries.select_nth_unstable(self.k - 1);
        self.entries.truncate(self.k);
        self.limit = unpack(worst).0;
    }

    /// Reports the `k` smallest as (rank, key, index), nearest first.
    fn finish(&mut self, mut report: impl FnMut(usize, f32, u32)) {
        if self.entries.len() > self.k {
            self.compact();
        }
        self.entries.sort_unstable();
        for (rank, &entry) in self.entries.iter().enumerate() {
            let (key, index) = unpack(entry);
            report(rank, key, index);
        }
    }
}

/// Whether some key lies below the limit. Full chunks take the branch-free path that the compiler vectorises.
#[inline]
fn any_below(products: &[f32], bias: &[f32], limit: f32) -> bool {
    if let (Ok(products), Ok(bias)) = (<&[f32; LANES]>::try_from(products), <&[f32; LANES]>::try_from(bias)) {
        let mut hits = 0u32;
        for lane in 0..LANES {
            hits |= u32::from(products[lane] + bias[lane] < limit);
        }
        return hits != 0;
    }
    products.iter().zip(bias).any(|(product, bias)| product + bias < limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values on a coarse grid, so that ties are common and all arithmetic is exact.
    fn grid(rows: usize, cols: usize, seed: usize) -> Matrix {
        Matrix::from_fn(rows, cols, |i, j| ((((i * 7 + j * 13 + seed) * 2_654_435_761) >> 7) % 5) as f32 - 2.0)
    }

    /// Squared distances in `f64`, fully sorted.
    fn naive(queries: &Matrix, references: &Matrix, k: usize, exclude_self: bool) -> Vec<Vec<(f64, u32)>> {
        queries
            .iter_rows()
            .enumerate()
            .map(|(i, q)| {
                let mut all: Vec<(f64, u32)> = references
                    .iter_rows()
                    .enumerate()
                    .filter(|&(j, _)| !(exclude_self && i == j))
                    .map(|(j, r)| (q.iter().zip(r).map(|(a, b)| f64::from(a - b).powi(2)).sum(), j as u32))
                    .collect();
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                all.truncate(k);
                all
            })
            .collect()
    }

    fn assert_matches_naive(found: &Neighbors, expected: &[Vec<(f64, u32)>]) {
        assert_eq!(found.queries(), expected.len());
        for (i, row) in expected.iter().enumerate() {
            assert_eq!(found.indices_of(i), row.iter().map(|e| e.1).collect::<Vec<_>>(), "query {i}");
            assert_eq!(found.scores_of(i), row.iter().map(|e| e.0 as f32).collect::<Vec<_>>(), "query {i}");
        }
    }

    #[test]
    fn matches_a_full_sort_with_ties_by_index() {
        let (queries, references) = (grid(37, 3, 1), grid(900, 3, 2));
        for k in [1, 2, 7, 70, 899, 900] {
            let found = nearest(&queries, &references, k, Distance::Euclidean, false).unwrap();
            assert_matches_naive(&found, &naive(&queries, &references, k, false));
        }
    }

    #[test]
    fn leaves_out_the_query_by_index_only() {
        // Rows 0 and 1 are equal: each must find the other at distance zero, never itself.
        let points = Matrix::from_fn(40, 2, |i, j| if i < 2 { 1.0 } else { (i * 3 + j) as f32 });
        for k in [1, 5, 39] {
            let found = nearest(&points, &points, k, Distance::Euclidean, true).unwrap();
            assert_matches_naive(&found, &naive(&points, &points, k, true));
            assert_eq!((found.indices_of(0)[0], found.scores_of(0)[0]), (1, 0.0));
            assert_eq!((found.indices_of(1)[0], found.scores_of(1)[0]), (0, 0.0));
        }
        assert_eq!(
            nearest(&points, &points, 40, Distance::Euclidean, true),
            Err(EvalError::TooManyNeighbors { k: 40, available: 39 })
        );
    }

    #[test]
    fn copies_lie_at_distance_zero() {
        let points = Matrix::from_fn(60, 700, |i, j| ((i * 31 + j * 17) % 101) as f32 * 0.013 - 0.7);
        let found = nearest(&points, &points.clone(), 1, Distance::Euclidean, false).unwrap();
        assert!(found.scores.iter().all(|&score| score == 0.0));
        assert_eq!(found.indices, (0..60).collect::<Vec<u32>>());
    }

    #[test]
    fn cosine_ignores_length_and_keeps_zero_rows() {
        let references = Matrix::new(vec![10.0, 0.0, 0.0, 0.1, -3.0, 0.0, 0.0, 0.0], 4, 2).unwrap();
        let queries = Matrix::new(vec![0.5, 0.0, 0.0, 0.0], 2, 2).unwrap();
        let found = nearest(&queries, &references, 4, Distance::Cosine, false).unwrap();
        assert_eq!(found.indices_of(0), [0, 1, 3, 2]);
        assert_eq!(found.scores_of(0), [1.0, 0.0, 0.0, -1.0]);
        // A zero query is at similarity 0 to everything: index order.
        assert_eq!(found.indices_of(1), [0, 1, 2, 3]);
        assert_eq!(found.scores_of(1), [0.0; 4]);
    }

    #[test]
    fn rejects_bad_input() {
        let points = grid(5, 3, 0);
        assert!(matches!(
            nearest(&points, &points, 0, Distance::Cosine, false),
            Err(EvalError::Setting { name: "k", .. })
        ));
        assert!(matches!(nearest(&points, &grid(5, 4, 0), 1, Distance::Cosine, false), Err(EvalError::Width { .. })));
        let mut bad = points.clone();
        bad.row_mut(4)[2] = f32::NAN;
        let expected = EvalError::NonFinite { what: "queries", row: 4, column: 2 };
        assert_eq!(nearest(&bad, &points, 1, Distance::Cosine, false), Err(expected));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Block sizes change no bit, on values whose arithmetic is not exact.
        #[test]
        fn the_same_for_every_block_size(
            queries in 1usize..60, references in 2usize..300, cols in 1usize..20, query_block in 1usize..70,
            reference_block in 1usize..320, share in 0.0f64..1.0, cosine in any::<bool>(),
            exclude_self in any::<bool>(),
        ) {
            let distance = if cosine { Distance::Cosine } else { Distance::Euclidean };
            let queries = queries.min(references);
            let value = |i: usize, j: usize| ((i * 7919 + j * 104_729 + 13) % 1009) as f32 * 0.317 - 150.0;
            let (q, r) = (Matrix::from_fn(queries, cols, value), Matrix::from_fn(references, cols, value));
            let q = Prepared::new("queries", &q, distance).unwrap();
            let r = Prepared::new("references", &r, distance).unwrap();
            let pair = Pair::new(&q, &r, distance, exclude_self).unwrap();
            let k = 1 + (share * (pair.available() - 1) as f64) as usize;
            let expected = select_in_blocks(&pair, k, queries, references);
            prop_assert_eq!(select_in_blocks(&pair, k, query_block, reference_block), expected.clone());
            prop_assert_eq!(select(&pair, k).unwrap(), expected);
        }

        /// Fewer neighbours are a prefix of more.
        #[test]
        fn fewer_are_a_prefix(rows in 3usize..80, k in 1usize..40, seed in 0usize..100) {
            let points = grid(rows, 2, seed);
            let all = nearest(&points, &points, rows - 1, Distance::Euclidean, true).unwrap();
            let k = k.min(rows - 1);
            let few = nearest(&points, &points, k, Distance::Euclidean, true).unwrap();
            for i in 0..rows {
                prop_assert_eq!(few.indices_of(i), &all.indices_of(i)[..k]);
                prop_assert_eq!(few.scores_of(i), &all.scores_of(i)[..k]);
            }
        }
    }
}
