use super::host::{read, with_gradient};
use burn::tensor::Tensor;

/// W-MSE (Ermolov et al., 2021): the squared distance of two views after each is whitened by its own batch statistics.
/// Whitened rows cannot all be equal, so no negatives are needed.
///
/// ```text
/// y    = (x - mean) L^-T,  L L^T = (1 - epsilon) Cov(x) + epsilon I      (Cholesky)
/// loss = mean over rows of 2 - 2 cos(y_a, y_b)
/// ```
///
/// `a`, `b` `[n, d]`, `n >= 2`. Covariances are unbiased. The authors whiten random parts of a batch, here the whole
/// batch is one part; in training `n` should be at least `2 d`, as in their code. `epsilon` in (0, 1) keeps the
/// factor defined where outputs are dependent; the authors have 0 for CIFAR-10.
///
/// The factor and its derivative are computed on the host in `f64`. Numbers that are not finite give NaN.
///
/// # Panics
/// When the shapes differ or there are fewer than two rows.
pub fn w_mse(a: Tensor<2>, b: Tensor<2>, epsilon: f64) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "both views must hold the same images in the same order");
    let [n, d] = a.dims();
    assert!(n >= 2, "one row has no covariance");
    let (white_a, white_b) = (Whitened::new(read(&a), n, d, epsilon), Whitened::new(read(&b), n, d, epsilon));
    let (mut sum, mut grad_a, mut grad_b) = (0.0, Vec::with_capacity(n * d), Vec::with_capacity(n * d));
    for (x, y) in white_a.rows.chunks_exact(d).zip(white_b.rows.chunks_exact(d)) {
        let (nx, ny) = (norm(x), norm(y));
        let cosine = dot(x, y) / (nx * ny);
        sum += 2.0 - 2.0 * cosine;
        // d(-2 cos)/dx = -2 (y / |y| - cos x / |x|) / |x|
        let pull = |x: f64, nx: f64, y: f64, ny: f64| -2.0 / n as f64 * (y / ny - cosine * x / nx) / nx;
        grad_a.extend(x.iter().zip(y).map(|(x, y)| pull(*x, nx, *y, ny)));
        grad_b.extend(x.iter().zip(y).map(|(x, y)| pull(*y, ny, *x, nx)));
    }
    let loss_a = with_gradient(a, sum / n as f64, &white_a.pull_back(&grad_a));
    loss_a + with_gradient(b, 0.0, &white_b.pull_back(&grad_b))
}

/// Norms below this count as this: a row at the mean of its batch has no direction.
const LEAST_NORM: f64 = 1e-12;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt().max(LEAST_NORM)
}

/// A whitened view and what its derivative needs.
struct Whitened {
    d: usize,
    /// Weight of the covariance in each of its entries' sums: `(1 - epsilon) / (n - 1)`.
    weight: f64,
    /// Rows minus their mean, `[n, d]`.
    centred: Vec<f64>,
    /// `L^-1`, lower triangle, `[d, d]`.
    inverse: Vec<f64>,
    /// The result, `[n, d]`.
    rows: Vec<f64>,
}

impl Whitened {
    fn new(mut x: Vec<f64>, n: usize, d: usize, epsilon: f64) -> Self {
        subtract_mean(&mut x, n, d);
        let weight = (1.0 - epsilon) / (n as f64 - 1.0);
        let mut covariance = gram(&x, &x, d);
        for (i, row) in covariance.chunks_exact_mut(d).enumerate() {
            row.iter_mut().for_each(|c| *c *= weight);
            row[i] += epsilon;
        }
        let inverse = lower_inverse(&cholesky(&covariance, d), d);
        let mut rows = Vec::with_capacity(n * d);
        for row in x.chunks_exact(d) {
            rows.extend((0..d).map(|i| dot(&inverse[i * d..=i * d + i], &row[..=i])));
        }
        Self { d, weight, centred: x, inverse, rows }
    }

    /// The derivative with respect to the input, given the one with respect to the whitened rows: Murray's rule for the
    /// Cholesky factor (2016), with `M = gradient^T rows`, `P` its lower triangle with half the diagonal, negated, and
    /// `S = L^-T P L^-1`.
    fn pull_back(&self, gradient: &[f64]) -> Vec<f64> {
        let (d, inverse) = (self.d, &self.inverse);
        let mut p = gram(gradient, &self.rows, d);
        for (i, row) in p.chunks_exact_mut(d).enumerate() {
            row[i] *= 0.5;
            row[i + 1..].fill(0.0);
            row.iter_mut().for_each(|v| *v = -*v);
        }
        let s = gram(inverse, &product(&p, inverse, d), d);
        // The factor depends on the covariance's symmetric part alone.
        let symmetric: Vec<f64> = (0..d * d).map(|i| self.weight * (s[i] + s[i % d * d + i / d])).collect();
        let mut out = product(gradient, inverse, d);
        out.iter_mut().zip(product(&self.centred, &symmetric, d)).for_each(|(out, through)| *out += through);
        let n = out.len() / d;
        subtract_mean(&mut out, n, d);
        out
    }
}

fn subtract_mean(x: &mut [f64], n: usize, d: usize) {
    let mut mean = vec![0.0; d];
    for row in x.chunks_exact(d) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / n as f64);
    }
    for row in x.chunks_exact_mut(d) {
        row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
    }
}

/// `x^T y` of row-major matrices of `d` columns: `[d, d]`.
fn gram(x: &[f64], y: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; d * d];
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact(d)) {
        for (out, x) in out.chunks_exact_mut(d).zip(x) {
            out.iter_mut().zip(y).for_each(|(out, y)| *out += x * y);
        }
    }
    out
}

/// `x m` of a row-major matrix of `d` columns and a `[d, d]` one.
fn product(x: &[f64], m: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
        for (x, m) in x.iter().zip(m.chunks_exact(d)) {
            out.iter_mut().zip(m).for_each(|(out, m)| *out += x * m);
        }
    }
    out
}

/// The lower factor of a positive definite `[d, d]` matrix.
fn cholesky(a: &[f64], d: usize) -> Vec<f64> {
    let mut l = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let rest = a[i * d + j] - dot(&l[i * d..i * d + j], &l[j * d..j * d + j]);
            l[i * d + j] = if i == j { rest.sqrt() } else { rest / l[j * d + j] };
        }
    }
    l
}

/// The inverse of a lower triangular `[d, d]` matrix.
fn lower_inverse(l: &[f64], d: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; d * d];
    for j in 0..d {
        inverse[j * d + j] = 1.0 / l[j * d + j];
        for i in j + 1..d {
            let known: f64 = (j..i).map(|k| l[i * d + k] * inverse[k * d + j]).sum();
            inverse[i * d + j] = -known / l[i * d + i];
        }
    }
    inverse
}
