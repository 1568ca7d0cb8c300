//! The highest of several values.

use super::distributions::normal_cdf;
use std::f64::consts::PI;

/// Expected maximum of so many independent standard normal values; 0 of one and of none.
///
/// # Examples
///
/// ```
/// use nearfar_eval::stats::expected_maximum;
///
/// // 1 / sqrt(pi)
/// assert!((expected_maximum(2) - 0.564_189_583_5).abs() < 1e-9);
/// ```
pub fn expected_maximum(count: usize) -> f64 {
    if count < 2 {
        return 0.0;
    }
    // The density falls off so fast on both sides that a sum over equal steps has all digits; beyond 12 deviations not even
    // the highest of a billion lies.
    const STEPS: i32 = 2400;
    const REACH: f64 = 12.0;
    let step = 2.0 * REACH / f64::from(STEPS);
    let term = |i: i32| {
        let x = -REACH + step * f64::from(i);
        let density = (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
        x * density * normal_cdf(x).powf(count as f64 - 1.0)
    };
    count as f64 * step * (0..=STEPS).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The closed forms up to five values (Godwin 1949), and the tables (Harter 1961).
    #[test]
    fn known_values() {
        let root = PI.sqrt();
        let third = (1.0f64 / 3.0).asin();
        let closed = [
            (1, 0.0),
            (2, 1.0 / root),
            (3, 1.5 / root),
            (4, 3.0 / root * (0.5 + third / PI)),
            (5, 2.5 / root * (0.5 + 3.0 * third / PI)),
        ];
        for (count, expected) in closed {
            assert!((expected_maximum(count) - expected).abs() < 1e-10, "{count}: {}", expected_maximum(count));
        }
        for (count, expected) in [(10, 1.538_75), (50, 2.249_07), (100, 2.507_59)] {
            assert!((expected_maximum(count) - expected).abs() < 1e-5, "{count}: {}", expected_maximum(count));
        }
        assert_eq!(expected_maximum(0), 0.0);
    }
}
