//! How many pairs a paired t-test needs.

use std::f64::consts::LN_2;

use statrs::function::gamma::ln_gamma;

use super::distributions::{normal_cdf, t_quantile};
use crate::error::EvalError;

/// Where a density has fallen to 1e-16 of its height.
const DECAY: f64 = 37.0;

/// Chance that a paired two-sided t-test at the level `alpha` over so many pairs finds a difference whose mean is
/// `effect` standard deviations of the differences (Cohen's d_z).
///
/// With `n` pairs the statistic is `(Z + effect sqrt(n)) / S`, where `S` is the root of chi-squared over its `n - 1`
/// degrees of freedom. The chance is the mean over `S` of what `Z` decides.
///
/// # Errors
/// When there are fewer than two pairs, the effect is not finite, or the level is not between 0 and 1.
pub fn paired_t_power(effect: f64, pairs: usize, alpha: f64) -> Result<f64, EvalError> {
    if pairs < 2 {
        return Err(EvalError::TooFewItems { what: "pairs", needed: 2, got: pairs });
    }
    if !effect.is_finite() {
        return Err(EvalError::setting("effect", effect, "finite"));
    }
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(EvalError::setting("alpha", alpha, "between 0 and 1, both excluded"));
    }
    let freedom = (pairs - 1) as f64;
    let critical = t_quantile(alpha / 2.0, freedom);
    let shift = effect.abs() * (pairs as f64).sqrt();
    // In u = ln S the integrand decays on both sides, so that a sum over equal steps has all digits once the steps are
    // narrow beside the density and beside the edge at S = shift / critical.
    let log_scale = LN_2 + freedom / 2.0 * (freedom / 2.0).ln() - ln_gamma(freedom / 2.0);
    let spread = (DECAY / freedom).sqrt();
    let (low, high) = (-(DECAY / freedom + spread), spread);
    let widest = (0.25 / (2.0 * freedom).sqrt()).min(0.2 / (1.0 + shift));
    let steps = ((high - low) / widest).ceil();
    let step = (high - low) / steps;
    let term = |i: usize| {
        let u = low + step * i as f64;
        let s = u.exp();
        let density = (log_scale + freedom * (u - s * s / 2.0)).exp();
        density * (normal_cdf(shift - critical * s) + normal_cdf(-shift - critical * s))
    };
    Ok(((0..=steps as usize).map(term).sum::<f64>() * step).min(1.0))
}

/// The fewest pairs, at most `most`, with which [`paired_t_power`] is at least `power` (0.8 is usual); `None` if there
/// are none.
///
/// # Errors
/// As [`paired_t_power`], and when the power is not between 0 and 1.
pub fn pairs_needed(effect: f64, alpha: f64, power: f64, most: usize) -> Result<Option<usize>, EvalError> {
    if !(power > 0.0 && power < 1.0) {
        return Err(EvalError::setting("power", power, "between 0 and 1, both excluded"));
    }
    for pairs in 2..=most {
        if paired_t_power(effect, pairs, alpha)? >= power {
            return Ok(Some(pairs));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_effect_the_power_is_the_level() {
        for pairs in [2, 3, 10, 80] {
            assert!((paired_t_power(0.0, pairs, 0.05).unwrap() - 0.05).abs() < 1e-9, "{pairs}");
        }
    }

    #[test]
    fn bad_settings_are_named() {
        assert!(matches!(paired_t_power(1.0, 1, 0.05), Err(EvalError::TooFewItems { what: "pairs", .. })));
        assert!(matches!(paired_t_power(f64::NAN, 3, 0.05), Err(EvalError::Setting { name: "effect", .. })));
        assert!(matches!(paired_t_power(1.0, 3, 0.0), Err(EvalError::Setting { name: "alpha", .. })));
        assert!(matches!(pairs_needed(1.0, 0.05, 1.0, 9), Err(EvalError::Setting { name: "power", .. })));
        assert_eq!(pairs_needed(0.01, 0.05, 0.8, 50), Ok(None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// More pairs and larger effects are found more often, whatever their sign.
        #[test]
        fn power_rises(effect in 0.05f64..3.0, pairs in 2usize..40) {
            let power = |effect: f64, pairs: usize| paired_t_power(effect, pairs, 0.05).unwrap();
            prop_assert!(power(effect, pairs + 1) >= power(effect, pairs) - 1e-12);
            prop_assert!(power(effect * 1.1, pairs) >= power(effect, pairs) - 1e-12);
            prop_assert_eq!(power(-effect, pairs), power(effect, pairs));
        }
    }
}
