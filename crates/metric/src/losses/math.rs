//! Functions of one number with their slopes, and sums of exponentials.

/// Value and slope of `[x]+`; NaN passes through.
pub(crate) fn hinge(x: f32) -> (f32, f32) {
    if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }
}

/// Value and slope of `log(1 + exp(x))`, at any `x` and at minus infinity.
pub(crate) fn softplus(x: f64) -> (f64, f64) {
    let small = (-x.abs()).exp();
    let slope = if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) };
    (larger(x, 0.0) + small.ln_1p(), slope)
}

/// `log(sum(exp(x)))`; minus infinity for nothing.
pub(crate) fn log_sum_exp(x: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = x.clone().fold(f64::NEG_INFINITY, f64::max);
    // Nothing, nothing but minus infinity, or nothing but NaN: shifting by minus infinity would make NaN of the second.
    let shift = if top == f64::NEG_INFINITY { 0.0 } else { top };
    shift + x.map(|x| (x - shift).exp()).sum::<f64>().ln()
}

/// `log(1 + sum(exp(x)))`.
pub(crate) fn log_one_plus_sum_exp(x: impl Iterator<Item = f64> + Clone) -> f64 {
    log_sum_exp(x.chain(std::iter::once(0.0)))
}

/// The larger of two numbers; NaN if one is.
pub(crate) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_exponentials_hold_at_the_extremes() {
        assert_eq!(log_sum_exp(std::iter::empty()), f64::NEG_INFINITY);
        assert_eq!(log_one_plus_sum_exp(std::iter::empty()), 0.0);
        assert_eq!(log_sum_exp([f64::NEG_INFINITY; 2].into_iter()), f64::NEG_INFINITY);
        assert!((log_sum_exp([1e4, 1e4].into_iter()) - (1e4 + 2f64.ln())).abs() < 1e-9);
        assert!(log_sum_exp([0.0, f64::NAN].into_iter()).is_nan());
        assert!(log_sum_exp([f64::NAN].into_iter()).is_nan());
    }

    #[test]
    fn softplus_holds_at_the_extremes() {
        assert_eq!(softplus(f64::NEG_INFINITY), (0.0, 0.0));
        assert_eq!(softplus(800.0), (800.0, 1.0));
        assert!((softplus(0.0).0 - 2f64.ln()).abs() < 1e-15 && softplus(0.0).1 == 0.5);
        assert!(softplus(f64::NAN).0.is_nan());
        assert!(hinge(f32::NAN).0.is_nan());
    }
}
