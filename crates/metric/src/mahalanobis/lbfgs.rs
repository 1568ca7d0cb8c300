//! Limited-memory BFGS with the bisection line search of Lewis and Overton.
//!
//! The two-loop recursion is that of Nocedal and Wright, "Numerical Optimization" (2006), algorithm 7.4. The line
//! search asks for the weak Wolfe conditions only, found by stepping farther and bisection: Lewis and Overton, "Nonsmooth
//! optimization via quasi-Newton methods" (2013), show that this pair also works on functions with kinks, such as sums
//! of hinges. No step length is asked of the user: the first trial step is a fixed share of the length of the start
//! point, so that scaling the objective changes nothing.

use std::collections::VecDeque;

use super::linalg::{axpy, dot, norm};

/// Pairs kept: scipy's `L-BFGS-B` keeps 10 too.
const MEMORY: usize = 10;
/// Length of the first trial step, as a share of the length of the point.
const FIRST_STEP: f64 = 0.1;
/// Sufficient decrease and curvature constants (Nocedal and Wright, section 3.1).
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Doublings and halvings before the search gives up: 2^-50 is close to the resolution of a double.
const MAX_TRIALS: usize = 50;
/// A gradient this flat, relative to value and point, is zero to rounding.
const FLAT: f64 = 1e-12;
/// The decrease is judged over this many iterations: single short steps do not end the search.
const WINDOW: usize = 5;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// Iterations at least, unless nothing can be gained any more.
    pub(super) min_iterations: usize,
    /// Iterations at most.
    pub(super) max_iterations: usize,
    /// Ends when the value fell by less than this share over the last [`WINDOW`] iterations.
    pub(super) tolerance: f64,
}

/// Where the search ended.
#[derive(Debug, Clone)]
pub(super) struct Minimum {
    /// The point.
    pub(super) point: Vec<f64>,
    /// Value at the start and after every iteration; never increasing.
    pub(super) trace: Vec<f64>,
    /// Whether the tolerance was met, or no descent was left at machine precision.
    pub(super) converged: bool,
}

/// A point with the objective's value and gradient.
struct State {
    point: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// Minimises `objective`, which returns a value and a (sub)gradient; a non-finite value is a wall to step back from.
pub(super) fn minimize(start: Vec<f64>, stop: Stop, mut objective: impl FnMut(&[f64]) -> (f64, Vec<f64>)) -> Minimum {
    let (value, gradient) = objective(&start);
    let mut state = State { point: start, value, gradient };
    let mut memory = Memory::default();
    let mut trace = vec![value];
    let converged = loop {
        if norm(&state.gradient) * norm(&state.point) <= FLAT * state.value.abs() {
            break true;
        }
        if trace.len() > stop.max_iterations {
            break false;
        }
        let direction = memory.direction(&state.gradient);
        let first = memory.first_step(&state, &direction);
        let Some(next) = line_search(&state, &direction, first, &mut objective) else {
            if memory.pairs.is_empty() {
                break true; // not even steepest descent goes down
            }
            memory.pairs.clear();
            continue;
        };
        memory.remember(&state, &next);
        state = next;
        trace.push(state.value);
        let iterations = trace.len() - 1;
        if iterations >= stop.min_iterations.max(WINDOW) {
            let gained = trace[iterations - WINDOW] - state.value;
            if gained <= stop.tolerance * state.value.abs() {
                break true;
            }
        }
    };
    Minimum { point: state.point, trace, converged }
}

/// The last steps `s`, gradient changes `y` and `1 / (s . y)`, oldest first.
#[derive(Default)]
struct Memory {
    pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
}

impl Memory {
    /// Minus the approximate inverse Hessian times `gradient`; steepest descent without memory.
    fn direction(&mut self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for (s, y, rho) in self.pairs.iter().rev() {
            let share = rho * dot(s, &q);
            axpy(&mut q, -share, y);
            shares.push(share);
        }
        if let Some((s, y, _)) = self.pairs.back() {
            let scale = dot(s, y) / dot(y, y);
            q.iter_mut().for_each(|v| *v *= scale);
        }
        for ((s, y, rho), share) in self.pairs.iter().zip(shares.iter().rev()) {
            let back = rho * dot(y, &q);
            axpy(&mut q, share - back, s);
        }
        if !self.pairs.is_empty() && dot(&q, gradient) >= 0.0 {
            self.pairs.clear(); // rounding spoilt the approximation: start it anew
            return gradient.iter().map(|g| -g).collect();
        }
        q
    }

    fn first_step(&self, state: &State, direction: &[f64]) -> f64 {
        if !self.pairs.is_empty() {
            return 1.0;
        }
        let length = norm(&state.point);
        let length = if length > 0.0 { length } else { 1.0 };
        FIRST_STEP * length / norm(direction)
    }

    fn remember(&mut self, from: &State, to: &State) {
        let s: Vec<f64> = to.point.iter().zip(&from.point).map(|(b, a)| b - a).collect();
        let y: Vec<f64> = to.gradient.iter().zip(&from.gradient).map(|(b, a)| b - a).collect();
        let curvature = dot(&s, &y);
        // Skipping pairs without positive curvature keeps the approximation positive definite.
        if curvature > 1e-10 * norm(&s) * norm(&y) {
            if self.pairs.len() == MEMORY {
                self.pairs.pop_front();
            }
            self.pairs.push_back((s, y, 1.0 / curvature));
        }
    }
}

/// The next trial behind a step after which the objective still falls: where its slope, from `before` to `now`, would be
/// flat if it went on changing like that, but two to ten times as far.
fn farther(step: f64, before: f64, now: f64) -> f64 {
    let flat = before / (before - now);
    step * if flat.is_finite() { flat.clamp(2.0, 10.0) } else { 2.0 }
}

/// A point along `direction` that meets the weak Wolfe conditions; the last one with sufficient decrease when the
/// trials run out before the slope has flattened; `None` when no trial went down.
fn line_search(
    from: &State,
    direction: &[f64],
    first: f64,
    objective: &mut impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> Option<State> {
    let slope = dot(&from.gradient, direction);
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, first);
    let (mut best, mut reached) = (None, slope);
    for _ in 0..MAX_TRIALS {
        let mut point = from.point.clone();
        axpy(&mut point, step, direction);
        let (value, gradient) = objective(&point);
        let goes_down = value.is_finite() && value <= from.value + DECREASE * step * slope;
        if goes_down {
            reached = dot(&gradient, direction);
            let flattened = reached >= CURVATURE * slope;
            best = Some(State { point, value, gradient });
            if flattened {
                break;
            }
            low = step;
        } else {
            high = step;
        }
        step = if high.is_finite() { 0.5 * (low + high) } else { farther(low, slope, reached) };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: Stop = Stop { min_iterations: 0, max_iterations: 500, tolerance: 1e-14 };

    #[test]
    fn finds_the_valley_of_rosenbrock() {
        let found = minimize(vec![-1.2, 1.0], STOP, |x| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (1.0 + a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
        });
        assert!(found.converged);
        assert!((found.point[0] - 1.0).abs() < 1e-5 && (found.point[1] - 1.0).abs() < 1e-5, "{:?}", found.point);
        assert!(found.trace.windows(2).all(|w| w[1] <= w[0]));
    }

    #[test]
    fn goes_to_the_kink_of_a_sum_of_hinges() {
        // |x| + 2 |y - 3| has its minimum, 0, where no gradient is 0.
        let found = minimize(vec![5.0, -4.0], STOP, |x| {
            (x[0].abs() + 2.0 * (x[1] - 3.0).abs(), vec![x[0].signum(), 2.0 * (x[1] - 3.0).signum()])
        });
        assert!(found.trace.last().is_some_and(|&v| v < 1e-6), "{:?}", found.trace.last());
    }

    #[test]
    fn the_scale_of_the_objective_does_not_matter() {
        let quadratic = |scale: f64| {
            minimize(vec![3.0, -2.0], STOP, move |x| {
                (scale * (x[0] * x[0] + 4.0 * x[1] * x[1] + 1.0), vec![2.0 * scale * x[0], 8.0 * scale * x[1]])
            })
        };
        let (small, large) = (quadratic(1.0), quadratic(1024.0));
        assert_eq!(small.point, large.point); // a power of two: the very same steps
    }

    #[test]
    fn stops_where_it_starts_on_flat_ground_and_at_the_limit() {
        let flat = minimize(vec![1.0, 2.0], STOP, |_| (7.0, vec![0.0, 0.0]));
        assert_eq!((flat.point, flat.trace.len(), flat.converged), (vec![1.0, 2.0], 1, true));
        let stop = Stop { max_iterations: 3, ..STOP };
        let cut = minimize(vec![-1.2, 1.0], stop, |x| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (1.0 + a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
        });
        assert_eq!((cut.trace.len(), cut.converged), (4, false));
    }
}
