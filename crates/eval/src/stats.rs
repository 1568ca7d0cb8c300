//! Statistics of scores over seeds, folds or queries.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::error::EvalError;

/// A mean with an interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Mean of the values.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Outcome of a paired t-test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairedTest {
    /// Mean of `a - b` with its confidence interval.
    pub difference: Interval,
    /// Student's t; infinite when all differences are equal and not zero.
    pub t: f64,
    /// Degrees of freedom, the number of pairs less one.
    pub degrees_of_freedom: usize,
    /// Two-sided p-value: how likely differences of zero mean give a `t` at least this far from zero.
    pub p_value: f64,
}

/// Arithmetic mean.
///
/// # Errors
/// When there is no value or one is not finite.
pub fn mean(values: &[f64]) -> Result<f64, EvalError> {
    check("values", values, 1)?;
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation (divisor `n - 1`).
///
/// # Errors
/// When there are fewer than two values or one is not finite.
pub fn sample_sd(values: &[f64]) -> Result<f64, EvalError> {
    check("values", values, 2)?;
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Ok((squares / (values.len() - 1) as f64).sqrt())
}

/// Student-t interval of the mean: `mean -+ t * sd / sqrt(n)`, with `confidence` between 0 and 1 (0.95 is usual).
///
/// # Errors
/// When there are fewer than two values, one is not finite, or the confidence is not between 0 and 1.
///
/// ```
/// let interval = nearfar_eval::stats::t_interval(&[0.80, 0.82, 0.84], 0.95).unwrap();
/// assert!((interval.mean - 0.82).abs() < 1e-12);
/// assert!((interval.high - 0.8697).abs() < 1e-4); // 0.82 + 4.303 * 0.02 / sqrt(3)
/// ```
pub fn t_interval(values: &[f64], confidence: f64) -> Result<Interval, EvalError> {
    check_confidence(confidence)?;
    let (sd, mean) = (sample_sd(values)?, mean(values)?);
    let half = t_quantile((1.0 - confidence) / 2.0, values.len() - 1) * sd / (values.len() as f64).sqrt();
    Ok(Interval { mean, low: mean - half, high: mean + half })
}

/// Paired two-sided t-test of `a[i]` against `b[i]`, for example two methods under the same seeds.
///
/// # Errors
/// When the lists differ in length, hold fewer than two pairs or a value that is not finite, or the confidence of the
/// interval is not between 0 and 1.
pub fn paired_t_test(a: &[f64], b: &[f64], confidence: f64) -> Result<PairedTest, EvalError> {
    let differences = differences(a, b)?;
    let difference = t_interval(&differences, confidence)?;
    let error = sample_sd(&differences)? / (differences.len() as f64).sqrt();
    let degrees_of_freedom = differences.len() - 1;
    // Without any spread the statistic is a limit: 0 for no difference, else infinite.
    let t = if difference.mean == 0.0 { 0.0 } else { difference.mean / error };
    let p_value = if t.is_infinite() { 0.0 } else { 2.0 * upper_tail(t.abs(), degrees_of_freedom) };
    Ok(PairedTest { difference, t, degrees_of_freedom, p_value: p_value.min(1.0) })
}

/// Percentile bootstrap of the mean (Efron 1979): resamples the values with replacement and takes the quantiles of the
/// resampled means. 10 000 resamples and a confidence of 0.95 are usual. Depends on the seed alone, not on threads.
///
/// # Errors
/// When there are fewer than two values, one is not finite, there are fewer than 100 resamples, or the confidence is
/// not between 0 and 1.
pub fn bootstrap_mean(values: &[f64], resamples: usize, confidence: f64, seed: u64) -> Result<Interval, EvalError> {
    check("values", values, 2)?;
    check_confidence(confidence)?;
    if resamples < 100 {
        return Err(EvalError::setting("resamples", resamples, "at least 100"));
    }
    let mut means: Vec<f64> = (0..resamples)
        .into_par_iter()
        .map(|resample| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(resample as u64);
            // Drawn as 64 bits, so that the width of `usize` cannot change the sequence.
            let count = values.len() as u64;
            let sum: f64 = (0..count).map(|_| values[rng.random_range(0..count) as usize]).sum();
            sum / count as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Ok(Interval { mean: mean(values)?, low: quantile(&means, tail), high: quantile(&means, 1.0 - tail) })
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

fn differences(a: &[f64], b: &[f64]) -> Result<Vec<f64>, EvalError> {
    if a.len() != b.len() {
        return Err(EvalError::Paired { left: "a", left_rows: a.len(), right: "b", right_rows: b.len() });
    }
    check("a", a, 2)?;
    check("b", b, 2)?;
    Ok(a.iter().zip(b).map(|(a, b)| a - b).collect())
}

fn check(what: &'static str, values: &[f64], needed: usize) -> Result<(), EvalError> {
    if values.len() < needed {
        return Err(EvalError::TooFewItems { what, needed, got: values.len() });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(EvalError::NonFinite { what, row, column: 0 }),
        None => Ok(()),
    }
}

fn check_confidence(confidence: f64) -> Result<(), EvalError> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok(())
    } else {
        Err(EvalError::setting("confidence", confidence, "between 0 and 1, both excluded"))
    }
}

/// Chance that Student's t with so many degrees of freedom (at least 1) exceeds `t`.
fn upper_tail(t: f64, degrees_of_freedom: usize) -> f64 {
    students_t(degrees_of_freedom).sf(t)
}

/// The `t` that is exceeded with chance `tail`.
fn t_quantile(tail: f64, degrees_of_freedom: usize) -> f64 {
    students_t(degrees_of_freedom).inverse_cdf(1.0 - tail)
}

fn students_t(degrees_of_freedom: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees_of_freedom as f64).expect("callers checked for at least two values")
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mean_and_deviation() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&values), Ok(5.0));
        assert!((sample_sd(&values).unwrap() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(mean(&[]), Err(EvalError::TooFewItems { what: "values", needed: 1, got: 0 }));
        assert!(matches!(sample_sd(&[1.0]), Err(EvalError::TooFewItems { needed: 2, .. })));
        assert_eq!(mean(&[1.0, f64::NAN]), Err(EvalError::NonFinite { what: "values", row: 1, column: 0 }));
    }

    #[test]
    fn quantiles_of_students_t_match_the_tables() {
        let tables = [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (4, 2.776_445_105),
            (9, 2.262_157_163),
            (30, 2.042_272_456),
            (599, 1.963_932_249),
        ];
        for (degrees_of_freedom, expected) in tables {
            let found = t_quantile(0.025, degrees_of_freedom);
            assert!((found - expected).abs() < 1e-6, "{degrees_of_freedom}: {found}");
        }
        // Closed form for two degrees of freedom: t = (2p - 1) sqrt(2 / (4 p (1 - p))).
        assert!((t_quantile(0.2, 2) - 0.6 * (2.0f64 / 0.64).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn paired_test_by_hand() {
        // Differences 1, 2, 3: mean 2, deviation 1, t = 2 sqrt(3); for two degrees p = 1 - t / sqrt(2 + t^2).
        let test = paired_t_test(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0], 0.95).unwrap();
        let t = 2.0 * 3.0f64.sqrt();
        assert!((test.t - t).abs() < 1e-12);
        assert!((test.p_value - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-9, "{test:?}");
        assert_eq!(test.degrees_of_freedom, 2);
        assert!((test.difference.mean - 2.0).abs() < 1e-12);
        assert!((test.difference.high - 2.0 - 4.302_652_730 / 3.0f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn paired_test_without_spread() {
        let same = paired_t_test(&[1.0, 2.0], &[1.0, 2.0], 0.95).unwrap();
        assert_eq!((same.t, same.p_value), (0.0, 1.0));
        let shifted = paired_t_test(&[2.0, 3.0], &[1.0, 2.0], 0.95).unwrap();
        assert_eq!((shifted.t, shifted.p_value), (f64::INFINITY, 0.0));
        assert!(matches!(paired_t_test(&[1.0], &[1.0, 2.0], 0.95), Err(EvalError::Paired { .. })));
    }

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
        let paired = paired_bootstrap(&values, &[0.0; 400], 4000, 0.95, 7).unwrap();
        assert_eq!(paired, found);
        assert!(matches!(bootstrap_mean(&values, 99, 0.95, 7), Err(EvalError::Setting { name: "resamples", .. })));
        assert!(matches!(bootstrap_mean(&values, 100, 1.0, 7), Err(EvalError::Setting { name: "confidence", .. })));
    }

    proptest! {
        /// Shifting both lists changes nothing; exchanging them flips the sign.
        #[test]
        fn paired_test_laws(
            pairs in prop::collection::vec((-9.0f64..9.0, -9.0f64..9.0), 3..12), shift in -5.0f64..5.0,
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let test = paired_t_test(&a, &b, 0.9).unwrap();
            let flipped = paired_t_test(&b, &a, 0.9).unwrap();
            prop_assert!((test.t + flipped.t).abs() <= 1e-9 * test.t.abs());
            prop_assert!((test.p_value - flipped.p_value).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&test.p_value));
            let moved = |values: &[f64]| values.iter().map(|value| value + shift).collect::<Vec<f64>>();
            let shifted = paired_t_test(&moved(&a), &moved(&b), 0.9).unwrap();
            prop_assert!((test.p_value - shifted.p_value).abs() < 1e-6);
        }
    }
}
