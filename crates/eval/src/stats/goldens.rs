//! Intervals and tests against scipy and statsmodels, and the rate of false calls where nothing differs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::*;
use crate::fixtures::statistics;

/// The reference values.
pub(super) fn stats() -> Value {
    statistics()
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

pub(super) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

/// Equal to nine digits.
pub(super) fn assert_relative(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found} instead of {expected}");
}

fn cases(name: &str) -> Vec<Value> {
    stats()[name].as_array().expect("a list of cases").clone()
}

#[test]
fn t_intervals_match_scipy() {
    for case in cases("t_interval") {
        let found = t_interval(&numbers(&case["values"]), number(&case["confidence"])).unwrap();
        for (name, value) in [("mean", found.mean), ("low", found.low), ("high", found.high)] {
            assert_relative(value, number(&case[name]), name);
        }
    }
}

#[test]
fn t_tests_match_scipy() {
    for case in cases("paired_t") {
        let found = paired_t_test(&numbers(&case["a"]), &numbers(&case["b"]), 0.95).unwrap();
        let interval = found.difference;
        for (name, value) in [("t", found.t), ("p", found.p_value), ("low", interval.low), ("high", interval.high)] {
            assert_relative(value, number(&case[name]), name);
        }
    }
    for case in cases("welch") {
        let found = welch_t_test(&numbers(&case["a"]), &numbers(&case["b"]), 0.95).unwrap();
        let interval = found.difference;
        let values = [
            ("t", found.t),
            ("df", found.degrees_of_freedom),
            ("p", found.p_value),
            ("low", interval.low),
            ("high", interval.high),
        ];
        for (name, value) in values {
            assert_relative(value, number(&case[name]), name);
        }
    }
}

#[test]
fn wilcoxon_matches_scipy() {
    for case in cases("wilcoxon") {
        let found = wilcoxon_signed_rank(&numbers(&case["a"]), &numbers(&case["b"])).unwrap();
        assert_eq!(Some(found.exact), case["exact"].as_bool());
        assert_relative(found.statistic, number(&case["statistic"]), "statistic");
        assert_relative(found.p_value, number(&case["p"]), "p");
    }
}

#[test]
fn holm_matches_statsmodels() {
    for case in cases("holm") {
        let found = holm(&numbers(&case["p"])).unwrap();
        for (found, expected) in found.into_iter().zip(numbers(&case["adjusted"])) {
            assert_relative(found, expected, "adjusted");
        }
    }
}

#[test]
fn friedman_matches_scipy() {
    for case in cases("friedman") {
        let table: Vec<Vec<f64>> = case["table"].as_array().unwrap().iter().map(numbers).collect();
        let found = friedman(&table).unwrap();
        assert_relative(found.statistic, number(&case["statistic"]), "statistic");
        assert_relative(found.p_value, number(&case["p"]), "p");
        for (found, expected) in found.average_ranks.into_iter().zip(numbers(&case["ranks"])) {
            assert_relative(found, expected, "rank");
        }
    }
}

#[test]
fn nemenyi_matches_quadrature() {
    for case in cases("nemenyi") {
        let methods = case["methods"].as_u64().unwrap() as usize;
        let found = nemenyi_critical_difference(methods, 7, number(&case["alpha"])).unwrap();
        let k = methods as f64;
        assert_relative(found, number(&case["q"]) * (k * (k + 1.0) / 42.0).sqrt(), "critical difference");
    }
}

#[test]
fn power_matches_statsmodels() {
    let file = stats();
    for case in file["power"]["powers"].as_array().unwrap() {
        let pairs = case["pairs"].as_u64().unwrap() as usize;
        let found = paired_t_power(number(&case["effect"]), pairs, number(&case["alpha"])).unwrap();
        assert_relative(found, number(&case["power"]), "power");
    }
    for case in file["power"]["needed"].as_array().unwrap() {
        let found = pairs_needed(number(&case["effect"]), 0.05, 0.8, 200).unwrap();
        assert_eq!(found.map(|pairs| pairs as u64), case["pairs"].as_u64());
    }
}

/// Two copies of one method under other seeds, 200 times over: the number of false wins at the 5 % level is binomial
/// with mean 10 and deviation 3.1. Outside 1 to 22 it would lie once in 4,000 such tests.
#[test]
fn copies_of_one_method_seldom_win() {
    let mut rng = ChaCha8Rng::seed_from_u64(2024);
    // Box and Muller 1958.
    let mut score = || {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        0.8 + 0.02 * (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    let mut seeds = |count: usize| (0..count).map(|_| score()).collect::<Vec<f64>>();
    let (mut paired, mut welch, mut ranked, mut families) = (0, 0, 0, 0);
    for _ in 0..200 {
        let (a, b) = (seeds(5), seeds(5));
        paired += usize::from(paired_t_test(&a, &b, 0.95).unwrap().p_value < 0.05);
        welch += usize::from(welch_t_test(&a, &b, 0.95).unwrap().p_value < 0.05);
        let (a, b) = (seeds(12), seeds(12));
        ranked += usize::from(wilcoxon_signed_rank(&a, &b).unwrap().p_value < 0.05);
        // A family of ten comparisons with one wrong call or more.
        let best = seeds(5);
        let p: Vec<f64> = (0..10).map(|_| paired_t_test(&best, &seeds(5), 0.95).unwrap().p_value).collect();
        families += usize::from(holm(&p).unwrap().iter().any(|p| *p < 0.05));
    }
    for (name, wins) in [("paired t", paired), ("Welch", welch), ("Wilcoxon", ranked)] {
        assert!((1..=22).contains(&wins), "{name}: {wins} of 200");
    }
    assert!(families <= 22, "Holm: {families} of 200");
}
