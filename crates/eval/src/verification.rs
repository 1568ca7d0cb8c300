//! Verification: do two rows show the same class? Scored over all distinct pairs of a labelled set.
//!
//! A pair's score is its cosine similarity or its negative Euclidean distance, so a larger score means "same" for
//! both. The false accept rate FAR(t) is the share of negative pairs with a score of at least `t`, the true accept
//! rate TAR(t) that of the positive pairs.
//!
//! `n` rows have `n (n - 1) / 2` pairs. [`verification`] never stores them: it counts them in 2^20 equal bins over
//! the range of the score. Counts are integers, so threads cannot change the result. All pairs inside a bin count as
//! tied: the ROC area counts such a positive-negative pair as half, and thresholds lie on bin edges (2^-19 apart for
//! the cosine similarity). [`verification_from_scores`] is exact for scores that fit in memory.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::EvalError;
use crate::labels::Classes;
use crate::product::row_products;
use crate::ranking::{Distance, Prepared};
use crate::rows::check_labelled;

/// Bins of the score histogram.
const BINS: usize = 1 << 20;

/// Rows on each side of one block of pairs.
const BLOCK: usize = 256;

/// Scores of a verification task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Area under the ROC curve, in `[0, 1]`: how likely a positive pair scores above a negative one, ties as half.
    pub roc_auc: f64,
    /// Equal error rate, in `[0, 1]`: where FAR equals `1 - TAR`, on the straight line between neighbouring thresholds.
    pub eer: f64,
    /// Largest TAR with FAR at most 0.001, in `[0, 1]`. Below 1000 negative pairs that means no false accept at all.
    pub tar_at_far_1e_3: f64,
    /// Threshold nearest to the equal error rate: accept pairs that score at least this. A cosine similarity or a
    /// negative Euclidean distance.
    pub threshold_at_eer: f64,
    /// Pairs of rows of one class.
    pub positive_pairs: u64,
    /// Pairs of rows of different classes.
    pub negative_pairs: u64,
}

/// Scores all distinct pairs of `features` `[n, d]` with their classes.
///
/// For the Euclidean distance the features are centred first, which changes no distance but keeps digits.
///
/// # Errors
/// When the features are empty or not finite, labels do not fit, or all pairs are of one kind.
pub fn verification(features: &Matrix, labels: &[usize], distance: Distance) -> Result<Verification, EvalError> {
    check_labelled("features", features, labels)?;
    let classes = Classes::new(labels);
    let histogram = match distance {
        Distance::Cosine => {
            let rows = Prepared::new("features", features, Distance::Cosine)?;
            Histogram::of_pairs(&rows, &classes.of_row, (-1.0, 1.0), |_, _, product| product)
        }
        Distance::Euclidean => {
            let centered = centered(features);
            let rows = Prepared::new("features", &centered, Distance::Euclidean)?;
            let squares = rows.squares();
            // No two rows are farther apart than twice the longest one.
            let longest = squares.iter().fold(0.0f32, |longest, &square| longest.max(square)).sqrt();
            Histogram::of_pairs(&rows, &classes.of_row, (-2.0 * longest, 0.0), |i, j, product| {
                let square = (squares[i] + (squares[j] - 2.0 * product)).max(0.0);
                -square.sqrt()
            })
        }
    };
    summarize(&histogram.groups())
}

/// Scores pairs whose scores are given, exactly; a larger score means "same".
///
/// # Errors
/// When one of the lists is empty or holds a score that is not finite.
///
/// ```
/// use nearfar_eval::verification_from_scores;
///
/// let scores = verification_from_scores(&[0.9, 0.8, 0.4], &[0.7, 0.1]).unwrap();
/// assert!((scores.roc_auc - 5.0 / 6.0).abs() < 1e-12); // 5 of 6 pairs are in order
/// ```
pub fn verification_from_scores(positives: &[f32], negatives: &[f32]) -> Result<Verification, EvalError> {
    for (what, scores) in [("positive scores", positives), ("negative scores", negatives)] {
        if let Some(row) = scores.iter().position(|score| !score.is_finite()) {
            return Err(EvalError::NonFinite { what, row, column: 0 });
        }
    }
    summarize(&exact_groups(positives, negatives))
}

/// Every column minus its mean.
fn centered(features: &Matrix) -> Matrix {
    let mut means = vec![0.0f64; features.cols()];
    for row in features.iter_rows() {
        means.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value));
    }
    means.iter_mut().for_each(|mean| *mean /= features.rows() as f64);
    Matrix::from_fn(features.rows(), features.cols(), |i, j| (f64::from(features.row(i)[j]) - means[j]) as f32)
}

/// Pairs that no threshold tells apart: accepted from `threshold` down.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    threshold: f64,
    positives: u64,
    negatives: u64,
}

/// One group for each distinct score, from the largest down.
fn exact_groups(positives: &[f32], negatives: &[f32]) -> Vec<Group> {
    // Adding zero turns -0 into 0: they are one score.
    let mut scores: Vec<(f32, bool)> = positives.iter().map(|&score| (score + 0.0, true)).collect();
    scores.extend(negatives.iter().map(|&score| (score + 0.0, false)));
    scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let group = |tied: &[(f32, bool)]| {
        let positives = tied.iter().filter(|&&(_, positive)| positive).count() as u64;
        Group { threshold: f64::from(tied[0].0), positives, negatives: tied.len() as u64 - positives }
    };
    scores.chunk_by(|a, b| a.0 == b.0).map(group).collect()
}

/// Counts of pairs in equal bins of their score.
struct Histogram {
    low: f32,
    bins_per_unit: f32,
    /// For each bin, negative pairs, then positive pairs: side by side, as both are met in turn.
    counts: Vec<u64>,
}

impl Histogram {
    /// Counts the pairs `i < j` by `score(i, j, product of the rows)`, which lies in `range`.
    fn of_pairs(
        rows: &Prepared<'_>,
        classes: &[u32],
        range: (f32, f32),
        score: impl Fn(usize, usize, f32) -> f32 + Sync,
    ) -> Self {
        let (low, bins_per_unit) = (range.0, BINS as f32 / (range.1 - range.0));
        let starts: Vec<usize> = (0..rows.len()).step_by(BLOCK).collect();
        let blocks: Vec<(usize, usize)> =
            starts.iter().flat_map(|&i| starts.iter().map(move |&j| (i, j))).filter(|&(i, j)| i <= j).collect();
        // A histogram each for a fixed number of workers, rather than for each piece that the scheduler happens to cut.
        let workers = rayon::current_num_threads().min(blocks.len());
        let parts: Vec<Vec<u64>> = (0..workers)
            .into_par_iter()
            .map(|worker| {
                let mut counts = vec![0u64; 2 * BINS];
                let mut products = vec![0.0f32; BLOCK * BLOCK];
                for &(first_i, first_j) in blocks.iter().skip(worker).step_by(workers) {
                    let end_i = rows.len().min(first_i + BLOCK);
                    let end_j = rows.len().min(first_j + BLOCK);
                    let width = end_j - first_j;
                    let products = &mut products[..(end_i - first_i) * width];
                    let (left, right) = (rows.block(first_i, end_i), rows.block(first_j, end_j));
                    row_products(left, right, rows.rows().cols(), 1.0, products);
                    for (i, products) in (first_i..end_i).zip(products.chunks_exact(width)) {
                        let start = first_j.max(i + 1);
                        for (j, &product) in (start..end_j).zip(&products[start - first_j..]) {
                            // The cast saturates, and NaN (all rows are one point) becomes bin 0.
                            let bin = (((score(i, j, product) - low) * bins_per_unit) as usize).min(BINS - 1);
                            counts[2 * bin + usize::from(classes[i] == classes[j])] += 1;
                        }
                    }
                }
                counts
            })
            .collect();
        let mut counts = vec![0u64; 2 * BINS];
        for part in parts {
            counts.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
        }
        Self { low, bins_per_unit, counts }
    }

    /// The bins that hold pairs, from the largest score down; a threshold is the lower edge of its bin.
    fn groups(&self) -> Vec<Group> {
        let edge = |bin: usize| f64::from(self.low) + bin as f64 / f64::from(self.bins_per_unit);
        (0..BINS)
            .rev()
            .map(|bin| Group {
                threshold: edge(bin),
                negatives: self.counts[2 * bin],
                positives: self.counts[2 * bin + 1],
            })
            .filter(|group| group.positives + group.negatives > 0)
            .collect()
    }
}

/// All scores from groups in order of falling threshold.
fn summarize(groups: &[Group]) -> Result<Verification, EvalError> {
    let positive_pairs: u64 = groups.iter().map(|group| group.positives).sum();
    let negative_pairs: u64 = groups.iter().map(|group| group.negatives).sum();
    if positive_pairs == 0 {
        return Err(EvalError::OneKindOfPair { missing: "positive" });
    }
    if negative_pairs == 0 {
        return Err(EvalError::OneKindOfPair { missing: "negative" });
    }
    let (eer, threshold_at_eer) = equal_error(groups, positive_pairs, negative_pairs);
    Ok(Verification {
        roc_auc: roc_auc(groups, positive_pairs, negative_pairs),
        eer,
        tar_at_far_1e_3: tar_at_far(groups, positive_pairs, negative_pairs, 1e-3),
        threshold_at_eer,
        positive_pairs,
        negative_pairs,
    })
}

fn roc_auc(groups: &[Group], positive_pairs: u64, negative_pairs: u64) -> f64 {
    let (mut accepted, mut twice_in_order) = (0u64, 0u128);
    for group in groups {
        twice_in_order += u128::from(group.negatives) * u128::from(2 * accepted + group.positives);
        accepted += group.positives;
    }
    twice_in_order as f64 / 2.0 / positive_pairs as f64 / negative_pairs as f64
}

/// The equal error rate and the threshold nearest to it.
fn equal_error(groups: &[Group], positive_pairs: u64, negative_pairs: u64) -> (f64, f64) {
    let (mut true_accepts, mut false_accepts) = (0u64, 0u64);
    // Above every score nothing is accepted: FAR is 0, the false reject rate is 1.
    let (mut last_far, mut last_gap, mut last_threshold) = (0.0, -1.0, None);
    for group in groups {
        true_accepts += group.positives;
        false_accepts += group.negatives;
        let far = false_accepts as f64 / negative_pairs as f64;
        let gap = far - (positive_pairs - true_accepts) as f64 / positive_pairs as f64;
        if gap >= 0.0 {
            let threshold = match last_threshold {
                Some(last) if gap > -last_gap => last,
                _ => group.threshold,
            };
            // The gap grows from below zero to at least zero, so the denominator is positive.
            return (last_far - last_gap / (gap - last_gap) * (far - last_far), threshold);
        }
        (last_far, last_gap, last_threshold) = (far, gap, Some(group.threshold));
    }
    unreachable!("accepting every pair gives FAR 1 and no false reject")
}

/// Largest TAR whose FAR does not exceed `far`.
fn tar_at_far(groups: &[Group], positive_pairs: u64, negative_pairs: u64, far: f64) -> f64 {
    // The slack absorbs the rounding of `far * negative_pairs` when that is a whole number.
    let allowed = far * negative_pairs as f64 * (1.0 + 1e-12);
    let (mut true_accepts, mut false_accepts) = (0u64, 0u64);
    for group in groups {
        false_accepts += group.negatives;
        if false_accepts as f64 > allowed {
            break;
        }
        true_accepts += group.positives;
    }
    true_accepts as f64 / positive_pairs as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{blobs, noise};

    #[test]
    fn hand_computed_curve() {
        // Scores from the top: + + - + -. Positive 3 is below negative 1 only.
        let scores = verification_from_scores(&[0.9, 0.8, 0.4], &[0.7, 0.1]).unwrap();
        assert!((scores.roc_auc - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!((scores.positive_pairs, scores.negative_pairs), (3, 2));
        // FAR - FRR goes -1/3 at 0.8 to 1/6 at 0.7: two thirds of the way from FAR 0 to FAR 1/2.
        assert!((scores.eer - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(scores.threshold_at_eer, f64::from(0.7f32));
        assert!((scores.tar_at_far_1e_3 - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn perfect_and_useless_scores() {
        let perfect = verification_from_scores(&[0.9, 0.8], &[0.1, 0.2, 0.3]).unwrap();
        assert_eq!((perfect.roc_auc, perfect.eer, perfect.tar_at_far_1e_3), (1.0, 0.0, 1.0));
        assert_eq!(perfect.threshold_at_eer, f64::from(0.8f32));
        let constant = verification_from_scores(&[0.5; 4], &[0.5; 6]).unwrap();
        assert_eq!((constant.roc_auc, constant.eer, constant.tar_at_far_1e_3), (0.5, 0.5, 0.0));
        let zeros = verification_from_scores(&[0.0], &[-0.0]).unwrap();
        assert_eq!(zeros.roc_auc, 0.5);
    }

    /// Open Metric Learning's docstring of FNMR@FMR: distances, so scores are negative.
    #[test]
    fn matches_fnmr_at_fmr() {
        let positives = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 5.0, 5.0, 9.0, 9.0].map(|distance: f32| -distance);
        let negatives = [3.0, 3.0, 4.0, 4.0, 6.0, 6.0, 7.0, 7.0, 8.0, 8.0].map(|distance: f32| -distance);
        let groups = exact_groups(&positives, &negatives);
        assert!((1.0 - tar_at_far(&groups, 10, 10, 0.1) - 0.4).abs() < 1e-12);
        assert!((1.0 - tar_at_far(&groups, 10, 10, 0.5) - 0.2).abs() < 1e-12);
    }

    /// All pairs, one by one.
    fn pair_scores(features: &Matrix, labels: &[usize], distance: Distance) -> (Vec<f32>, Vec<f32>) {
        let (mut positives, mut negatives) = (Vec::new(), Vec::new());
        for i in 0..features.rows() {
            for j in i + 1..features.rows() {
                let pairs = || features.row(i).iter().zip(features.row(j)).map(|(&a, &b)| (f64::from(a), f64::from(b)));
                let score = match distance {
                    Distance::Euclidean => -pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
                    Distance::Cosine => {
                        let dot = pairs().map(|(a, b)| a * b).sum::<f64>();
                        let squares = pairs().fold((0.0, 0.0), |(x, y), (a, b)| (x + a * a, y + b * b));
                        dot / (squares.0 * squares.1).sqrt()
                    }
                };
                let list = if labels[i] == labels[j] { &mut positives } else { &mut negatives };
                list.push(score as f32);
            }
        }
        (positives, negatives)
    }

    #[test]
    fn the_histogram_agrees_with_sorting() {
        // More rows than a block, so that diagonal, inner and tail blocks all occur.
        let (features, labels) = blobs(190, 6, 2.0);
        for distance in [Distance::Cosine, Distance::Euclidean] {
            let found = verification(&features, &labels, distance).unwrap();
            let (positives, negatives) = pair_scores(&features, &labels, distance);
            let exact = verification_from_scores(&positives, &negatives).unwrap();
            assert_eq!((found.positive_pairs, found.negative_pairs), (exact.positive_pairs, exact.negative_pairs));
            assert!((found.roc_auc - exact.roc_auc).abs() < 1e-5, "{found:?} {exact:?}");
            assert!((found.eer - exact.eer).abs() < 1e-4, "{found:?} {exact:?}");
            assert!((found.tar_at_far_1e_3 - exact.tar_at_far_1e_3).abs() < 1e-3, "{found:?} {exact:?}");
            assert!((found.threshold_at_eer - exact.threshold_at_eer).abs() < 1e-4, "{found:?} {exact:?}");
        }
    }

    #[test]
    fn identical_rows_are_all_tied() {
        let features = Matrix::from_fn(6, 3, |_, j| j as f32 + 1.0);
        for distance in [Distance::Cosine, Distance::Euclidean] {
            let found = verification(&features, &[0, 0, 0, 1, 1, 1], distance).unwrap();
            assert_eq!((found.roc_auc, found.positive_pairs, found.negative_pairs), (0.5, 6, 9));
        }
    }

    #[test]
    fn rejects_one_kind_of_pair_and_bad_scores() {
        let features = Matrix::from_fn(3, 2, |i, j| (i + j) as f32 + 1.0);
        let run = |labels: &[usize]| verification(&features, labels, Distance::Cosine);
        assert_eq!(run(&[0, 0, 0]), Err(EvalError::OneKindOfPair { missing: "negative" }));
        assert_eq!(run(&[0, 1, 2]), Err(EvalError::OneKindOfPair { missing: "positive" }));
        assert_eq!(
            verification_from_scores(&[0.1], &[0.2, f32::NAN]),
            Err(EvalError::NonFinite { what: "negative scores", row: 1, column: 0 })
        );
    }

    proptest! {
        /// The area is the share of ordered pairs; increasing functions of the score change nothing but the threshold.
        #[test]
        fn area_counts_ordered_pairs(positives in 1usize..30, negatives in 1usize..30, seed in 0usize..1000) {
            let score = |i: usize| (noise(seed * 100 + i) * 8.0).round();
            let p: Vec<f32> = (0..positives).map(score).collect();
            let n: Vec<f32> = (0..negatives).map(|i| score(i + 50)).collect();
            let found = verification_from_scores(&p, &n).unwrap();
            let ordered: f64 = p
                .iter()
                .flat_map(|a| n.iter().map(move |b| if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 }))
                .sum();
            prop_assert!((found.roc_auc - ordered / (positives * negatives) as f64).abs() < 1e-12);
            let cube = |scores: &[f32]| scores.iter().map(|s| s * s * s - 5.0).collect::<Vec<f32>>();
            let cubed = verification_from_scores(&cube(&p), &cube(&n)).unwrap();
            prop_assert_eq!((cubed.roc_auc, cubed.eer), (found.roc_auc, found.eer));
            prop_assert_eq!(cubed.tar_at_far_1e_3, found.tar_at_far_1e_3);
        }
    }
}
