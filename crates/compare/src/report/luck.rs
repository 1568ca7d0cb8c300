//! By how much the best of several scores leads by luck alone.
//!
//! The method that stands for a family was chosen by its mean over a few seeds, and so are a best and a worst setting. Were all
//! that could be chosen equal, the highest of `k` means would still lie above the common one, on average by the expected
//! maximum of `k` normal values times the standard error of a mean ([`expected_maximum`]). Where they are not equal, luck does
//! less. So a difference of chosen scores keeps the interval that it has, moved out by that much at the end that luck may
//! have raised it at ([`Estimate::with_luck`]): it then covers the true value at least as often as it says.

use super::estimate::{Estimate, Seeds, mean};
use nearfar_eval::stats::{self, expected_maximum};

/// P-value below which a score behind the best is taken to have had no chance to be chosen: else a method that collapsed, and
/// whose seeds lie far apart, would make every choice uncertain.
const HOPELESS: f64 = 0.01;

/// By how much one score exceeds another, the standard error of that and its degrees of freedom.
type Lead = (f64, f64, f64);

/// By how much luck may have raised the highest mean of these scores over the seeds.
pub(super) fn luck(scores: &[&Seeds]) -> f64 {
    of_best(scores.len(), |i, j| {
        Estimate::difference(scores[i], scores[j]).map(|own| (own.mean, own.error, own.freedom))
    })
}

/// The expected lead of the highest of so many means over the common one, if no score is better than another. The standard
/// error of a mean is that of their differences, as what a seed or an item does to all of them chooses none.
pub(super) fn of_best(count: usize, difference: impl Fn(usize, usize) -> Option<Lead>) -> f64 {
    let exceeds = |i: usize, j: usize| difference(i, j).is_some_and(|(lead, ..)| lead > 0.0);
    let Some(best) = (0..count).reduce(|best, next| if exceeds(next, best) { next } else { best }) else { return 0.0 };
    let had_a_chance = |i: &usize| {
        let p_value = |(behind, error, freedom): Lead| stats::t_p_value(behind / error, freedom).ok();
        *i == best || difference(best, *i).and_then(p_value).is_none_or(|p| p >= HOPELESS)
    };
    let rivals: Vec<usize> = (0..count).filter(had_a_chance).collect();
    let pairs = rivals.iter().enumerate().flat_map(|(place, i)| rivals[..place].iter().map(move |j| (*i, *j)));
    // Half of a difference's variance is one mean's.
    let variances: Vec<f64> = pairs.filter_map(|(i, j)| Some(difference(i, j)?.1.powi(2) / 2.0)).collect();
    mean(&variances).map_or(0.0, |variance| expected_maximum(rivals.len()) * variance.sqrt())
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
        let (a, b) = (seeds(&[0.5, 0.6, 0.7]), seeds(&[0.51, 0.59, 0.7]));
        assert!((luck(&[&a, &b]) - 0.564_189_58 * (1e-4f64 / 6.0).sqrt()).abs() < 1e-9);
        // The third differs from the first by as much, and from the second by twice that: 1, 1 and 4 of these variances.
        let c = seeds(&[0.49, 0.61, 0.7]);
        assert!((luck(&[&a, &b, &c]) - 0.846_284_38 * (2e-4f64 / 6.0).sqrt()).abs() < 1e-9);
    }

    /// A method that collapsed on some seeds was no rival.
    #[test]
    fn hopeless_scores_take_no_part() {
        let (a, b) = (seeds(&[0.80, 0.81, 0.79]), seeds(&[0.81, 0.80, 0.79]));
        let collapsed = seeds(&[0.10, 0.14, 0.12]);
        assert_eq!(luck(&[&a, &b, &collapsed]), luck(&[&a, &b]));
    }

    #[test]
    fn one_score_and_one_seed_have_none() {
        assert_eq!((luck(&[]), luck(&[&seeds(&[0.5, 0.7])])), (0.0, 0.0));
        assert_eq!(luck(&[&seeds(&[0.5]), &seeds(&[0.7])]), 0.0);
    }
}
