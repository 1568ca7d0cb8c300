//! By how much the best of several scores leads by luck alone.
//!
//! The method that stands for a family was chosen by its mean over a few seeds, and so are a best and a worst setting. Were all
//! that could be chosen equal, the highest of `k` means would still lie above the common one, on average by the expected
//! maximum of `k` normal values times the standard error of a mean ([`expected_maximum`]). Where they are not equal, luck does
//! less. So a difference of chosen scores keeps the interval that it has, moved out by that much at the end that luck may
//! have raised it at ([`Estimate::with_luck`]): it then covers the true value at least as often as it says.

use super::estimate::{Estimate, Seeds, mean};
use nearfar_eval::stats::expected_maximum;

/// The expected lead of the highest mean of these scores over the others' common one, if no score is better than another. The
/// standard error is that of the scores' differences, as what a seed does to all of them chooses none.
pub(super) fn luck(scores: &[&Seeds]) -> f64 {
    let pairs = scores.iter().enumerate().flat_map(|(i, a)| scores[..i].iter().map(move |b| (*a, *b)));
    let differences = pairs.filter_map(|(a, b)| Estimate::difference(a, b));
    // Half of a difference's variance is one mean's.
    let variances: Vec<f64> = differences.map(|difference| difference.error.powi(2) / 2.0).collect();
    mean(&variances).map_or(0.0, |variance| expected_maximum(scores.len()) * variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(values: &[f64]) -> Seeds {
        (1..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn two_and_three_by_hand() {
        // Differences -0.01, 0.01 and 0: variance 1e-4, of a mean over three seeds 1e-4 / 3, half of that for one score.
        let (a, b) = (seeds(&[0.5, 0.6, 0.7]), seeds(&[0.31, 0.39, 0.5]));
        let error = (1e-4f64 / 6.0).sqrt();
        assert!((luck(&[&a, &b]) - 0.564_189_58 * error).abs() < 1e-9);
        // A score that keeps a distance to the first has no variance beside it.
        let c = seeds(&[0.2, 0.3, 0.4]);
        assert!((luck(&[&a, &b, &c]) - 0.846_284_38 * error * (2.0f64 / 3.0).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn one_score_and_one_seed_have_none() {
        assert_eq!((luck(&[]), luck(&[&seeds(&[0.5, 0.7])])), (0.0, 0.0));
        assert_eq!(luck(&[&seeds(&[0.5]), &seeds(&[0.7])]), 0.0);
    }
}
