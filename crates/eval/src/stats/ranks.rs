//! Comparisons of more than two methods: Holm's correction, Friedman's ranks, Nemenyi's critical difference.

use std::f64::consts::{PI, SQRT_2};

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::distributions::normal_cdf;
use crate::error::EvalError;

/// Step of the sum that stands for the integral over the normal density. Such sums converge faster than any power of
/// the step: at this one they have all their digits.
const STEP: f64 = 0.05;

/// Where the normal density ends in `f64`, for sums of ordinary size.
const END: f64 = 9.0;

/// Ranks of several methods over several blocks (data sets, seeds).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Friedman {
    /// Mean rank of each method over the blocks; 1 is the best.
    pub average_ranks: Vec<f64>,
    /// Blocks.
    pub blocks: usize,
    /// Friedman's chi-squared, corrected for ties.
    pub statistic: f64,
    /// How likely methods that do not differ give ranks at least this far apart.
    pub p_value: f64,
}

/// Holm's correction of several p-values (Holm 1979): each is multiplied by the number of those not smaller, made
/// monotone and cut at 1. Calling those at most `alpha` differences, one call in a family is wrong with a chance of at
/// most `alpha`.
///
/// # Errors
/// When a p-value is not between 0 and 1.
///
/// ```
/// let adjusted = nearfar_eval::stats::holm(&[0.01, 0.04, 0.03]).unwrap();
/// assert_eq!(adjusted, [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, EvalError> {
    if let Some(value) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(EvalError::setting("p_values", value, "between 0 and 1, both included"));
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (place, &i) in order.iter().enumerate() {
        largest = largest.max(p_values[i] * (p_values.len() - place) as f64).min(1.0);
        adjusted[i] = largest;
    }
    Ok(adjusted)
}

/// Friedman's test of the methods in the columns of `table` over the blocks in its rows (Friedman 1937); a larger value
/// is better. Equal values share the mean of their ranks.
///
/// # Errors
/// When there are fewer than two blocks or methods, rows differ in length, or a value is not finite.
pub fn friedman(table: &[Vec<f64>]) -> Result<Friedman, EvalError> {
    let (blocks, methods) = (table.len(), table.first().map_or(0, Vec::len));
    for (what, got) in [("blocks", blocks), ("methods", methods)] {
        if got < 2 {
            return Err(EvalError::TooFewItems { what, needed: 2, got });
        }
    }
    let (mut sums, mut ties) = (vec![0.0f64; methods], 0.0);
    for (row, values) in table.iter().enumerate() {
        if values.len() != methods {
            return Err(EvalError::Paired {
                left: "the first block",
                left_rows: methods,
                right: "another block",
                right_rows: values.len(),
            });
        }
        if let Some(column) = values.iter().position(|value| !value.is_finite()) {
            return Err(EvalError::NonFinite { what: "table", row, column });
        }
        let falling: Vec<f64> = values.iter().map(|value| -value).collect();
        let (ranks, tied) = average_ranks(&falling);
        sums.iter_mut().zip(ranks).for_each(|(sum, rank)| *sum += rank);
        ties += tied;
    }
    let (n, k) = (blocks as f64, methods as f64);
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    let correction = 1.0 - ties / (k * (k * k - 1.0) * n);
    // All values of every block may be equal: then nothing differs.
    let statistic = if correction > 0.0 {
        ((12.0 / (k * n * (k + 1.0)) * squares - 3.0 * n * (k + 1.0)) / correction).max(0.0)
    } else {
        0.0
    };
    let law = ChiSquared::new(k - 1.0).expect("two methods give at least one degree of freedom");
    let p_value = if statistic > 0.0 { law.sf(statistic) } else { 1.0 };
    Ok(Friedman { average_ranks: sums.iter().map(|sum| sum / n).collect(), blocks, statistic, p_value })
}

/// Nemenyi's critical difference (Demsar 2006): average ranks of `methods` over `blocks` that are less apart than this
/// cannot be told from each other, all pairs considered, at the level `alpha` (0.05 is usual).
///
/// # Errors
/// When there are fewer than two methods, no block, or the level is not between 0 and 1.
///
/// ```
/// // Demsar's example: 4 methods over 14 data sets.
/// let difference = nearfar_eval::stats::nemenyi_critical_difference(4, 14, 0.05).unwrap();
/// assert!((difference - 1.25).abs() < 5e-3);
/// ```
pub fn nemenyi_critical_difference(methods: usize, blocks: usize, alpha: f64) -> Result<f64, EvalError> {
    if methods < 2 {
        return Err(EvalError::TooFewItems { what: "methods", needed: 2, got: methods });
    }
    if blocks == 0 {
        return Err(EvalError::TooFewItems { what: "blocks", needed: 1, got: 0 });
    }
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(EvalError::setting("alpha", alpha, "between 0 and 1, both excluded"));
    }
    let k = methods as f64;
    Ok(range_quantile(methods, alpha) / SQRT_2 * (k * (k + 1.0) / (6.0 * blocks as f64)).sqrt())
}

/// What the range of `k` standard normal values exceeds with chance `alpha`, by halving.
fn range_quantile(k: usize, alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    while high - low > 1e-13 {
        let middle = 0.5 * (low + high);
        if range_tail(middle, k) > alpha { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Chance that the range of `k` standard normal values exceeds `q`:
/// `1 - k * integral of phi(z) (Phi(z) - Phi(z - q))^(k - 1)`, where `z` is the largest value.
fn range_tail(q: f64, k: usize) -> f64 {
    let steps = ((2.0 * END + q) / STEP).ceil();
    let step = (2.0 * END + q) / steps;
    let term = |i: usize| {
        let z = -END + step * i as f64;
        (-0.5 * z * z).exp() * (normal_cdf(z) - normal_cdf(z - q)).powi(k as i32 - 1)
    };
    1.0 - k as f64 * step / (2.0 * PI).sqrt() * (0..=steps as usize).map(term).sum::<f64>()
}

/// Ranks from 1 by rising value, equal values sharing the mean of theirs, and the sum of `t^3 - t` over groups of `t`
/// equal values.
pub(super) fn average_ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let (mut ranks, mut ties, mut before) = (vec![0.0; values.len()], 0.0, 0);
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let size = group.len() as f64;
        let rank = before as f64 + (size + 1.0) / 2.0;
        group.iter().for_each(|&i| ranks[i] = rank);
        ties += size * size * size - size;
        before += group.len();
    }
    (ranks, ties)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_of_ties() {
        assert_eq!(average_ranks(&[3.0, 1.0, 3.0, 2.0]), (vec![3.5, 1.0, 3.5, 2.0], 6.0));
        assert_eq!(average_ranks(&[5.0; 3]), (vec![2.0; 3], 24.0));
        assert_eq!(average_ranks(&[]), (Vec::new(), 0.0));
    }

    #[test]
    fn equal_methods_do_not_differ() {
        let found = friedman(&[vec![0.5; 3], vec![0.7; 3]]).unwrap();
        assert_eq!((found.average_ranks, found.statistic, found.p_value), (vec![2.0; 3], 0.0, 1.0));
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(holm(&[0.5, 1.5]), Err(EvalError::Setting { name: "p_values", .. })));
        assert!(matches!(holm(&[f64::NAN]), Err(EvalError::Setting { .. })));
        assert_eq!(holm(&[]), Ok(Vec::new()));
        assert!(matches!(friedman(&[vec![1.0, 2.0]]), Err(EvalError::TooFewItems { what: "blocks", .. })));
        assert!(matches!(friedman(&[vec![1.0], vec![1.0]]), Err(EvalError::TooFewItems { what: "methods", .. })));
        assert!(matches!(friedman(&[vec![1.0, 2.0], vec![1.0]]), Err(EvalError::Paired { .. })));
        let bad = [vec![1.0, 2.0], vec![1.0, f64::NAN]];
        assert_eq!(friedman(&bad), Err(EvalError::NonFinite { what: "table", row: 1, column: 1 }));
        assert!(matches!(nemenyi_critical_difference(1, 5, 0.05), Err(EvalError::TooFewItems { .. })));
        assert!(matches!(nemenyi_critical_difference(3, 0, 0.05), Err(EvalError::TooFewItems { .. })));
        assert!(matches!(nemenyi_critical_difference(3, 5, 1.0), Err(EvalError::Setting { name: "alpha", .. })));
    }

    proptest! {
        /// Adjusted values keep the order, are not smaller, and do not exceed Bonferroni's.
        #[test]
        fn holm_laws(p in prop::collection::vec(0.0f64..=1.0, 1..12)) {
            let adjusted = holm(&p).unwrap();
            for (raw, own) in p.iter().zip(&adjusted) {
                prop_assert!(own >= raw && *own <= (raw * p.len() as f64).min(1.0));
                for (other, others) in p.iter().zip(&adjusted) {
                    prop_assert!(raw > other || own <= others);
                }
            }
        }

        /// Ranks sum to the same whatever the values, and rising functions of the scores change nothing.
        #[test]
        fn friedman_laws(table in prop::collection::vec(prop::collection::vec(0u8..6, 4), 2..8)) {
            let table: Vec<Vec<f64>> = table.iter().map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
            let found = friedman(&table).unwrap();
            prop_assert!((found.average_ranks.iter().sum::<f64>() - 10.0).abs() < 1e-12);
            prop_assert!((0.0..=1.0).contains(&found.p_value));
            let cubed: Vec<Vec<f64>> = table.iter().map(|row| row.iter().map(|v| v.powi(3) - 7.0).collect()).collect();
            prop_assert_eq!(friedman(&cubed).unwrap(), found);
        }
    }
}
