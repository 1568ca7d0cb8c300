//! Softmax cross-entropy over pairwise products, value and derivatives in one go.
//!
//! NT-Xent, the supervised contrastive loss and InfoNCE are this function with other positives. As Burn operations each
//! is a dozen passes over a matrix of all pairs; here a block of rows is made, used for value and gradient, and dropped.

use crate::{product::product, simd::vectorized};
use rayon::prelude::*;

/// Rows of logits in memory at once, for each thread.
const BLOCK: usize = 32;

/// Pieces of the sum over rows: fixed, so that results do not depend on the number of threads.
const PIECES: usize = 8;

/// What [`cross_entropy`] gives.
#[derive(Debug)]
pub struct CrossEntropy {
    /// The mean over the rows that have a positive; 0 without any.
    pub value: f32,
    /// Derivative with respect to `a`, `[n, d]`.
    pub a: Vec<f32>,
    /// Derivative with respect to `b`, `[m, d]`.
    pub b: Vec<f32>,
}

/// Mean over the rows `i` of `a [n, d]` that have positives, of
///
/// ```text
/// log( sum over j of exp(a_i . b_j / t) ) - mean over positives p of a_i . b_p / t
/// ```
///
/// with `b [m, d]`, `positives[i]` the columns that are positives of row `i`, and, with `others`, `j` leaving out `i`
/// itself (then `b` begins with the rows of `a`). Values that are not finite reach the result.
///
/// # Panics
/// When the lengths do not fit `d`, or a positive is no row of `b`.
pub fn cross_entropy(
    a: &[f32],
    b: &[f32],
    d: usize,
    temperature: f32,
    positives: &[Vec<u32>],
    others: bool,
) -> CrossEntropy {
    let (n, m) = (positives.len(), b.len().checked_div(d).unwrap_or(0));
    assert_eq!(a.len(), n * d, "every row needs its list of positives");
    assert_eq!(b.len(), m * d, "whole rows of {d} values");
    let anchors = positives.iter().filter(|p| !p.is_empty()).count();
    if anchors == 0 || m == 0 {
        return CrossEntropy { value: 0.0, a: vec![0.0; a.len()], b: vec![0.0; b.len()] };
    }
    let share = 1.0 / anchors as f32;
    let mut grad_a = vec![0.0f32; a.len()];
    let rows = n.div_ceil(PIECES).next_multiple_of(BLOCK); // of a piece
    let pieces: Vec<(f64, Vec<f32>)> = grad_a
        .par_chunks_mut(rows * d)
        .enumerate()
        .map(|(piece, grad_a)| {
            let mut value = 0.0f64;
            let mut grad_b = vec![0.0f32; b.len()];
            let mut logits = vec![0.0f32; BLOCK * m];
            for (block, grad_a) in grad_a.chunks_mut(BLOCK * d).enumerate() {
                let first = piece * rows + block * BLOCK;
                let count = grad_a.len() / d;
                let (a, logits) = (&a[first * d..][..count * d], &mut logits[..count * m]);
                // logits [count, m] = a b' / t
                product((count, d, m), (a, d, 1), (b, 1, d), 1.0 / temperature, false, logits);
                for (row, logits) in logits.chunks_exact_mut(m).enumerate() {
                    let itself = if others { Some(first + row) } else { None };
                    value += row_entropy(logits, &positives[first + row], itself, share / temperature);
                }
                product((count, m, d), (logits, m, 1), (b, d, 1), 1.0, false, grad_a);
                product((m, count, d), (logits, 1, m), (a, d, 1), 1.0, true, &mut grad_b);
            }
            (value, grad_b)
        })
        .collect();
    let mut value = 0.0;
    let mut grad_b = vec![0.0f32; b.len()];
    for (part, grad) in pieces {
        value += part;
        grad_b.iter_mut().zip(grad).for_each(|(sum, g)| *sum += g);
    }
    CrossEntropy { value: (value / anchors as f64) as f32, a: grad_a, b: grad_b }
}

/// The value of one row; its logits become their derivatives times `scale`.
fn row_entropy(logits: &mut [f32], positives: &[u32], itself: Option<usize>, scale: f32) -> f64 {
    if positives.is_empty() {
        logits.fill(0.0);
        return 0.0;
    }
    let positive = positives.iter().map(|p| f64::from(logits[*p as usize])).sum::<f64>() / positives.len() as f64;
    if let Some(i) = itself {
        logits[i] = f32::NEG_INFINITY;
    }
    let mut top = [f32::NEG_INFINITY; 1];
    row_maximum(logits, &mut top);
    let mut sum = [0.0f64; 1];
    row_exponentials(logits, top[0], &mut sum);
    row_scaled(logits, (f64::from(scale) / sum[0]) as f32);
    for p in positives {
        logits[*p as usize] -= scale / positives.len() as f32;
    }
    sum[0].ln() + f64::from(top[0]) - positive
}

/// `exp(x)` to two units in the last place; 0 below -87, NaN for NaN. Branch-free, so that loops over it vectorise.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // x = n log(2) + r, with n rounded by adding and taking away 1.5 * 2^23 (Cody and Waite, 1980).
    const ROUND: f32 = 12_582_912.0;
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    // The integer stands in the low bits of the shifted value.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let scaled = y * f32::from_bits(n.wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { scaled }
}

vectorized! {
    /// The largest value; NaN is passed over, and shows in the sum.
    fn row_maximum(x: &[f32], top: &mut [f32; 1]) {
        let mut lanes = [f32::NEG_INFINITY; 16];
        let chunks = x.chunks_exact(16);
        for v in chunks.remainder() {
            lanes[0] = if *v > lanes[0] { *v } else { lanes[0] };
        }
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane = if *v > *lane { *v } else { *lane };
            }
        }
        top[0] = lanes.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    }

    /// `x = exp(x - top)` and the sum of that.
    fn row_exponentials(x: &mut [f32], top: f32, sum: &mut [f64; 1]) {
        for x in x.chunks_mut(1024) {
            let mut lanes = [0.0f32; 16];
            let mut chunks = x.chunks_exact_mut(16);
            for chunk in &mut chunks {
                for (lane, v) in lanes.iter_mut().zip(chunk) {
                    *v = exp(*v - top);
                    *lane += *v;
                }
            }
            for v in chunks.into_remainder() {
                *v = exp(*v - top);
                lanes[0] += *v;
            }
            sum[0] += lanes.iter().map(|v| f64::from(*v)).sum::<f64>();
        }
    }

    /// `x = x * scale`.
    fn row_scaled(x: &mut [f32], scale: f32) {
        for v in x {
            *v *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn exponentials_are_accurate_and_stay_in_range() {
        for i in -8_700..=0 {
            let x = i as f32 * 0.01;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 3e-7 * want, "{x}: {} {want}", exp(x));
        }
        assert_eq!([exp(f32::NEG_INFINITY), exp(-1e30), exp(0.0)], [0.0, 0.0, 1.0]);
        assert!(exp(f32::NAN).is_nan() && exp(1e30).is_finite());
    }

    /// The definition in double precision: the value alone.
    fn naive(a: &[f64], b: &[f64], d: usize, t: f64, positives: &[Vec<u32>], others: bool) -> f64 {
        let dot = |i: usize, j: usize| (0..d).map(|k| a[i * d + k] * b[j * d + k]).sum::<f64>() / t;
        let (mut sum, mut rows) = (0.0, 0);
        for (i, p) in positives.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let all: f64 = (0..b.len() / d).filter(|j| !others || *j != i).map(|j| dot(i, j).exp()).sum();
            sum += all.ln() - p.iter().map(|p| dot(i, *p as usize)).sum::<f64>() / p.len() as f64;
            rows += 1;
        }
        if rows == 0 { 0.0 } else { sum / rows as f64 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Value against the definition, derivatives against its central differences.
        #[test]
        fn equals_the_definition(
            n in 1usize..70, extra in 0usize..40, d in 1usize..7, others in any::<bool>(), seed in any::<u64>(),
        ) {
            let m = n + extra;
            prop_assume!(m > 1);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut draw = |len: usize| (0..len).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<_>>();
            let (a, b) = (draw(n * d), draw(m * d));
            let positives: Vec<Vec<u32>> = (0..n)
                .map(|i| (0..m).filter(|j| *j != i && (i * 7 + j * 3) % 5 == 0).map(|j| j as u32).collect())
                .collect();
            let got = cross_entropy(&a, &b, d, 0.3, &positives, others);
            let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let (mut a, mut b) = (wide(&a), wide(&b));
            let value = naive(&a, &b, d, 0.3, &positives, others);
            prop_assert!((f64::from(got.value) - value).abs() <= 1e-5 * (1.0 + value.abs()), "{} {value}", got.value);
            for i in [0, n * d / 2, n * d - 1] {
                let mut at = |step: f64| {
                    a[i] += step;
                    let value = naive(&a, &b, d, 0.3, &positives, others);
                    a[i] -= step;
                    value
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                prop_assert!((f64::from(got.a[i]) - slope).abs() < 1e-4, "a {i}: {} {slope}", got.a[i]);
            }
            for i in [0, m * d / 2, m * d - 1] {
                let mut at = |step: f64| {
                    b[i] += step;
                    let value = naive(&a, &b, d, 0.3, &positives, others);
                    b[i] -= step;
                    value
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                prop_assert!((f64::from(got.b[i]) - slope).abs() < 1e-4, "b {i}: {} {slope}", got.b[i]);
            }
        }
    }

    #[test]
    fn large_logits_and_values_that_are_not_finite() {
        let far = cross_entropy(&[1e3, 0.0], &[1.0, 0.0, -1.0, 0.0], 2, 0.01, &[vec![0]], false);
        assert_eq!((far.value, far.a), (0.0, vec![0.0, 0.0]));
        assert!(cross_entropy(&[f32::NAN], &[1.0, 2.0], 1, 1.0, &[vec![1]], false).value.is_nan());
        assert!(cross_entropy(&[f32::INFINITY], &[1.0, 2.0], 1, 1.0, &[vec![1]], false).value.is_nan());
        let none = cross_entropy(&[1.0], &[1.0], 1, 1.0, &[vec![]], true);
        assert_eq!((none.value, none.a, none.b), (0.0, vec![0.0], vec![0.0]));
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let wave = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
        let (a, positives) = (wave(300 * 9), (0..300).map(|i| vec![(i + 1) % 300]).collect::<Vec<_>>());
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let r = pool.install(|| cross_entropy(&a, &a, 9, 0.2, &positives, true));
            (r.value, r.a, r.b)
        };
        assert_eq!(run(1), run(3));
    }
}
