//! t-SNE: rows laid out in the plane so that neighbours stay neighbours (van der Maaten and Hinton 2008).
//!
//! The exact method, all pairs in every step: for the hundreds of rows of a picture. Nothing is drawn at random; the
//! start is given, so the same rows give the same map.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::rows::check_features;

/// Steps at the start with attraction times [`EXAGGERATION`], in which clusters form.
const EARLY: usize = 250;
/// Of scikit-learn and of van der Maaten's later implementations; 4 in the paper.
const EXAGGERATION: f64 = 12.0;
/// Learning rate over the number of rows: `1 / EXAGGERATION`, as Linderman and Steinerberger (2019) derive up to a
/// constant. scikit-learn takes a quarter, but never less than 50: small sets are thrown about by that.
const RATE: f64 = 1.0 / EXAGGERATION;
/// Momentum of the early steps and of those after.
const MOMENTUM: [f64; 2] = [0.5, 0.8];
/// What a coordinate's gain grows by while it goes on downhill, what it shrinks to where it turns, and its least value.
const GAIN: (f64, f64, f64) = (0.2, 0.8, 0.01);
/// Standard deviation of the start along its first axis.
const SPREAD: f64 = 1e-4;
/// Rows of one piece of parallel work.
const PIECE: usize = 32;

/// Settings of t-SNE.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TsneConfig {
    /// Neighbours that a row is near to, as the exponential of an entropy: at least 1 and less than the other rows.
    /// Default 30 (scikit-learn).
    pub perplexity: f64,
    /// Steps, more than the 250 early ones. Default 500: the divergence has settled for hundreds of rows
    /// (scikit-learn: 1,000).
    pub iterations: usize,
}

impl Default for TsneConfig {
    fn default() -> Self {
        Self { perplexity: 30.0, iterations: 500 }
    }
}

/// A map of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Tsne {
    /// A place for each row.
    pub points: Vec<[f64; 2]>,
    /// Kullback-Leibler divergence of the neighbourhoods in the map from those of the rows: 0 when they are alike.
    pub divergence: f64,
}

/// Lays out the rows of `features` `[n, d]` by their Euclidean distances, from `start` `[n, 2]`: the first two principal
/// components keep the large-scale order better than a random start (Kobak and Berens 2019).
///
/// `start` is centred and scaled; only its shape counts.
///
/// # Errors
/// When the features are empty or not finite, `start` has another number of rows, is not finite or does not vary along
/// its first axis, or a setting is out of range.
pub fn tsne(features: &Matrix, start: &[[f32; 2]], config: &TsneConfig) -> Result<Tsne, EvalError> {
    check_features("features", features)?;
    let count = features.rows();
    if start.len() != count {
        return Err(EvalError::Paired {
            left: "features",
            left_rows: count,
            right: "the start",
            right_rows: start.len(),
        });
    }
    if !(config.perplexity >= 1.0 && config.perplexity + 1.0 < count as f64) {
        let expected = "at least 1 and less than the number of other rows";
        return Err(EvalError::setting("perplexity", config.perplexity, expected));
    }
    if config.iterations <= EARLY {
        return Err(EvalError::setting("iterations", config.iterations, "more than 250"));
    }
    let shares = joint(features, config.perplexity);
    let mut points = scaled(start)?;
    descend(&shares, &mut points, config.iterations);
    let divergence = divergence(&shares, &points);
    Ok(Tsne { points, divergence })
}

/// The start around the origin, with [`SPREAD`] along its first axis.
fn scaled(start: &[[f32; 2]]) -> Result<Vec<[f64; 2]>, EvalError> {
    let one_place = start.iter().all(|point| point[0] == start[0][0]);
    if one_place || !start.iter().flatten().all(|value| value.is_finite()) {
        let expected = "finite and not all at one place of the first axis";
        return Err(EvalError::setting("start", "NaN, infinite or flat", expected));
    }
    let count = start.len() as f64;
    let along = |axis: usize| start.iter().map(move |point| f64::from(point[axis]));
    let mean = [0, 1].map(|axis| along(axis).sum::<f64>() / count);
    let variance = along(0).map(|value| (value - mean[0]).powi(2)).sum::<f64>() / count;
    let scale = SPREAD / variance.sqrt();
    let centred = |point: &[f32; 2], axis: usize| scale * (f64::from(point[axis]) - mean[axis]);
    Ok(start.iter().map(|point| [centred(point, 0), centred(point, 1)]).collect())
}

/// `p_ij` `[n, n]`: how near rows `i` and `j` are as a share of all pairs, symmetric, 0 on the diagonal.
fn joint(features: &Matrix, perplexity: f64) -> Vec<f64> {
    let count = features.rows();
    let of_row = |i: usize| {
        let others = (0..count).filter(|j| *j != i);
        let squares: Vec<f64> = others.map(|j| squared_distance(features.row(i), features.row(j))).collect();
        let mut shares = conditional(&squares, perplexity);
        shares.insert(i, 0.0);
        shares
    };
    let rows: Vec<Vec<f64>> = (0..count).into_par_iter().map(of_row).collect();
    let pair = |i: usize, j: usize| (rows[i][j] + rows[j][i]) / (2 * count) as f64;
    (0..count * count).map(|at| pair(at / count, at % count)).collect()
}

/// Squared Euclidean distance in `f64`.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

/// `p_j|i` of the other rows at these squared distances: a Gaussian around row `i` whose width gives the perplexity.
/// More copies of one row than the perplexity share alike whatever the width.
fn conditional(squares: &[f64], perplexity: f64) -> Vec<f64> {
    let nearest = squares.iter().fold(f64::INFINITY, |least, square| least.min(*square));
    // Shares do not change when all squares shrink alike, and the nearest row can then not vanish.
    let squares: Vec<f64> = squares.iter().map(|square| square - nearest).collect();
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    let target = perplexity.ln();
    let (mut low, mut high) = (0.0f64, f64::INFINITY);
    let mut precision = if mean > 0.0 { 1.0 / mean } else { 1.0 };
    let mut weights: Vec<f64> = Vec::new();
    let mut sum = 1.0f64;
    for _ in 0..64 {
        weights = squares.iter().map(|square| (-precision * square).exp()).collect();
        sum = weights.iter().sum();
        let moment: f64 = weights.iter().zip(&squares).map(|(weight, square)| weight * square).sum();
        let excess = sum.ln() + precision * moment / sum - target;
        if excess.abs() < 1e-9 {
            break;
        }
        // A wider Gaussian reaches more rows.
        if excess > 0.0 {
            low = precision;
        } else {
            high = precision;
        }
        precision = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * precision };
    }
    weights.iter().map(|weight| weight / sum).collect()
}

/// Gradient descent with momentum and a gain for each coordinate (Jacobs 1988), as the paper has it.
fn descend(shares: &[f64], points: &mut [[f64; 2]], iterations: usize) {
    let rate = RATE * points.len() as f64;
    let (grow, shrink, least) = GAIN;
    let mut velocity = vec![[0.0f64; 2]; points.len()];
    let mut gains = vec![[1.0f64; 2]; points.len()];
    for step in 0..iterations {
        let (exaggeration, momentum) = if step < EARLY { (EXAGGERATION, MOMENTUM[0]) } else { (1.0, MOMENTUM[1]) };
        let slopes = gradient(shares, points, exaggeration);
        for (((point, velocity), gain), slope) in points.iter_mut().zip(&mut velocity).zip(&mut gains).zip(slopes) {
            for axis in 0..2 {
                let downhill = velocity[axis] * slope[axis] < 0.0;
                gain[axis] = if downhill { gain[axis] + grow } else { (gain[axis] * shrink).max(least) };
                velocity[axis] = momentum * velocity[axis] - rate * gain[axis] * slope[axis];
                point[axis] += velocity[axis];
            }
        }
    }
}

/// Derivative of the divergence by each point, with the shares `p_ij` times `exaggeration`:
/// `4 sum_j (p_ij - q_ij) w_ij (y_i - y_j)` with `w_ij = 1 / (1 + |y_i - y_j|^2)` and `q_ij = w_ij / sum w`.
fn gradient(shares: &[f64], points: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
    let of_point = |(point, shares): (&[f64; 2], &[f64])| {
        let (mut pull, mut push, mut sum) = ([0.0f64; 2], [0.0f64; 2], 0.0);
        for (other, share) in points.iter().zip(shares) {
            let apart = [point[0] - other[0], point[1] - other[1]];
            let weight = 1.0 / (1.0 + apart[0] * apart[0] + apart[1] * apart[1]);
            for axis in 0..2 {
                pull[axis] += share * weight * apart[axis];
                push[axis] += weight * weight * apart[axis];
            }
            sum += weight;
        }
        // A point is at distance 0 from itself, which is no pair.
        (pull, push, sum - 1.0)
    };
    let rows = points.par_iter().zip(shares.par_chunks_exact(points.len())).with_min_len(PIECE);
    let forces: Vec<([f64; 2], [f64; 2], f64)> = rows.map(of_point).collect();
    // In order of the points, so that the number of threads changes nothing.
    let total: f64 = forces.iter().map(|(_, _, sum)| sum).sum();
    let slope = |pull: f64, push: f64| 4.0 * (exaggeration * pull - push / total);
    forces.iter().map(|(pull, push, _)| [slope(pull[0], push[0]), slope(pull[1], push[1])]).collect()
}

/// `sum p_ij ln(p_ij / q_ij)`.
fn divergence(shares: &[f64], points: &[[f64; 2]]) -> f64 {
    let weight = |a: &[f64; 2], b: &[f64; 2]| 1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2));
    let weights: Vec<f64> = points.iter().flat_map(|a| points.iter().map(move |b| weight(a, b))).collect();
    let total = weights.iter().sum::<f64>() - points.len() as f64;
    let pairs = shares.iter().zip(&weights).filter(|(share, _)| **share > 0.0);
    pairs.map(|(share, weight)| share * (share * total / weight).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{blobs, map_of_rows, matrix, noise};
    use proptest::prelude::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        let nested = value.as_array().expect("a list").iter();
        nested.flat_map(|v| v.as_f64().map_or_else(|| numbers(v), |number| vec![number])).collect()
    }

    fn points(value: &Value) -> Vec<[f64; 2]> {
        numbers(value).chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
    }

    /// The largest difference over the largest value.
    fn apart(found: &[f64], expected: &[f64]) -> f64 {
        let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / largest
    }

    #[test]
    fn matches_scikit_learn() {
        let file = map_of_rows();
        let rows = matrix(&file["rows"]);
        let perplexity = file["perplexity"].as_f64().unwrap();
        let shares = joint(&rows, perplexity);
        // The original takes distances in f32 and stops its search at 1e-5.
        assert!(apart(&shares, &numbers(&file["joint"])) < 3e-5);
        let at = points(&file["points"]);
        let slopes = gradient(&shares, &at, 1.0).concat();
        assert!(apart(&slopes, &numbers(&file["gradient"])) < 3e-5);
        assert!(apart(&[divergence(&shares, &at)], &[file["divergence"].as_f64().unwrap()]) < 3e-6);

        let start: Vec<[f32; 2]> = points(&file["start"]).iter().map(|point| point.map(|v| v as f32)).collect();
        let iterations = file["iterations"].as_u64().unwrap() as usize;
        let found = tsne(&rows, &start, &TsneConfig { perplexity, iterations }).unwrap();
        // Both end in some minimum nearby, which depends on the last digits.
        let end = file["end"].as_f64().unwrap();
        assert!(found.divergence < 1.1 * end, "{} after scikit-learn's {end}", found.divergence);
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let shares = joint(&Matrix::from_fn(7, 3, |i, j| noise(i * 3 + j)), 2.5);
        let at: Vec<[f64; 2]> = (0..7).map(|i| [0, 1].map(|axis| f64::from(noise(100 + 2 * i + axis)))).collect();
        let slopes = gradient(&shares, &at, 1.0);
        for (i, axis) in (0..7).flat_map(|i| [(i, 0), (i, 1)]) {
            let moved = |by: f64| {
                let mut at = at.clone();
                at[i][axis] += by;
                divergence(&shares, &at)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slopes[i][axis] - slope).abs() < 1e-8, "{} {slope}", slopes[i][axis]);
        }
    }

    #[test]
    fn clusters_stay_together() {
        let (rows, labels) = blobs(30, 8, 0.5);
        // A start that knows nothing of them.
        let start: Vec<[f32; 2]> = (0..90).map(|i| [noise(2 * i), noise(2 * i + 1)]).collect();
        let config = TsneConfig { perplexity: 10.0, ..TsneConfig::default() };
        let found = tsne(&rows, &start, &config).unwrap();
        let square = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
        for (i, point) in found.points.iter().enumerate() {
            let others = (0..90).filter(|j| *j != i);
            let nearest =
                others.min_by(|a, b| square(point, &found.points[*a]).total_cmp(&square(point, &found.points[*b])));
            assert_eq!(labels[nearest.unwrap()], labels[i], "point {i}");
        }
        assert_eq!(tsne(&rows, &start, &config).unwrap(), found);
    }

    #[test]
    fn copies_and_settings() {
        let start: Vec<[f32; 2]> = (0..12).map(|i| [i as f32, (i % 3) as f32]).collect();
        let config = TsneConfig { perplexity: 3.0, ..TsneConfig::default() };
        // Eight copies of one row: more than any width of a Gaussian can tell apart.
        let copies = Matrix::from_fn(12, 2, |i, j| if i < 8 { 1.0 } else { (i + j) as f32 });
        let found = tsne(&copies, &start, &config).unwrap();
        assert!(found.divergence.is_finite() && found.points.iter().flatten().all(|value| value.is_finite()));

        let rows = Matrix::from_fn(12, 2, |i, j| noise(i * 2 + j));
        let setting = |error: EvalError| match error {
            EvalError::Setting { name, .. } => name,
            other => panic!("{other}"),
        };
        for perplexity in [0.5, 11.0, f64::NAN] {
            let config = TsneConfig { perplexity, ..config };
            assert_eq!(setting(tsne(&rows, &start, &config).unwrap_err()), "perplexity");
        }
        let short = TsneConfig { iterations: 250, ..config };
        assert_eq!(setting(tsne(&rows, &start, &short).unwrap_err()), "iterations");
        for bad in [1.0, f32::NAN] {
            assert_eq!(setting(tsne(&rows, &[[bad, 0.0]; 12], &config).unwrap_err()), "start");
        }
        assert!(matches!(tsne(&rows, &start[1..], &config), Err(EvalError::Paired { .. })));
        assert!(matches!(tsne(&Matrix::zeros(0, 2), &[], &config), Err(EvalError::NoRows { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Shares are a symmetric distribution over pairs; each row's neighbourhood has the perplexity; units of the
        /// features do not matter.
        #[test]
        fn laws(count in 5usize..30, seed in 0usize..1000, share in 0.1f64..0.9) {
            let rows = Matrix::from_fn(count, 4, |i, j| noise(seed * 1000 + i * 4 + j));
            let perplexity = 1.0 + share * (count as f64 - 3.0);
            let shares = joint(&rows, perplexity);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (i, j) in (0..count).flat_map(|i| (0..count).map(move |j| (i, j))) {
                prop_assert_eq!(shares[i * count + j], shares[j * count + i]);
                prop_assert!(i != j || shares[i * count + j] == 0.0);
            }
            let squares: Vec<f64> = (1..count).map(|j| squared_distance(rows.row(0), rows.row(j))).collect();
            let near = conditional(&squares, perplexity);
            let entropy: f64 = near.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
            prop_assert!((entropy.exp() - perplexity).abs() < 1e-6 * perplexity);
            let larger = Matrix::from_fn(count, 4, |i, j| 1024.0 * rows.row(i)[j]);
            prop_assert!(apart(&joint(&larger, perplexity), &shares) < 1e-9);
        }
    }
}
