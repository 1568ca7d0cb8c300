//! Distribution functions that intervals and tests share.

use std::f64::consts::SQRT_2;

use statrs::distribution::{Continuous, ContinuousCDF, StudentsT};
use statrs::function::erf::{erfc, erfc_inv};

/// Chance that a standard normal value is at most `x`.
pub(super) fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x / SQRT_2)
}

/// The value that a standard normal one is below with chance `p`, between 0 and 1.
pub(super) fn normal_quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// Chance that Student's t with so many degrees of freedom, more than 0, exceeds `t`.
pub(super) fn t_tail(t: f64, degrees_of_freedom: f64) -> f64 {
    students_t(degrees_of_freedom).sf(t)
}

/// Chance that Student's t is at least as far from zero as `t`.
pub(super) fn t_two_sided(t: f64, degrees_of_freedom: f64) -> f64 {
    if t.is_infinite() { 0.0 } else { (2.0 * t_tail(t.abs(), degrees_of_freedom)).min(1.0) }
}

/// The `t` that is exceeded with chance `tail`, more than 0 and at most one half.
pub(super) fn t_quantile(tail: f64, degrees_of_freedom: f64) -> f64 {
    let law = students_t(degrees_of_freedom);
    let mut t = -law.inverse_cdf(tail);
    // The inverse of the library has about nine digits; two steps of Newton's bring the others.
    for _ in 0..2 {
        let density = law.pdf(t);
        if t.is_finite() && density > 0.0 {
            t += (law.sf(t) - tail) / density;
        }
    }
    t
}

fn students_t(degrees_of_freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).expect("callers checked for at least two values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_students_t_match_the_tables() {
        let tables = [
            (1.0, 12.706_204_736),
            (2.0, 4.302_652_730),
            (4.0, 2.776_445_105),
            (9.0, 2.262_157_163),
            (30.0, 2.042_272_456),
            (599.0, 1.963_932_249),
        ];
        for (degrees_of_freedom, expected) in tables {
            let found = t_quantile(0.025, degrees_of_freedom);
            assert!((found - expected).abs() < 2e-9 * expected, "{degrees_of_freedom}: {found}");
            assert!((t_tail(found, degrees_of_freedom) - 0.025).abs() < 1e-13);
        }
        // Closed form for two degrees of freedom: t = (2p - 1) sqrt(2 / (4 p (1 - p))).
        assert!((t_quantile(0.2, 2.0) - 0.6 * (2.0f64 / 0.64).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn normal_values() {
        assert!((normal_cdf(1.0) - 0.841_344_746_068_543).abs() < 1e-10);
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-9);
        assert_eq!((normal_cdf(f64::INFINITY), normal_cdf(f64::NEG_INFINITY)), (1.0, 0.0));
        assert_eq!(t_two_sided(f64::NEG_INFINITY, 3.0), 0.0);
    }
}
