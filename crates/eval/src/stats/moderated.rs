//! Variances of few values each, steadied by each other.

use statrs::function::gamma::digamma;

use crate::error::EvalError;

/// What many sample variances say of any one of them before it is seen (Smyth 2004): it is `variance`, as sure as a sample
/// variance with `freedom` degrees of freedom.
///
/// # Examples
///
/// ```
/// use nearfar_eval::stats::VariancePrior;
///
/// // Variances that differ no more than two degrees of freedom let them: one common variance.
/// let prior = VariancePrior::fit(&[1.0, 2.0, 3.0, 9.0], &[2.0; 4]).unwrap().unwrap();
/// assert_eq!((prior.variance, prior.freedom), (3.75, f64::INFINITY));
/// assert_eq!(prior.moderate(1.0, 2.0), (3.75, f64::INFINITY));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VariancePrior {
    /// The variance that they are drawn towards, positive; the less they agree on one, the less it says of any of them.
    pub variance: f64,
    /// How much the variances agree: infinite where they differ no more than samples of one variance do, near zero where
    /// one says nothing of another.
    pub freedom: f64,
}

impl VariancePrior {
    /// The prior that the moments of the logarithms give (Smyth 2004, section 6.2): under it a sample variance over its own
    /// `freedom` follows `variance` times an F distribution. `None` with fewer than two positive variances.
    ///
    /// Variances of zero are left out: what did not vary at all is rounding, which has no logarithm.
    ///
    /// # Errors
    /// When the lists differ in length, a variance is negative or not finite, or degrees of freedom are not positive and
    /// finite.
    pub fn fit(variances: &[f64], freedom: &[f64]) -> Result<Option<Self>, EvalError> {
        if variances.len() != freedom.len() {
            let (left_rows, right_rows) = (variances.len(), freedom.len());
            return Err(EvalError::Paired { left: "variances", left_rows, right: "freedom", right_rows });
        }
        if let Some(variance) = variances.iter().find(|variance| !(variance.is_finite() && **variance >= 0.0)) {
            return Err(EvalError::setting("variance", variance, "finite and not negative"));
        }
        freedom.iter().try_for_each(|own| super::check_freedom(*own))?;
        let known: Vec<(f64, f64)> =
            variances.iter().copied().zip(freedom.iter().copied()).filter(|(variance, _)| *variance > 0.0).collect();
        let count = known.len() as f64;
        if known.len() < 2 {
            return Ok(None);
        }
        // The logarithm of a sample variance over the true one has mean digamma(d / 2) - ln(d / 2) and variance
        // trigamma(d / 2).
        let levels: Vec<f64> = known.iter().map(|(variance, d)| variance.ln() - log_mean(*d)).collect();
        let level = levels.iter().sum::<f64>() / count;
        let spread = levels.iter().map(|own| (own - level).powi(2)).sum::<f64>() / (count - 1.0);
        let expected = known.iter().map(|(_, d)| trigamma(d / 2.0)).sum::<f64>() / count;
        Ok(Some(if spread > expected {
            let freedom = 2.0 * trigamma_inverse(spread - expected);
            Self { variance: (level + log_mean(freedom)).exp(), freedom }
        } else {
            Self { variance: known.iter().map(|(variance, _)| variance).sum::<f64>() / count, freedom: f64::INFINITY }
        }))
    }

    /// A sample variance with so many degrees of freedom, drawn towards the prior by their weights, and the degrees of
    /// freedom that it then has.
    pub fn moderate(&self, variance: f64, freedom: f64) -> (f64, f64) {
        if self.freedom.is_infinite() {
            return (self.variance, f64::INFINITY);
        }
        let total = self.freedom + freedom;
        ((self.freedom * self.variance + freedom * variance) / total, total)
    }
}

/// Mean logarithm of a chi-squared value over its degrees of freedom.
fn log_mean(freedom: f64) -> f64 {
    digamma(freedom / 2.0) - (freedom / 2.0).ln()
}

/// The second derivative of the logarithm of the gamma function, of a positive number (Abramowitz and Stegun 1964, 6.4.6
/// and 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 12.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let s = 1.0 / (x * x);
    let tail = s * (1.0 / 6.0 - s * (1.0 / 30.0 - s * (1.0 / 42.0 - s * (1.0 / 30.0 - s * (5.0 / 66.0)))));
    sum + 1.0 / x + s / 2.0 + tail / x
}

/// The number whose trigamma is `value`, which is positive.
fn trigamma_inverse(value: f64) -> f64 {
    // It falls, and 1 / trigamma(y) lies above y - 1/2 (Smyth 2004, appendix).
    let (mut low, mut high) = (0.0, 0.5 + 1.0 / value);
    while high - low > 1e-14 * high {
        let middle = f64::midpoint(low, high);
        if trigamma(middle) > value { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::{
        super::goldens::{assert_relative, number, numbers},
        *,
    };
    use crate::fixtures::variances;
    use proptest::prelude::*;

    #[test]
    fn priors_match_limma() {
        let cases = variances();
        for case in cases["fits"].as_array().expect("a list of cases") {
            let (own, freedom) = (numbers(&case["variances"]), numbers(&case["freedom"]));
            let prior = VariancePrior::fit(&own, &freedom).unwrap().unwrap();
            assert_relative(prior.variance, number(&case["variance"]), "prior variance");
            match case["prior_freedom"].as_f64() {
                Some(expected) => assert_relative(prior.freedom, expected, "prior freedom"),
                None => assert_eq!(prior.freedom, f64::INFINITY),
            }
            for ((own, freedom), expected) in own.iter().zip(&freedom).zip(numbers(&case["moderated"])) {
                assert_relative(prior.moderate(*own, *freedom).0, expected, "moderated variance");
            }
        }
        for case in cases["trigamma"].as_array().expect("a list of cases") {
            let (x, expected) = (number(&case["x"]), number(&case["value"]));
            assert_relative(trigamma(x), expected, "trigamma");
            assert!((trigamma_inverse(expected) / x - 1.0).abs() < 1e-8, "{x}: {}", trigamma_inverse(expected));
        }
    }

    #[test]
    fn too_few_and_wrong_values() {
        assert_eq!(VariancePrior::fit(&[], &[]), Ok(None));
        assert_eq!(VariancePrior::fit(&[1.0, 0.0], &[2.0, 2.0]), Ok(None));
        assert!(matches!(VariancePrior::fit(&[1.0], &[]), Err(EvalError::Paired { .. })));
        assert!(matches!(VariancePrior::fit(&[-1.0], &[2.0]), Err(EvalError::Setting { name: "variance", .. })));
        assert!(matches!(VariancePrior::fit(&[1.0], &[0.0]), Err(EvalError::Setting { .. })));
        // A variance of zero changes nothing.
        let without = VariancePrior::fit(&[0.1, 5.0, 0.01], &[2.0; 3]);
        assert_eq!(VariancePrior::fit(&[0.1, 0.0, 5.0, 0.01], &[2.0; 4]), without);
    }

    proptest! {
        /// A larger unit makes the variance larger and changes nothing else; order changes nothing.
        #[test]
        fn scale_and_order(mut own in prop::collection::vec(1e-6..1e3f64, 2..12), factor in 1e-3..1e3f64) {
            let freedom = vec![2.0; own.len()];
            let fit = |own: &[f64]| VariancePrior::fit(own, &freedom).unwrap().unwrap();
            let plain = fit(&own);
            own.reverse();
            own.iter_mut().for_each(|variance| *variance *= factor);
            let scaled = fit(&own);
            prop_assert!((scaled.variance / plain.variance / factor - 1.0).abs() < 1e-6, "{plain:?} {scaled:?}");
            let apart = 1.0 / scaled.freedom - 1.0 / plain.freedom;
            prop_assert!(apart.abs() <= 1e-6 * (1.0 / plain.freedom).max(1e-3), "{plain:?} {scaled:?}");
            // What is moderated lies between the sample's and the prior's.
            let (found, total) = plain.moderate(own[0], 2.0);
            let (low, high) = (own[0].min(plain.variance), own[0].max(plain.variance));
            prop_assert!(found >= low * (1.0 - 1e-12) && found <= high * (1.0 + 1e-12) && total >= 2.0);
        }
    }
}
