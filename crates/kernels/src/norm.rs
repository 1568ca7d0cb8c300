//! Batch norm over channels-last host memory, fused with what follows it in our encoders: an optional residual
//! addition, ReLU and an optional 2x2 max pool. Activations are read twice in each direction and nothing but the
//! output is stored: the backward pass recomputes the normalised values from the layer's input.
//!
//! ReLU and pooling treat NaN as Burn's own operations do: it passes through, and it wins a maximum.

use crate::conv::uninit;
use crate::simd::vectorized;
use rayon::prelude::*;

/// What follows the normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct After {
    /// Set negative values to zero.
    pub relu: bool,
    /// Maximum over 2x2 windows of stride 2; an odd last row or column is left out, as in Burn and PyTorch.
    pub pool: bool,
}

/// Sizes of an activation `[n, h, w, c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Size {
    pub(crate) fn pixels(&self) -> usize {
        self.n * self.h * self.w
    }

    pub(crate) fn pooled(&self) -> Self {
        Self { h: self.h / 2, w: self.w / 2, ..*self }
    }
}

/// Pixels a piece of a reduction: fixed, so that sums do not depend on the number of threads.
const PIECE: usize = 512;

/// Per-channel mean and biased variance of `x [pixels, c]`, by pieces merged in order (Chan et al., 1979), so that a
/// large mean does not cancel the variance.
pub(crate) fn statistics(x: &[f32], c: usize) -> (Vec<f32>, Vec<f32>) {
    let pieces: Vec<(usize, Vec<f32>, Vec<f32>)> = x
        .par_chunks((PIECE * c).max(1))
        .map(|piece| {
            let count = piece.len() / c;
            let (mut mean, mut m2) = (vec![0.0f32; c], vec![0.0f32; c]);
            piece_statistics(piece, &mut mean, &mut m2);
            (count, mean, m2)
        })
        .collect();
    let (mut n, mut mean, mut m2) = (0.0f64, vec![0.0f64; c], vec![0.0f64; c]);
    for (count, piece_mean, piece_m2) in pieces {
        let count = count as f64;
        let total = n + count;
        for j in 0..c {
            let delta = f64::from(piece_mean[j]) - mean[j];
            mean[j] += delta * count / total;
            m2[j] += f64::from(piece_m2[j]) + delta * delta * n * count / total;
        }
        n = total;
    }
    (mean.iter().map(|m| *m as f32).collect(), m2.iter().map(|m| (m / n) as f32).collect())
}

/// The normalisation as `x * scale + shift`.
pub(crate) struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affine {
    pub(crate) fn new(gamma: &[f32], beta: &[f32], mean: &[f32], var: &[f32], epsilon: f64) -> Self {
        assert!([beta, mean, var].iter().all(|v| v.len() == gamma.len()), "one entry a channel");
        let scale: Vec<f32> = gamma.iter().zip(var).map(|(g, v)| g / (v + epsilon as f32).sqrt()).collect();
        let shift = beta.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        Self { scale, shift }
    }
}

#[inline(always)]
fn rectify(v: f32) -> f32 {
    // `v <= 0` is false for NaN, which therefore passes through.
    if v <= 0.0 { 0.0 } else { v }
}

#[inline(always)]
fn passes(v: f32) -> bool {
    v > 0.0 || v.is_nan()
}

/// Whether `v` replaces `best` as the maximum of a window: the first of equals stays, NaN wins.
#[inline(always)]
fn beats(v: f32, best: f32) -> bool {
    v > best || (v.is_nan() && !best.is_nan())
}

/// The four pixels of a pooling window, as slices of `c` channels.
#[inline(always)]
fn window(image: &[f32], w: usize, c: usize, y: usize, x: usize) -> [&[f32]; 4] {
    let at = |dy: usize, dx: usize| &image[((2 * y + dy) * w + 2 * x + dx) * c..][..c];
    [at(0, 0), at(0, 1), at(1, 0), at(1, 1)]
}

vectorized! {
    /// Mean and summed squared deviations of the pixels of a piece; both begin at zero.
    fn piece_statistics(piece: &[f32], mean: &mut [f32], m2: &mut [f32]) {
        let c = mean.len();
        for pixel in piece.chunks_exact(c) {
            mean.iter_mut().zip(pixel).for_each(|(m, v)| *m += v);
        }
        let scale = c as f32 / piece.len() as f32;
        mean.iter_mut().for_each(|m| *m *= scale);
        for pixel in piece.chunks_exact(c) {
            for ((s, v), m) in m2.iter_mut().zip(pixel).zip(&*mean) {
                let d = v - m;
                *s += d * d;
            }
        }
    }

    /// `relu(x * scale + shift)` of a piece.
    fn plain_forward(x: &[f32], affine: &Affine, relu: bool, out: &mut [f32]) {
        let c = affine.scale.len();
        let (scale, shift) = (&affine.scale[..c], &affine.shift[..c]);
        for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            for j in 0..c {
                let v = x[j] * scale[j] + shift[j];
                out[j] = if relu { rectify(v) } else { v };
            }
        }
    }

    /// `relu(x * scale + shift + residual)` of a piece.
    fn residual_forward(x: &[f32], residual: &[f32], affine: &Affine, relu: bool, out: &mut [f32]) {
        let c = affine.scale.len();
        let (scale, shift) = (&affine.scale[..c], &affine.shift[..c]);
        for ((out, x), r) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(residual.chunks_exact(c)) {
            for j in 0..c {
                let v = x[j] * scale[j] + shift[j] + r[j];
                out[j] = if relu { rectify(v) } else { v };
            }
        }
    }

    /// Normalisation, ReLU and 2x2 maximum of an image `w` pixels wide whose result is `small_w` wide.
    fn pooled_forward(image: &[f32], affine: &Affine, relu: bool, w: usize, small_w: usize, out: &mut [f32]) {
        let c = affine.scale.len();
        let (scale, shift) = (&affine.scale[..c], &affine.shift[..c]);
        for (p, out) in out.chunks_exact_mut(c).enumerate() {
            let [a, b, d, e] = window(image, w, c, p / small_w, p % small_w);
            for j in 0..c {
                let mut best = a[j] * scale[j] + shift[j];
                for v in [b[j], d[j], e[j]] {
                    let v = v * scale[j] + shift[j];
                    best = if beats(v, best) { v } else { best };
                }
                out[j] = if relu { rectify(best) } else { best };
            }
        }
    }
}

/// Forward pass: `x [n, h, w, c]` to `[n, h, w, c]`, or `[n, h / 2, w / 2, c]` with pooling.
pub(crate) fn forward(x: &[f32], residual: Option<&[f32]>, size: Size, affine: &Affine, after: After) -> Vec<f32> {
    let Size { h, w, c, .. } = size;
    assert!(
        x.len() == size.pixels() * c && affine.scale.len() == c && residual.is_none_or(|r| r.len() == x.len()),
        "the operands of a batch norm do not fit {size:?}"
    );
    if after.pool {
        let small = size.pooled();
        let mut out = uninit(small.pixels() * c);
        let image_out = small.h * small.w * c;
        if image_out > 0 {
            out.par_chunks_mut(image_out)
                .zip(x.par_chunks(h * w * c))
                .for_each(|(out, image)| pooled_forward(image, affine, after.relu, w, small.w, out));
        }
        return out;
    }
    let mut out = uninit(x.len());
    let piece = (PIECE * c).max(1);
    out.par_chunks_mut(piece).zip(x.par_chunks(piece)).enumerate().for_each(|(i, (out, x))| match residual {
        Some(r) => residual_forward(x, &r[i * piece..][..x.len()], affine, after.relu, out),
        None => plain_forward(x, affine, after.relu, out),
    });
    out
}

/// What the backward pass gives.
pub(crate) struct Gradients {
    pub input: Vec<f32>,
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
    /// Gradient of the residual operand, where there was one: the incoming gradient behind the ReLU.
    pub residual: Option<Vec<f32>>,
}

/// Inputs of the backward pass that the forward pass had too.
pub(crate) struct Saved<'a> {
    pub x: &'a [f32],
    pub size: Size,
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub mean: &'a [f32],
    pub var: &'a [f32],
    pub epsilon: f64,
    pub after: After,
    /// Whether mean and variance are those of `x` itself, so that the gradient flows through them too.
    pub batch_statistics: bool,
}

/// Backward pass of [`forward`]; `output` is its result and is needed only with a residual.
pub(crate) fn backward(saved: &Saved<'_>, output: Option<&[f32]>, grad: &[f32]) -> Gradients {
    let Saved { x, size, after, .. } = *saved;
    let c = size.c;
    let out = if after.pool { size.pooled() } else { size };
    assert!(
        x.len() == size.pixels() * c
            && grad.len() == out.pixels() * c
            && [saved.gamma, saved.beta, saved.mean, saved.var].iter().all(|v| v.len() == c)
            && output.is_none_or(|output| output.len() == grad.len() && !after.pool),
        "the operands of a batch norm's gradient do not fit {size:?}"
    );
    let affine = Affine::new(saved.gamma, saved.beta, saved.mean, saved.var, saved.epsilon);
    let inv_std: Vec<f32> = saved.var.iter().map(|v| 1.0 / (v + saved.epsilon as f32).sqrt()).collect();
    let masked = output.map(|output| mask(output, grad, after.relu));
    let route =
        Route { x, grad: masked.as_deref().unwrap_or(grad), size, after, affine: &affine, masked: masked.is_some() };
    let (beta, centred) = route.sums(saved.mean);
    // The sums are of grad and grad * (x - mean); the second in units of the normalised value is gamma's gradient.
    let gamma: Vec<f32> = centred.iter().zip(&inv_std).map(|(s, r)| s * r).collect();
    let count = size.pixels() as f32;
    let (mut slope, mut offset) = (vec![0.0f32; c], vec![0.0f32; c]);
    if saved.batch_statistics {
        // dx = scale * (g - mean(g) - xhat * mean(g * xhat)), with xhat = (x - mean) * inv_std, as slope * x + offset.
        for j in 0..c {
            slope[j] = -affine.scale[j] * gamma[j] * inv_std[j] / count;
            offset[j] = -affine.scale[j] * beta[j] / count - slope[j] * saved.mean[j];
        }
    }
    let input = route.scatter(&slope, &offset);
    Gradients { input, gamma, beta, residual: masked }
}

/// The gradient behind a ReLU whose output is known.
fn mask(output: &[f32], grad: &[f32], relu: bool) -> Vec<f32> {
    let mut out = uninit(grad.len());
    let piece = 1 << 15;
    out.par_chunks_mut(piece)
        .zip(output.par_chunks(piece))
        .zip(grad.par_chunks(piece))
        .for_each(|((out, y), g)| piece_mask(y, g, relu, out));
    out
}

/// `a + b`, value by value.
pub(crate) fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    assert_eq!(a.len(), b.len(), "both operands must have one size");
    let mut out = uninit(a.len());
    let piece = 1 << 15;
    out.par_chunks_mut(piece)
        .zip(a.par_chunks(piece))
        .zip(b.par_chunks(piece))
        .for_each(|((out, a), b)| piece_sum(a, b, out));
    out
}

/// How the incoming gradient reaches the normalised values.
struct Route<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    size: Size,
    after: After,
    affine: &'a Affine,
    /// The gradient is already behind the ReLU.
    masked: bool,
}

impl Route<'_> {
    /// Images a piece, so that a piece has about [`PIECE`] pixels.
    fn images_per_piece(&self) -> usize {
        PIECE.div_ceil((self.size.h * self.size.w).max(1))
    }

    /// Per-channel sums of the gradient and of the gradient times `x - mean`.
    fn sums(&self, mean: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let c = self.size.c;
        let pieces: Vec<(Vec<f32>, Vec<f32>)> = if self.after.pool {
            let small = self.size.pooled();
            let (image, image_grad) = (self.size.h * self.size.w * c, small.h * small.w * c);
            let step = self.images_per_piece();
            (0..self.size.n.div_ceil(step))
                .into_par_iter()
                .map(|piece| {
                    let (mut sum, mut centred) = (vec![0.0f32; c], vec![0.0f32; c]);
                    for i in piece * step..((piece + 1) * step).min(self.size.n) {
                        let x = &self.x[i * image..][..image];
                        let g = &self.grad[i * image_grad..][..image_grad];
                        pooled_sums(x, g, self, small.w, mean, &mut sum, &mut centred);
                    }
                    (sum, centred)
                })
                .collect()
        } else {
            let piece = (PIECE * c).max(1);
            self.x
                .par_chunks(piece)
                .zip(self.grad.par_chunks(piece))
                .map(|(x, g)| {
                    let (mut sum, mut centred) = (vec![0.0f32; c], vec![0.0f32; c]);
                    plain_sums(x, g, self, mean, &mut sum, &mut centred);
                    (sum, centred)
                })
                .collect()
        };
        let (mut sum, mut centred) = (vec![0.0f64; c], vec![0.0f64; c]);
        for (a, b) in pieces {
            for j in 0..c {
                sum[j] += f64::from(a[j]);
                centred[j] += f64::from(b[j]);
            }
        }
        (sum.iter().map(|v| *v as f32).collect(), centred.iter().map(|v| *v as f32).collect())
    }

    /// The input's gradient: `scale * routed gradient + slope * x + offset`.
    fn scatter(&self, slope: &[f32], offset: &[f32]) -> Vec<f32> {
        let c = self.size.c;
        let mut out = uninit(self.x.len());
        if self.after.pool {
            let small = self.size.pooled();
            let (image, image_grad) = (self.size.h * self.size.w * c, small.h * small.w * c);
            out.par_chunks_mut(image.max(1)).zip(self.x.par_chunks(image.max(1))).enumerate().for_each(
                |(i, (out, x))| {
                    pooled_scatter(x, &self.grad[i * image_grad..][..image_grad], self, small, slope, offset, out);
                },
            );
        } else {
            let piece = (PIECE * c).max(1);
            out.par_chunks_mut(piece)
                .zip(self.x.par_chunks(piece))
                .zip(self.grad.par_chunks(piece))
                .for_each(|((out, x), g)| plain_scatter(x, g, self, slope, offset, out));
        }
        out
    }
}

vectorized! {
    /// The gradient behind a ReLU whose output is `y`.
    fn piece_mask(y: &[f32], g: &[f32], relu: bool, out: &mut [f32]) {
        for ((out, y), g) in out.iter_mut().zip(y).zip(g) {
            *out = if !relu || passes(*y) { *g } else { 0.0 };
        }
    }

    /// `a + b` of a piece.
    fn piece_sum(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a + b;
        }
    }

    /// Adds a piece's gradient, and its gradient times `x - mean`, without pooling.
    fn plain_sums(x: &[f32], g: &[f32], route: &Route<'_>, mean: &[f32], sum: &mut [f32], centred: &mut [f32]) {
        let c = route.size.c;
        let (scale, shift) = (&route.affine.scale[..c], &route.affine.shift[..c]);
        let open = route.masked || !route.after.relu;
        let (mean, sum, centred) = (&mean[..c], &mut sum[..c], &mut centred[..c]);
        for (x, g) in x.chunks_exact(c).zip(g.chunks_exact(c)) {
            for j in 0..c {
                let keep = open || passes(x[j] * scale[j] + shift[j]);
                let g = if keep { g[j] } else { 0.0 };
                sum[j] += g;
                centred[j] += g * (x[j] - mean[j]);
            }
        }
    }

    /// The same for one image behind a pooling `small_w` wide.
    fn pooled_sums(
        x: &[f32],
        g: &[f32],
        route: &Route<'_>,
        small_w: usize,
        mean: &[f32],
        sum: &mut [f32],
        centred: &mut [f32],
    ) {
        let (c, w, relu) = (route.size.c, route.size.w, route.after.relu);
        let (scale, shift) = (&route.affine.scale[..c], &route.affine.shift[..c]);
        let (mean, sum, centred) = (&mean[..c], &mut sum[..c], &mut centred[..c]);
        for (p, g) in g.chunks_exact(c).enumerate() {
            let [a, b, d, e] = window(x, w, c, p / small_w, p % small_w);
            for j in 0..c {
                let (mut best, mut from) = (a[j] * scale[j] + shift[j], a[j]);
                for raw in [b[j], d[j], e[j]] {
                    let v = raw * scale[j] + shift[j];
                    let better = beats(v, best);
                    best = if better { v } else { best };
                    from = if better { raw } else { from };
                }
                let g = if !relu || passes(best) { g[j] } else { 0.0 };
                sum[j] += g;
                centred[j] += g * (from - mean[j]);
            }
        }
    }

    /// `scale * gradient + slope * x + offset` of a piece, without pooling.
    fn plain_scatter(x: &[f32], g: &[f32], route: &Route<'_>, slope: &[f32], offset: &[f32], out: &mut [f32]) {
        let c = route.size.c;
        let (scale, shift) = (&route.affine.scale[..c], &route.affine.shift[..c]);
        let (slope, offset) = (&slope[..c], &offset[..c]);
        let open = route.masked || !route.after.relu;
        for ((out, x), g) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(g.chunks_exact(c)) {
            for j in 0..c {
                let keep = open || passes(x[j] * scale[j] + shift[j]);
                let g = if keep { g[j] } else { 0.0 };
                out[j] = g * scale[j] + (x[j] * slope[j] + offset[j]);
            }
        }
    }

    /// The same for one image behind a pooling: the gradient goes to each window's maximum.
    fn pooled_scatter(
        x: &[f32],
        g: &[f32],
        route: &Route<'_>,
        small: Size,
        slope: &[f32],
        offset: &[f32],
        out: &mut [f32],
    ) {
        let Size { h, w, c, .. } = route.size;
        let (scale, shift) = (&route.affine.scale[..c], &route.affine.shift[..c]);
        let (slope, offset) = (&slope[..c], &offset[..c]);
        let relu = route.after.relu;
        for y in 0..small.h {
            let (top, bottom) = out[2 * y * w * c..][..2 * w * c].split_at_mut(w * c);
            for x_out in 0..small.w {
                let [a, b, d, e] = window(x, w, c, y, x_out);
                let g = &g[(y * small.w + x_out) * c..][..c];
                let (oa, ob) = top[2 * x_out * c..][..2 * c].split_at_mut(c);
                let (od, oe) = bottom[2 * x_out * c..][..2 * c].split_at_mut(c);
                for j in 0..c {
                    let v = [a[j], b[j], d[j], e[j]].map(|raw| raw * scale[j] + shift[j]);
                    let second = beats(v[1], v[0]);
                    let best = if second { v[1] } else { v[0] };
                    let third = beats(v[2], best);
                    let best = if third { v[2] } else { best };
                    let fourth = beats(v[3], best);
                    let best = if fourth { v[3] } else { best };
                    let g = if !relu || passes(best) { g[j] * scale[j] } else { 0.0 };
                    let to = |chosen: bool| if chosen { g } else { 0.0 };
                    oa[j] = a[j] * slope[j] + offset[j] + to(!(second | third | fourth));
                    ob[j] = b[j] * slope[j] + offset[j] + to(second & !(third | fourth));
                    od[j] = d[j] * slope[j] + offset[j] + to(third & !fourth);
                    oe[j] = e[j] * slope[j] + offset[j] + to(fourth);
                }
            }
        }
        // What the windows leave out still moves with the batch statistics.
        for y in 0..h {
            let from = if y < 2 * small.h { 2 * small.w } else { 0 };
            for p in y * w + from..(y + 1) * w {
                for j in 0..c {
                    out[p * c + j] = x[p * c + j] * slope[j] + offset[j];
                }
            }
        }
    }
}
