//! Statistics of scores over seeds, folds, queries or classes: intervals, tests of two methods and of several, and how
//! many seeds a decision needs.
//!
//! Values equal those of scipy, statsmodels and limma on fixed inputs (`stats.py` and `variances.R` in
//! `fixtures/golden`).

mod bootstrap;
mod distributions;
mod extremes;
#[cfg(test)]
mod goldens;
mod moderated;
mod paired;
mod permutation;
mod power;
mod ranks;

pub use bootstrap::{bootstrap_classes, bootstrap_mean, bootstrap_mean_bca, paired_bootstrap};
pub use extremes::expected_maximum;
pub use moderated::VariancePrior;
pub use paired::{PairedTest, WelchTest, Wilcoxon, paired_t_test, welch_t_test, wilcoxon_signed_rank};
pub use permutation::{GroupsTest, groups_test};
pub use power::{paired_t_power, pairs_needed};
pub use ranks::{Friedman, friedman, holm, nemenyi_critical_difference};

use serde::Serialize;

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
    let half = distributions::t_quantile((1.0 - confidence) / 2.0, (values.len() - 1) as f64) * sd
        / (values.len() as f64).sqrt();
    Ok(Interval { mean, low: mean - half, high: mean + half })
}

/// The `t` that Student's distribution exceeds with chance `tail`, for example 0.025 for a two-sided interval of 95 %;
/// the degrees of freedom may be fractional, as Welch's are.
///
/// # Errors
/// When the tail is not above 0 and at most one half, or the degrees of freedom are not positive and finite.
pub fn t_quantile(tail: f64, degrees_of_freedom: f64) -> Result<f64, EvalError> {
    if !(tail > 0.0 && tail <= 0.5) {
        return Err(EvalError::setting("tail", tail, "above 0 and at most 0.5"));
    }
    check_freedom(degrees_of_freedom)?;
    Ok(distributions::t_quantile(tail, degrees_of_freedom))
}

/// Chance that Student's t lies at least as far from zero as `t`, which may be infinite: the two-sided p-value.
///
/// # Errors
/// When `t` is NaN, or the degrees of freedom are not positive and finite.
pub fn t_p_value(t: f64, degrees_of_freedom: f64) -> Result<f64, EvalError> {
    if t.is_nan() {
        return Err(EvalError::setting("t", t, "a number"));
    }
    check_freedom(degrees_of_freedom)?;
    Ok(distributions::t_two_sided(t, degrees_of_freedom))
}

fn check_freedom(degrees_of_freedom: f64) -> Result<(), EvalError> {
    if degrees_of_freedom > 0.0 && degrees_of_freedom.is_finite() {
        Ok(())
    } else {
        Err(EvalError::setting("degrees_of_freedom", degrees_of_freedom, "positive and finite"))
    }
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

#[cfg(test)]
mod tests {
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
    fn settings_of_students_t_are_checked() {
        assert!((t_quantile(0.025, 2.0).unwrap() - 4.302_652_730).abs() < 1e-8);
        assert_eq!(t_p_value(0.0, 3.5), Ok(1.0));
        assert_eq!(t_p_value(f64::INFINITY, 3.5), Ok(0.0));
        assert!(matches!(t_quantile(0.6, 2.0), Err(EvalError::Setting { name: "tail", .. })));
        assert!(matches!(t_quantile(0.1, 0.0), Err(EvalError::Setting { name: "degrees_of_freedom", .. })));
        assert!(matches!(t_p_value(f64::NAN, 2.0), Err(EvalError::Setting { name: "t", .. })));
    }
}
