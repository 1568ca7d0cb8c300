//! Bootstrap intervals of means (Efron 1979): over queries, or over whole classes.
//!
//! Resamples depend on the seed alone, not on threads. 10 000 resamples and a confidence of 0.95 are usual.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::distributions::{normal_cdf, normal_quantile};
use super::{Interval, check, check_confidence, differences, mean};
use crate::error::EvalError;

/// Fewest resamples whose quantiles mean something.
const FEWEST: usize = 100;

/// Percentile bootstrap of the mean: resamples the values with replacement and takes the quantiles of the resampled
/// means.
///
/// # Errors
/// When there are fewer than two values, one is not finite, there are fewer than 100 resamples, or the confidence is
/// not between 0 and 1.
pub fn bootstrap_mean(values: &[f64], resamples: usize, confidence: f64, seed: u64) -> Result<Interval, EvalError> {
    let means = resampled_means(values, resamples, confidence, seed)?;
    let (low, high) = percentile(&means, confidence);
    Ok(Interval { mean: mean(values)?, low, high })
}

/// Bias-corrected and accelerated bootstrap of the mean (Efron 1987): as [`bootstrap_mean`], but the quantiles are
/// moved by the share of resampled means below the mean and by the skew of the values, which matters for few and skewed
/// ones.
///
/// # Errors
/// As [`bootstrap_mean`].
pub fn bootstrap_mean_bca(values: &[f64], resamples: usize, confidence: f64, seed: u64) -> Result<Interval, EvalError> {
    let means = resampled_means(values, resamples, confidence, seed)?;
    let (low, high) = accelerated(values, &means, confidence);
    Ok(Interval { mean: mean(values)?, low, high })
}

/// Percentile bootstrap over classes: draws whole classes with replacement, each with all its values. The queries of a
/// class are alike, so that this interval, not the one over queries, says what other classes would give.
///
/// # Errors
/// As [`bootstrap_mean`], and when there is not one class for each value or there are fewer than two classes.
pub fn bootstrap_classes(
    values: &[f64],
    classes: &[usize],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Result<Interval, EvalError> {
    check_settings(values, resamples, confidence)?;
    let groups = class_sums(values, classes)?;
    let count = groups.len() as u64;
    let means = resample(resamples, seed, |rng| {
        mean_of_classes((0..count).map(|_| groups[rng.random_range(0..count) as usize]))
    });
    let (low, high) = percentile(&means, confidence);
    Ok(Interval { mean: mean(values)?, low, high })
}

/// [`bootstrap_mean`] of the differences `a[i] - b[i]`, for example two methods on the same queries.
///
/// # Errors
/// As [`bootstrap_mean`], and when the lists differ in length.
pub fn paired_bootstrap(
    a: &[f64],
    b: &[f64],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Result<Interval, EvalError> {
    bootstrap_mean(&differences(a, b)?, resamples, confidence, seed)
}

fn check_settings(values: &[f64], resamples: usize, confidence: f64) -> Result<(), EvalError> {
    check("values", values, 2)?;
    check_confidence(confidence)?;
    if resamples < FEWEST {
        return Err(EvalError::setting("resamples", resamples, "at least 100"));
    }
    Ok(())
}

/// Sorted means of resampled values.
fn resampled_means(values: &[f64], resamples: usize, confidence: f64, seed: u64) -> Result<Vec<f64>, EvalError> {
    check_settings(values, resamples, confidence)?;
    // Drawn as 64 bits, so that the width of `usize` cannot change the sequence.
    let count = values.len() as u64;
    Ok(resample(resamples, seed, |rng| {
        let sum: f64 = (0..count).map(|_| values[rng.random_range(0..count) as usize]).sum();
        sum / count as f64
    }))
}

/// `statistic` of so many draws, each from a stream of its own, sorted.
fn resample(resamples: usize, seed: u64, statistic: impl Fn(&mut ChaCha8Rng) -> f64 + Sync) -> Vec<f64> {
    let mut values: Vec<f64> = (0..resamples)
        .into_par_iter()
        .map(|resample| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(resample as u64);
            statistic(&mut rng)
        })
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Sum and number of the values of each class.
fn class_sums(values: &[f64], classes: &[usize]) -> Result<Vec<(f64, f64)>, EvalError> {
    if values.len() != classes.len() {
        let (left_rows, right_rows) = (values.len(), classes.len());
        return Err(EvalError::Paired { left: "values", left_rows, right: "classes", right_rows });
    }
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (value, class) in values.iter().zip(classes) {
        let (sum, count) = sums.entry(*class).or_default();
        *sum += value;
        *count += 1.0;
    }
    if sums.len() < 2 {
        return Err(EvalError::TooFewClasses { what: "the bootstrap over classes", needed: 2, got: sums.len() });
    }
    Ok(sums.into_values().collect())
}

/// Mean of all values of the drawn classes.
fn mean_of_classes(drawn: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, count) = drawn.fold((0.0, 0.0), |all, class| (all.0 + class.0, all.1 + class.1));
    sum / count
}

/// The interval between the quantiles of sorted values.
fn percentile(sorted: &[f64], confidence: f64) -> (f64, f64) {
    let tail = (1.0 - confidence) / 2.0;
    (quantile(sorted, tail), quantile(sorted, 1.0 - tail))
}

/// The interval between the corrected quantiles of the sorted resampled `means` of `values`.
fn accelerated(values: &[f64], means: &[f64], confidence: f64) -> (f64, f64) {
    let count = values.len() as f64;
    let center = values.iter().sum::<f64>() / count;
    let at_most = means.partition_point(|mean| *mean <= center);
    let below = means.partition_point(|mean| *mean < center);
    // Half of the resamples that equal the mean count as below it. A mean outside all resamples would have an infinite
    // bias; half a resample stands for it.
    let resamples = means.len() as f64;
    let share = ((below + at_most) as f64 / 2.0 / resamples).clamp(0.5 / resamples, 1.0 - 0.5 / resamples);
    let bias = normal_quantile(share);
    // Leaving out one value moves the mean by its deviation over n - 1, so that the jackknife has a closed form.
    let (mut squares, mut cubes) = (0.0f64, 0.0f64);
    for value in values {
        let deviation = (value - center) / (count - 1.0);
        squares += deviation * deviation;
        cubes += deviation * deviation * deviation;
    }
    let skew = if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 };
    let moved = |share: f64| {
        let z = bias + normal_quantile(share);
        normal_cdf(bias + z / (1.0 - skew * z))
    };
    let tail = (1.0 - confidence) / 2.0;
    (quantile(means, moved(tail)), quantile(means, moved(1.0 - tail)))
}

/// Quantile of sorted values, linear between neighbours (type 7 of Hyndman and Fan 1996, NumPy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::goldens::{assert_relative, number, numbers, stats};

    #[test]
    fn quantile_is_linear_between_neighbors() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.0), 1.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), 4.0);
    }

    #[test]
    fn bootstrap_of_many_values_is_near_the_normal_interval() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let found = bootstrap_mean(&values, 4000, 0.95, 7).unwrap();
        let half = 1.96 * (0.25f64 * 0.75 / 400.0).sqrt();
        assert_eq!(found.mean, 0.25);
        assert!((found.low - (0.25 - half)).abs() < 0.005 && (found.high - (0.25 + half)).abs() < 0.005, "{found:?}");
        assert_eq!(bootstrap_mean(&values, 4000, 0.95, 7).unwrap(), found);
        let corrected = bootstrap_mean_bca(&values, 4000, 0.95, 7).unwrap();
        assert!((corrected.low - found.low).abs() < 0.01 && (corrected.high - found.high).abs() < 0.01);
        let paired = paired_bootstrap(&values, &[0.0; 400], 4000, 0.95, 7).unwrap();
        assert_eq!(paired, found);
        assert!(matches!(bootstrap_mean(&values, 99, 0.95, 7), Err(EvalError::Setting { name: "resamples", .. })));
        assert!(matches!(bootstrap_mean(&values, 100, 1.0, 7), Err(EvalError::Setting { name: "confidence", .. })));
    }

    /// Queries of one class are alike: the interval over classes is the wider one. Where they are not, both agree.
    #[test]
    fn classes_widen_the_interval() {
        let classes: Vec<usize> = (0..200).map(|i| i / 20).collect();
        let by_class: Vec<f64> = classes.iter().map(|class| *class as f64 / 10.0).collect();
        let width = |interval: Interval| interval.high - interval.low;
        let queries = width(bootstrap_mean(&by_class, 2000, 0.95, 1).unwrap());
        let found = width(bootstrap_classes(&by_class, &classes, 2000, 0.95, 1).unwrap());
        assert!(found > 3.0 * queries, "{found} {queries}");
        let equal = bootstrap_classes(&[0.5; 200], &classes, 2000, 0.95, 1).unwrap();
        assert_eq!((equal.mean, equal.low, equal.high), (0.5, 0.5, 0.5));
        let one = bootstrap_classes(&by_class, &[3; 200], 2000, 0.95, 1);
        assert!(matches!(one, Err(EvalError::TooFewClasses { .. })));
        let short = bootstrap_classes(&by_class, &classes[1..], 2000, 0.95, 1);
        assert!(matches!(short, Err(EvalError::Paired { .. })));
    }

    #[test]
    fn equal_values_have_no_width() {
        let found = bootstrap_mean_bca(&[0.25; 10], 100, 0.95, 3).unwrap();
        assert_eq!((found.low, found.high), (0.25, 0.25));
    }

    /// The file's own resamples, so that the intervals agree to the last digits.
    #[test]
    fn intervals_of_fixed_resamples_match_numpy_and_scipy() {
        let file = stats();
        for case in file["bootstrap"].as_array().unwrap() {
            let values = numbers(&case["values"]);
            let mean_at = |indices: &serde_json::Value| {
                let sum: f64 = numbers(indices).into_iter().map(|i| values[i as usize]).sum();
                sum / values.len() as f64
            };
            let mut means: Vec<f64> = case["indices"].as_array().unwrap().iter().map(mean_at).collect();
            means.sort_by(f64::total_cmp);
            for (name, (low, high)) in
                [("percentile", percentile(&means, 0.95)), ("bca", accelerated(&values, &means, 0.95))]
            {
                assert_relative(low, number(&case[name][0]), name);
                assert_relative(high, number(&case[name][1]), name);
            }
        }
        let case = &file["class_bootstrap"];
        let classes: Vec<usize> = numbers(&case["classes"]).into_iter().map(|class| class as usize).collect();
        let groups = class_sums(&numbers(&case["values"]), &classes).unwrap();
        let mean_at = |draw: &serde_json::Value| mean_of_classes(numbers(draw).into_iter().map(|c| groups[c as usize]));
        let mut means: Vec<f64> = case["draws"].as_array().unwrap().iter().map(mean_at).collect();
        means.sort_by(f64::total_cmp);
        let (low, high) = percentile(&means, 0.95);
        assert_relative(low, number(&case["percentile"][0]), "classes, low");
        assert_relative(high, number(&case["percentile"][1]), "classes, high");
    }
}
