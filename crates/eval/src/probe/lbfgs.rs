//! L-BFGS (Liu and Nocedal 1989) for smooth convex functions.

use std::collections::VecDeque;

/// Curvature pairs remembered, the customary 10.
const MEMORY: usize = 10;

/// Share of the predicted decrease that a step must reach (Armijo's condition).
const SUFFICIENT_DECREASE: f64 = 1e-4;

/// Trials of one line search: enough to shrink a step to nothing.
const TRIALS: usize = 40;

/// Least curvature, relative to the length of the step and of the change, for a pair to be remembered.
const LEAST_CURVATURE: f64 = 1e-10;

/// Where the search ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// Steps taken.
    pub(super) iterations: usize,
    /// Value at the end.
    pub(super) value: f64,
    /// Whether the norm of the gradient at the end is at most the one asked for.
    pub(super) converged: bool,
}

/// A step and the change of the gradient along it.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// `1 / (step . change)`, positive.
    inverse: f64,
}

/// Moves `point` downhill until the gradient norm is at most `tolerance`, or after `limit` steps, or when no step
/// decreases the value any more. `evaluate` writes the gradient and returns the value.
pub(super) fn minimize(
    point: &mut [f64],
    tolerance: f64,
    limit: usize,
    mut evaluate: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Outcome {
    let size = point.len();
    let mut gradient = vec![0.0; size];
    let mut value = evaluate(point, &mut gradient);
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let (mut next, mut next_gradient) = (vec![0.0; size], vec![0.0; size]);
    let mut iterations = 0;
    while iterations < limit && norm(&gradient) > tolerance {
        let mut direction = descent(&gradient, &pairs);
        let mut slope = dot(&direction, &gradient);
        // Curvature is positive in every remembered pair, so only rounding can turn the direction uphill.
        if slope >= 0.0 {
            pairs.clear();
            direction = descent(&gradient, &pairs);
            slope = dot(&direction, &gradient);
        }
        // Without curvature the length of the gradient says nothing about that of the step: try a short one first.
        let first = if pairs.is_empty() { 1.0 / norm(&gradient).max(1.0) } else { 1.0 };
        let found = backtrack(first, value, slope, |length| {
            for ((next, &from), along) in next.iter_mut().zip(&*point).zip(&direction) {
                *next = from + length * along;
            }
            evaluate(&next, &mut next_gradient)
        });
        let Some(next_value) = found else {
            if pairs.is_empty() {
                break; // Even straight downhill nothing decreases: the value is as low as rounding lets it be.
            }
            pairs.clear();
            continue;
        };
        remember(&mut pairs, difference(&next, point), difference(&next_gradient, &gradient));
        point.copy_from_slice(&next);
        std::mem::swap(&mut gradient, &mut next_gradient);
        value = next_value;
        iterations += 1;
    }
    Outcome { iterations, value, converged: norm(&gradient) <= tolerance }
}

/// The quasi-Newton direction by the two-loop recursion; straight downhill without pairs.
fn descent(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut weights = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let weight = pair.inverse * dot(&pair.step, &direction);
        add_scaled(&mut direction, -weight, &pair.change);
        weights.push(weight);
    }
    if let Some(last) = pairs.back() {
        let scale = 1.0 / (last.inverse * dot(&last.change, &last.change));
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for (pair, weight) in pairs.iter().zip(weights.into_iter().rev()) {
        let correction = weight - pair.inverse * dot(&pair.change, &direction);
        add_scaled(&mut direction, correction, &pair.step);
    }
    direction
}

/// Shortens the step until the value decreases enough and returns that value. `at` evaluates a step length.
fn backtrack(first: f64, value: f64, slope: f64, mut at: impl FnMut(f64) -> f64) -> Option<f64> {
    let mut length = first;
    for _ in 0..TRIALS {
        let trial = at(length);
        if trial <= value + SUFFICIENT_DECREASE * length * slope && trial < value {
            return Some(trial);
        }
        // The lowest point of the parabola through the value, the slope and the trial, kept inside the step.
        let curvature = trial - value - length * slope;
        let lowest = -0.5 * slope * length * length / curvature;
        length = if lowest.is_finite() { lowest.clamp(0.1 * length, 0.5 * length) } else { 0.1 * length };
    }
    None
}

/// Keeps the pair if its curvature is safely positive, dropping the oldest.
fn remember(pairs: &mut VecDeque<Pair>, step: Vec<f64>, change: Vec<f64>) {
    let curvature = dot(&step, &change);
    if curvature <= LEAST_CURVATURE * norm(&step) * norm(&change) {
        return;
    }
    if pairs.len() == MEMORY {
        pairs.pop_front();
    }
    pairs.push_back(Pair { step, change, inverse: 1.0 / curvature });
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Euclidean norm.
pub(super) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

fn add_scaled(target: &mut [f64], scale: f64, other: &[f64]) {
    target.iter_mut().zip(other).for_each(|(value, x)| *value += scale * x);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn solves_an_ill_conditioned_quadratic() {
        let scales = [1.0, 10.0, 100.0, 1000.0, 0.1];
        let target = [1.0, -2.0, 3.0, -4.0, 5.0];
        let mut point = [0.0; 5];
        let outcome = minimize(&mut point, 1e-9, 200, |x, gradient| {
            let mut value = 0.0;
            for i in 0..5 {
                gradient[i] = scales[i] * (x[i] - target[i]);
                value += 0.5 * gradient[i] * (x[i] - target[i]);
            }
            value
        });
        assert!(outcome.converged && outcome.iterations < 100, "{outcome:?}");
        assert!(point.iter().zip(target).all(|(x, t)| (x - t).abs() < 1e-7), "{point:?}");
    }

    #[test]
    fn solves_rosenbrock() {
        let mut point = [-1.2, 1.0];
        let outcome = minimize(&mut point, 1e-8, 500, |x, gradient| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            gradient[0] = -2.0 * a - 400.0 * x[0] * b;
            gradient[1] = 200.0 * b;
            a * a + 100.0 * b * b
        });
        assert!(outcome.converged, "{outcome:?}");
        assert!((point[0] - 1.0).abs() < 1e-6 && (point[1] - 1.0).abs() < 1e-6, "{point:?}");
    }

    #[test]
    fn says_when_it_did_not_converge() {
        let mut point = [100.0f64];
        let outcome = minimize(&mut point, 1e-12, 1, |x, gradient| {
            gradient[0] = 4.0 * x[0].powi(3);
            x[0].powi(4)
        });
        assert_eq!((outcome.iterations, outcome.converged), (1, false));
        assert!(outcome.value < 1e8);
    }

    #[test]
    fn stays_where_the_gradient_vanishes() {
        let mut point = [2.0];
        let outcome = minimize(&mut point, 0.0, 10, |_, gradient| {
            gradient[0] = 0.0;
            3.0
        });
        assert_eq!(outcome, Outcome { iterations: 0, value: 3.0, converged: true });
    }

    proptest! {
        /// The value never rises above the start.
        #[test]
        fn never_rises(start in prop::collection::vec(-5.0f64..5.0, 1..6), limit in 1usize..20) {
            let function = |x: &[f64], gradient: &mut [f64]| {
                gradient.iter_mut().zip(x).for_each(|(g, &x)| *g = x.tanh() + 0.1 * x);
                x.iter().map(|x| x.cosh().ln() + 0.05 * x * x).sum::<f64>()
            };
            let before = function(&start, &mut vec![0.0; start.len()]);
            let mut point = start.clone();
            let outcome = minimize(&mut point, 1e-10, limit, function);
            prop_assert!(outcome.value <= before);
            prop_assert!((function(&point, &mut vec![0.0; start.len()]) - outcome.value).abs() < 1e-12);
        }
    }
}
