//! Geometry against lightly, torch and naive loops over pairs.

use proptest::prelude::*;

use super::*;
use crate::fixtures::{blobs, from_rows, golden, matrix, noise};

fn view_a() -> Matrix {
    from_rows(&[[1.0, 2.0], [3.0, -1.0], [-1.0, 1.0]])
}

fn view_b() -> Matrix {
    from_rows(&[[2.0, 1.0], [1.0, -1.0], [0.0, 1.0]])
}

fn assert_close(found: Result<f64, EvalError>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 2e-6 * expected.abs().max(1.0), "{found} instead of {expected}");
}

#[test]
fn worked_examples() {
    assert_close(std_of_normalized(&view_a()), 0.750_368_901_8);
    assert_close(std_of_normalized(&view_b()), 0.671_376_322_9);
    let identity = Matrix::from_fn(10, 10, |i, j| f32::from(u8::from(i == j)));
    assert_close(std_of_normalized(&identity), 0.316_227_766_0);
    assert_close(std_of_normalized(&Matrix::from_fn(4, 3, |_, _| 1.0)), 0.0);
    assert_close(alignment(&view_a(), &view_b()), 0.398_977_351_9);
    assert_close(uniformity(&view_a()), -3.425_003_776_1);
    assert_close(uniformity(&view_b()), -2.838_467_357_1);
    assert_close(uniformity(&from_rows(&[[1.0, 0.0], [0.0, 1.0]])), -4.0);
    let rows = from_rows(&[[1.0, 2.0], [3.0, -1.0], [-1.0, 1.0], [-2.0, 1.0]]);
    assert_close(class_separation(&rows, &[0, 1, 0, 1]), 0.174_528_108_0);
    assert_close(intra_inter_ratio(&rows, &[0, 1, 0, 1]), 1.336_860_863_822_164_4 / 0.149_349_191_647_960_1);
}

#[test]
fn matches_lightly_and_torch() {
    let file = golden("contrastive.json");
    let (a, b) = (matrix(&file["view_a"]), matrix(&file["view_b"]));
    let expected = |name: &str| file["diagnostics"][name].as_f64().unwrap();
    assert_close(std_of_normalized(&a), expected("std_of_l2_normalized"));
    assert_close(uniformity(&a), expected("uniformity_t2"));
    assert_close(alignment(&a, &b), expected("alignment_alpha2"));
}

/// Squared distance of two unit rows.
fn square(unit: &Matrix, i: usize, j: usize) -> f64 {
    unit.row(i).iter().zip(unit.row(j)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

#[test]
fn uniformity_matches_a_loop_over_pairs() {
    // More rows than a block, one of them zero.
    let features = Matrix::from_fn(300, 5, |i, j| if i == 7 { 0.0 } else { noise(i * 5 + j) });
    let unit = unit_rows(&features);
    let mut sum = 0.0;
    for i in 0..300 {
        sum += (0..i).map(|j| (-2.0 * square(&unit, i, j)).exp()).sum::<f64>();
    }
    assert_close(uniformity(&features), (sum / (300.0 * 299.0 / 2.0)).ln());
}

#[test]
fn bounds_are_reached() {
    let identical = Matrix::from_fn(5, 3, |_, j| j as f32 + 1.0);
    assert_eq!(uniformity(&identical), Ok(0.0));
    assert_close(label_alignment(&identical, &[1; 5]), 0.0);
    let opposite = from_rows(&[[1.0, 0.0], [-1.0, 0.0]]);
    assert_close(uniformity(&opposite), -8.0);
    assert_close(label_alignment(&opposite, &[0, 0]), 4.0);
    let classes_are_directions = from_rows(&[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]);
    assert_close(class_separation(&classes_are_directions, &[0, 0, 1, 1]), 1.0);
    assert_close(intra_inter_ratio(&classes_are_directions, &[0, 0, 1, 1]), 0.0);
}

#[test]
fn tighter_classes_score_better() {
    let (tight, labels) = blobs(30, 6, 0.2);
    let (loose, _) = blobs(30, 6, 2.0);
    assert!(class_separation(&tight, &labels).unwrap() > class_separation(&loose, &labels).unwrap());
    assert!(intra_inter_ratio(&tight, &labels).unwrap() < intra_inter_ratio(&loose, &labels).unwrap());
    assert!(label_alignment(&tight, &labels).unwrap() < label_alignment(&loose, &labels).unwrap());
}

#[test]
fn rejects_what_has_no_value() {
    let one = from_rows(&[[1.0, 0.0]]);
    assert!(matches!(std_of_normalized(&one), Err(EvalError::TooFewItems { needed: 2, got: 1, .. })));
    assert!(matches!(uniformity(&one), Err(EvalError::TooFewItems { .. })));
    assert!(matches!(alignment(&one, &view_a()), Err(EvalError::Paired { left_rows: 1, right_rows: 3, .. })));
    assert_eq!(label_alignment(&view_a(), &[0, 1, 2]), Err(EvalError::OneKindOfPair { missing: "positive" }));
    assert!(matches!(class_separation(&view_a(), &[4; 3]), Err(EvalError::TooFewClasses { got: 1, .. })));
    let same_way = from_rows(&[[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]);
    assert!(matches!(class_separation(&same_way, &[0, 0, 1, 1]), Err(EvalError::Collapsed { .. })));
    assert!(matches!(intra_inter_ratio(&same_way, &[0, 0, 1, 1]), Err(EvalError::Collapsed { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The class sums give what loops over all pairs give.
    #[test]
    fn class_scores_match_loops(rows in 4usize..30, classes in 2usize..5, seed in 0usize..1000) {
        let features = Matrix::from_fn(rows, 4, |i, j| noise(seed * 1000 + i * 4 + j));
        let labels: Vec<usize> = (0..rows).map(|i| i % classes).collect();
        let unit = unit_rows(&features);
        let members = |class: usize| (0..rows).filter(|&i| labels[i] == class).collect::<Vec<_>>();
        let cosine = |i: usize, j: usize| 1.0 - square(&unit, i, j) / 2.0;

        let pairs: Vec<f64> = (0..rows)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .filter(|&(i, j)| labels[i] == labels[j])
            .map(|(i, j)| square(&unit, i, j))
            .collect();
        match label_alignment(&features, &labels) {
            Ok(found) => prop_assert!((found - pairs.iter().sum::<f64>() / pairs.len() as f64).abs() < 1e-5),
            Err(_) => prop_assert!(pairs.is_empty()),
        }

        let distance = |a: usize, b: usize| {
            let (a, b) = (members(a), members(b));
            let pairs = a.iter().flat_map(|&i| b.iter().map(move |&j| (i, j)));
            pairs.map(|(i, j)| 1.0 - cosine(i, j)).sum::<f64>() / (a.len() * b.len()) as f64
        };
        let k = classes as f64;
        let within = (0..classes).map(|c| distance(c, c)).sum::<f64>() / k;
        let pairs = (0..classes).flat_map(|a| (0..classes).map(move |b| (a, b)));
        let total = pairs.map(|(a, b)| distance(a, b)).sum::<f64>();
        let expected = 1.0 - within / (total / (k * k));
        prop_assert!((class_separation(&features, &labels).unwrap() - expected).abs() < 1e-4);
    }
}
