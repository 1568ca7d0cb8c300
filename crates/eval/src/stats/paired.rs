//! Tests of two methods: paired where both have the same seeds or queries, Welch's where they have not.

use serde::Serialize;

use super::distributions::{normal_cdf, t_quantile, t_two_sided};
use super::{Interval, check, check_confidence, differences, mean, ranks::average_ranks, sample_sd, t_interval};
use crate::error::EvalError;

/// Up to this many differences, Wilcoxon's distribution is counted out; beyond, the normal one stands for it.
const MOST_EXACT: usize = 50;

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

/// Outcome of Welch's t-test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WelchTest {
    /// Mean of `a` less mean of `b` with its confidence interval.
    pub difference: Interval,
    /// Student's t; infinite when neither list has a spread and the means differ.
    pub t: f64,
    /// Degrees of freedom by Welch and Satterthwaite.
    pub degrees_of_freedom: f64,
    /// Two-sided p-value.
    pub p_value: f64,
}

/// Outcome of Wilcoxon's signed-rank test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wilcoxon {
    /// The smaller one of the rank sums of positive and of negative differences.
    pub statistic: f64,
    /// Differences that are not zero.
    pub pairs: usize,
    /// Two-sided p-value; 1 if every difference is zero.
    pub p_value: f64,
    /// Whether the p-value was counted out; if not, it comes from the normal distribution.
    pub exact: bool,
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
    let t = ratio(difference.mean, error);
    Ok(PairedTest { difference, t, degrees_of_freedom, p_value: t_two_sided(t, degrees_of_freedom as f64) })
}

/// Welch's two-sided t-test of two independent lists with their own variances (Welch 1947), for example two methods
/// under different seeds.
///
/// # Errors
/// When a list has fewer than two values or one that is not finite, or the confidence is not between 0 and 1.
pub fn welch_t_test(a: &[f64], b: &[f64], confidence: f64) -> Result<WelchTest, EvalError> {
    check_confidence(confidence)?;
    check("a", a, 2)?;
    check("b", b, 2)?;
    // Squared standard error of a mean, and its share of the degrees of freedom.
    let part = |values: &[f64]| -> Result<(f64, f64), EvalError> {
        let square = sample_sd(values)?.powi(2) / values.len() as f64;
        Ok((square, square * square / (values.len() - 1) as f64))
    };
    let ((square_a, share_a), (square_b, share_b)) = (part(a)?, part(b)?);
    let square = square_a + square_b;
    // Without any spread the degrees of freedom do not matter; the larger sum keeps them defined.
    let degrees_of_freedom =
        if square > 0.0 { square * square / (share_a + share_b) } else { (a.len() + b.len() - 2) as f64 };
    let (difference, error) = (mean(a)? - mean(b)?, square.sqrt());
    let half = t_quantile((1.0 - confidence) / 2.0, degrees_of_freedom) * error;
    let t = ratio(difference, error);
    Ok(WelchTest {
        difference: Interval { mean: difference, low: difference - half, high: difference + half },
        t,
        degrees_of_freedom,
        p_value: t_two_sided(t, degrees_of_freedom),
    })
}

/// Wilcoxon's two-sided signed-rank test of `a[i]` against `b[i]` (Wilcoxon 1945): the paired test that asks no normal
/// distribution of the differences.
///
/// Differences of zero are left out. Up to 50 others without ties the p-value is counted out; else it is that of the
/// normal distribution with the correction for ties and none for continuity, as in scipy. Differences tie when they are
/// equal to the last bit.
///
/// # Errors
/// When the lists differ in length, hold fewer than two pairs or a value that is not finite.
pub fn wilcoxon_signed_rank(a: &[f64], b: &[f64]) -> Result<Wilcoxon, EvalError> {
    let differences: Vec<f64> = differences(a, b)?.into_iter().filter(|difference| *difference != 0.0).collect();
    let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let (ranks, ties) = average_ranks(&sizes);
    let sum = |positive: bool| -> f64 {
        ranks.iter().zip(&differences).filter(|(_, d)| (**d > 0.0) == positive).map(|(rank, _)| rank).sum()
    };
    let statistic = sum(true).min(sum(false));
    let pairs = differences.len();
    let exact = ties == 0.0 && pairs <= MOST_EXACT;
    let p_value = if exact { exact_p_value(statistic, pairs) } else { normal_p_value(statistic, pairs, ties) };
    Ok(Wilcoxon { statistic, pairs, p_value, exact })
}

/// Twice the share of the `2^n` sign patterns whose positive ranks sum to at most `statistic`, a whole number.
fn exact_p_value(statistic: f64, n: usize) -> f64 {
    // counts[w]: patterns with the sum w. At most 2^50, which f64 counts exactly.
    let mut counts = vec![1.0f64];
    for rank in 1..=n {
        let mut next = counts.clone();
        next.resize(counts.len() + rank, 0.0);
        for (count, place) in counts.iter().zip(&mut next[rank..]) {
            *place += count;
        }
        counts = next;
    }
    let patterns: f64 = counts.iter().sum();
    let below: f64 = counts.iter().take(statistic as usize + 1).sum();
    (2.0 * below / patterns).min(1.0)
}

/// `ties` is the sum of `t^3 - t` over groups of `t` equal sizes.
fn normal_p_value(statistic: f64, n: usize, ties: f64) -> f64 {
    let n = n as f64;
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0;
    let z = (statistic - n * (n + 1.0) / 4.0) / variance.sqrt();
    (2.0 * normal_cdf(z)).min(1.0)
}

/// `difference / error`; without any spread it is a limit: 0 for no difference, else infinite.
fn ratio(difference: f64, error: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference / error }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn tests_without_spread() {
        let same = paired_t_test(&[1.0, 2.0], &[1.0, 2.0], 0.95).unwrap();
        assert_eq!((same.t, same.p_value), (0.0, 1.0));
        let shifted = paired_t_test(&[2.0, 3.0], &[1.0, 2.0], 0.95).unwrap();
        assert_eq!((shifted.t, shifted.p_value), (f64::INFINITY, 0.0));
        assert!(matches!(paired_t_test(&[1.0], &[1.0, 2.0], 0.95), Err(EvalError::Paired { .. })));
        let apart = welch_t_test(&[2.0, 2.0], &[1.0, 1.0], 0.95).unwrap();
        assert_eq!((apart.t, apart.p_value, apart.difference.low), (f64::INFINITY, 0.0, 1.0));
        assert_eq!(welch_t_test(&[2.0, 2.0], &[2.0, 2.0, 2.0], 0.95).unwrap().p_value, 1.0);
        assert!(matches!(welch_t_test(&[2.0], &[1.0, 1.0], 0.95), Err(EvalError::TooFewItems { what: "a", .. })));
    }

    #[test]
    fn wilcoxon_by_hand() {
        // Ranks 1 to 4, only rank 2 negative: of 16 patterns 3 have a sum of at most 2 (none, {1}, {2}).
        let test = wilcoxon_signed_rank(&[1.0, 0.0, 3.0, 4.0], &[0.0, 2.0, 0.0, 0.0]).unwrap();
        assert_eq!((test.statistic, test.pairs, test.exact, test.p_value), (2.0, 4, true, 6.0 / 16.0));
        let equal = wilcoxon_signed_rank(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
        assert_eq!((equal.pairs, equal.p_value), (0, 1.0));
    }

    /// The exact distribution against all sign patterns.
    #[test]
    fn exact_counts_are_all_patterns() {
        for n in 1..=9usize {
            for statistic in 0..=(n * (n + 1) / 2) {
                let sum = |pattern: usize| (1..=n).filter(|rank| (pattern >> (rank - 1)) & 1 == 1).sum::<usize>();
                let below = (0..1usize << n).filter(|pattern| sum(*pattern) <= statistic).count();
                let expected = (2.0 * below as f64 / f64::from(1u32 << n)).min(1.0);
                assert!((exact_p_value(statistic as f64, n) - expected).abs() < 1e-15, "{n} {statistic}");
            }
        }
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

        /// The rank sums make up all ranks, order of the pairs and exchange of the sides change nothing.
        #[test]
        fn wilcoxon_laws(pairs in prop::collection::vec((0u8..12, 0u8..12), 2..60)) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(a, b)| (f64::from(*a), f64::from(*b))).unzip();
            let test = wilcoxon_signed_rank(&a, &b).unwrap();
            prop_assert!(test.statistic <= (test.pairs * (test.pairs + 1)) as f64 / 4.0);
            prop_assert!(test.p_value > 0.0 && test.p_value <= 1.0);
            prop_assert_eq!(wilcoxon_signed_rank(&b, &a).unwrap(), test);
            let reversed = |values: &[f64]| values.iter().rev().copied().collect::<Vec<f64>>();
            prop_assert_eq!(wilcoxon_signed_rank(&reversed(&a), &reversed(&b)).unwrap(), test);
        }
    }
}
