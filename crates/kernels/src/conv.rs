//! 2-D convolution over channels-last host memory: forward, input gradient and weight gradient.
//!
//! All three are sums over kernel taps of small matrix products. The forward pass and the input gradient are the same
//! routine with other offsets and other packed weights: the gradient of a strided convolution splits into `stride^2`
//! classes of input pixels, each reached by its own subset of the taps, so that no product with an inserted zero is
//! ever formed. Work is cut into pieces whose number does not depend on the threads, so neither does the result.

use crate::{
    simd::{self, Level, MAX_TILE, Run, Strides, Tap},
    winograd,
};
use rayon::prelude::*;
use std::cell::RefCell;

/// Sizes of a convolution. All tensors are channels-last: input `[n, h, w, cin]`, output `[n, ho, wo, cout]`;
/// weights are Burn's `[cout, cin, k, k]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub cin: usize,
    pub cout: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Geometry {
    pub(crate) fn ho(&self) -> usize {
        (self.h + 2 * self.padding - self.kernel) / self.stride + 1
    }

    pub(crate) fn wo(&self) -> usize {
        (self.w + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Stops before a buffer of another size than these, which the kernels would read past or leave parts unwritten for.
    fn check(&self, input: Option<&[f32]>, weights: Option<&[f32]>, grad: Option<&[f32]>) {
        let input_len = self.n * self.h * self.w * self.cin;
        let weights_len = self.cout * self.cin * self.kernel * self.kernel;
        let grad_len = self.n * self.ho() * self.wo() * self.cout;
        for (what, buffer, len) in
            [("input", input, input_len), ("weights", weights, weights_len), ("gradient", grad, grad_len)]
        {
            assert!(buffer.is_none_or(|buffer| buffer.len() == len), "the {what} does not fit {self:?}");
        }
    }
}

/// `f` over the items of `data` cut into pieces of `piece` values, in parallel, with a scratch buffer of `scratch`
/// values that a thread keeps between pieces and between calls.
pub(crate) fn with_scratch<R>(scratch: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local!(static BUFFER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) });
    // Taken out rather than borrowed: rayon may run another piece on this thread while this one waits.
    let mut buffer = BUFFER.take();
    if buffer.len() < scratch {
        buffer.resize(scratch, 0.0);
    }
    let result = f(&mut buffer[..scratch]);
    BUFFER.replace(buffer);
    result
}

/// Margins of zeros around an image.
#[derive(Clone, Copy, Debug)]
struct Frame {
    h: usize,
    w: usize,
    c: usize,
    before: usize,
    after_h: usize,
    after_w: usize,
}

impl Frame {
    fn padded_w(&self) -> usize {
        self.before + self.w + self.after_w
    }

    fn len(&self) -> usize {
        (self.before + self.h + self.after_h) * self.padded_w() * self.c
    }

    fn is_empty(&self) -> bool {
        self.before == 0 && self.after_h == 0 && self.after_w == 0
    }

    /// Copies one image into `dst` with its margins.
    fn fill(&self, image: &[f32], dst: &mut [f32]) {
        let (row, padded_row) = (self.w * self.c, self.padded_w() * self.c);
        let (left, right) = (self.before * self.c, self.after_w * self.c);
        dst[..self.before * padded_row].fill(0.0);
        for y in 0..self.h {
            let line = &mut dst[(self.before + y) * padded_row..][..padded_row];
            line[..left].fill(0.0);
            line[left..left + row].copy_from_slice(&image[y * row..][..row]);
            line[left + row..left + row + right].fill(0.0);
        }
        dst[(self.before + self.h) * padded_row..self.len()].fill(0.0);
    }
}

/// One class of output pixels: where each reads, where it writes, and through which taps.
struct Plan {
    taps: Vec<Tap>,
    pixels: Vec<(usize, usize)>,
}

impl Plan {
    /// The same for `images` images, whose frames lie `frame` apart and whose outputs lie `out` apart.
    fn repeated(&self, images: usize, frame: usize, out: usize) -> Self {
        let pixels = (0..images).flat_map(|i| self.pixels.iter().map(move |p| (p.0 + i * frame, p.1 + i * out)));
        Self { taps: self.taps.clone(), pixels: pixels.collect() }
    }
}

/// Weights as `[column block][tap][channel][column]`, the last block filled up with zeros.
struct Packed {
    data: Vec<f32>,
    block: usize,
    columns: usize,
}

impl Packed {
    /// `at(tap, channel, column)` gives the index into `weights`.
    fn new(
        weights: &[f32],
        taps: usize,
        channels: usize,
        columns: usize,
        width: usize,
        at: impl Fn(usize, usize, usize) -> usize + Sync,
    ) -> Self {
        let block = taps * channels * width;
        let mut data = vec![0.0; columns.div_ceil(width) * block];
        data.par_chunks_mut(block.max(1)).enumerate().for_each(|(b, out)| {
            let used = width.min(columns - b * width);
            for t in 0..taps {
                for c in 0..channels {
                    let row = &mut out[(t * channels + c) * width..][..used];
                    for (j, v) in row.iter_mut().enumerate() {
                        *v = weights[at(t, c, b * width + j)];
                    }
                }
            }
        });
        Self { data, block, columns }
    }
}

/// Runs the plans over every image of `input`, which `frame` describes.
fn gather(
    level: Level,
    input: &[f32],
    n: usize,
    frame: Frame,
    plans: &[Plan],
    packed: &Packed,
    out_len: usize,
) -> Vec<f32> {
    let image = frame.h * frame.w * frame.c;
    if image == 0 || packed.block == 0 {
        return vec![0.0; n * out_len]; // nothing but padding, or no channel: every sum is empty
    }
    let mut out = uninit(n * out_len);
    let (rows, width) = (level.rows(), level.columns());
    // Small images go together, so that few tiles are left partly empty, but every thread gets some.
    let pixels = plans.iter().map(|plan| plan.pixels.len()).max().unwrap_or(0);
    let images = (8 * rows).div_ceil(pixels.max(1)).min(n.div_ceil(2 * rayon::current_num_threads())).max(1);
    let framed = if frame.is_empty() { image } else { frame.len() };
    let plans: Vec<Plan> = plans.iter().map(|plan| plan.repeated(images, framed, out_len)).collect();
    out.par_chunks_mut((images * out_len).max(1)).zip(input.par_chunks(images * image)).for_each(|(out, input)| {
        let count = out.len() / out_len;
        let pad = if frame.is_empty() { 0 } else { count * frame.len() };
        with_scratch(pad, |scratch| {
            let source = if frame.is_empty() {
                input.as_ptr()
            } else {
                for (image, dst) in input.chunks_exact(image).zip(scratch.chunks_exact_mut(frame.len())) {
                    frame.fill(image, dst);
                }
                scratch.as_ptr()
            };
            let mut tile = [0.0f32; MAX_TILE * 32];
            for (block, weights) in packed.data.chunks_exact(packed.block).enumerate() {
                let first = block * width;
                let used = width.min(packed.columns - first);
                for plan in &plans {
                    for group in plan.pixels[..plan.pixels.len() / images * count].chunks(rows) {
                        let mut offsets = [group[0].0; MAX_TILE];
                        for (slot, pixel) in offsets.iter_mut().zip(group) {
                            *slot = pixel.0;
                        }
                        // SAFETY: the plans hold offsets inside the frames, the packed block holds every tap, and
                        // the tile has room for the largest level.
                        unsafe {
                            let tile = tile.as_mut_ptr();
                            let weights = weights.as_ptr();
                            simd::conv_tile(level, source, &offsets, &plan.taps, frame.c, weights, tile, width);
                        }
                        for (p, pixel) in group.iter().enumerate() {
                            out[pixel.1 + first..][..used].copy_from_slice(&tile[p * width..][..used]);
                        }
                    }
                }
            }
        });
    });
    out
}

/// A buffer that the caller writes whole before it reads any of it. Filling it with zeros first costs a pass over memory
/// in every operation of a step.
#[allow(clippy::uninit_vec)]
pub(crate) fn uninit(len: usize) -> Vec<f32> {
    let mut v: Vec<f32> = Vec::with_capacity(len);
    // SAFETY: the capacity is `len`. `set_len` asks for initialised elements: every routine here checks the sizes of what
    // it reads, and so writes each element before any is read. Until then no value is made from this memory.
    unsafe { v.set_len(len) };
    v
}

/// Convolution: `input [n, h, w, cin]`, `weights [cout, cin, k, k]` to `[n, ho, wo, cout]`.
pub(crate) fn forward(level: Level, g: &Geometry, input: &[f32], weights: &[f32]) -> Vec<f32> {
    g.check(Some(input), Some(weights), None);
    let method = if winograd::applies(g) { winograd::forward } else { direct_forward };
    method(level, g, input, weights)
}

/// Gradient with respect to the input: `grad [n, ho, wo, cout]` to `[n, h, w, cin]`.
pub(crate) fn input_gradient(level: Level, g: &Geometry, grad: &[f32], weights: &[f32]) -> Vec<f32> {
    g.check(None, Some(weights), Some(grad));
    let method = if winograd::applies(g) { winograd::input_gradient } else { direct_input_gradient };
    method(level, g, grad, weights)
}

/// Gradient with respect to the weights: `input [n, h, w, cin]`, `grad [n, ho, wo, cout]` to `[cout, cin, k, k]`.
pub(crate) fn weight_gradient(level: Level, g: &Geometry, input: &[f32], grad: &[f32]) -> Vec<f32> {
    g.check(Some(input), None, Some(grad));
    let method = if winograd::applies(g) { winograd::weight_gradient } else { direct_weight_gradient };
    method(level, g, input, grad)
}

/// [`forward`] by the definition.
pub(crate) fn direct_forward(level: Level, g: &Geometry, input: &[f32], weights: &[f32]) -> Vec<f32> {
    let (ho, wo, k) = (g.ho(), g.wo(), g.kernel);
    let frame = Frame { h: g.h, w: g.w, c: g.cin, before: g.padding, after_h: g.padding, after_w: g.padding };
    let (cin, width, row) = (g.cin, level.columns(), frame.padded_w());
    let packed = Packed::new(weights, k * k, cin, g.cout, width, |t, c, j| (j * cin + c) * k * k + t);
    let taps =
        (0..k * k).map(|t| Tap { input: (((t / k) * row + t % k) * cin) as isize, weights: t * cin * width }).collect();
    let pixels = (0..ho * wo).map(|p| (((p / wo) * g.stride * row + (p % wo) * g.stride) * cin, p * g.cout)).collect();
    gather(level, input, g.n, frame, &[Plan { taps, pixels }], &packed, ho * wo * g.cout)
}

/// [`input_gradient`] by the definition.
pub(crate) fn direct_input_gradient(level: Level, g: &Geometry, grad: &[f32], weights: &[f32]) -> Vec<f32> {
    let (ho, wo, k, s, p) = (g.ho(), g.wo(), g.kernel, g.stride, g.padding);
    // Tap (ky, kx) of input row y reads gradient row (y + p - ky) / s, where that divides.
    let before = (k - 1).saturating_sub(p).div_ceil(s);
    let frame = Frame {
        h: ho,
        w: wo,
        c: g.cout,
        before,
        after_h: ((g.h - 1 + p) / s + 1).saturating_sub(ho),
        after_w: ((g.w - 1 + p) / s + 1).saturating_sub(wo),
    };
    let (cin, cout, width, row) = (g.cin, g.cout, level.columns(), frame.padded_w());
    let packed = Packed::new(weights, k * k, cout, cin, width, |t, c, j| (c * cin + j) * k * k + t);
    let mut plans = Vec::with_capacity(s * s);
    for (ry, rx) in (0..s * s).map(|class| (class / s, class % s)) {
        let mut taps = Vec::new();
        for (my, ky) in (ry..k).step_by(s).enumerate() {
            for (mx, kx) in (rx..k).step_by(s).enumerate() {
                let input = -(((my * row + mx) * cout) as isize);
                taps.push(Tap { input, weights: (ky * k + kx) * cout * width });
            }
        }
        let mut pixels = Vec::new();
        for y in (0..g.h).filter(|y| (y + p) % s == ry) {
            for x in (0..g.w).filter(|x| (x + p) % s == rx) {
                let (gy, gx) = ((y + p - ry) / s + before, (x + p - rx) / s + before);
                pixels.push(((gy * row + gx) * cout, (y * g.w + x) * cin));
            }
        }
        if !pixels.is_empty() {
            plans.push(Plan { taps, pixels });
        }
    }
    gather(level, grad, g.n, frame, &plans, &packed, g.h * g.w * cin)
}

/// Pixels that a weight tile should sum over before its sums go back to memory.
const PIXELS_PER_GROUP: usize = 256;

/// [`weight_gradient`] by the definition.
pub(crate) fn direct_weight_gradient(level: Level, g: &Geometry, input: &[f32], grad: &[f32]) -> Vec<f32> {
    let (ho, wo, k) = (g.ho(), g.wo(), g.kernel);
    let frame = Frame { h: g.h, w: g.w, c: g.cin, before: g.padding, after_h: g.padding, after_w: g.padding };
    let (tile_rows, width, row) = (level.rows(), level.columns(), frame.padded_w());
    let (image, out_pixels) = (g.h * g.w * g.cin, ho * wo);
    let weight_rows = k * k * g.cin;
    let row_offsets: Vec<usize> =
        (0..weight_rows).map(|r| (r / g.cin / k * row + r / g.cin % k) * g.cin + r % g.cin).collect();

    let blocks = g.cout.div_ceil(width);
    let padded_cout = blocks * width;
    let rows_tiles = weight_rows.div_ceil(tile_rows);
    let tile_len = tile_rows * width;
    let acc_len = rows_tiles * blocks * tile_len;

    let images_per_group = PIXELS_PER_GROUP.div_ceil(out_pixels.max(1)).min(g.n.max(1));
    let groups = g.n.div_ceil(images_per_group);
    // Pieces are fixed by the sizes alone: large weights get few sums over images and are cut by rows instead.
    let pieces = ((1 << 21) / acc_len.max(1)).clamp(2, 16).min(groups.max(1));
    let cuts = if acc_len > (1 << 18) { 8.min(rows_tiles) } else { 1 };
    let groups_per_piece = groups.div_ceil(pieces);
    let tiles_per_cut = rows_tiles.div_ceil(cuts);

    let runs_of = |images: usize| -> Vec<Run> {
        (0..images * ho)
            .map(|i| {
                let (image, y) = (i / ho, i % ho);
                Run { input: image * frame.len() + y * g.stride * row * g.cin, grad: i * wo * padded_cout, len: wo }
            })
            .collect()
    };
    let full_runs = runs_of(images_per_group);
    let strides = Strides { input: g.stride * g.cin, grad: padded_cout };
    let grad_scratch = if padded_cout == g.cout { 0 } else { images_per_group * out_pixels * padded_cout };
    let pad_scratch = if frame.is_empty() { 0 } else { images_per_group * frame.len() };

    let mut partial = vec![0.0f32; pieces * acc_len];
    let jobs: Vec<(usize, usize, &mut [f32])> = partial
        .chunks_mut(acc_len.max(1))
        .enumerate()
        .flat_map(|(piece, acc)| {
            acc.chunks_mut(tiles_per_cut * blocks * tile_len).enumerate().map(move |(cut, acc)| (piece, cut, acc))
        })
        .collect();
    jobs.into_par_iter().for_each(|(piece, cut, acc)| {
        with_scratch(pad_scratch + grad_scratch, |scratch| {
            let (padded, grads) = scratch.split_at_mut(pad_scratch);
            for group in piece * groups_per_piece..((piece + 1) * groups_per_piece).min(groups) {
                let first = group * images_per_group;
                let count = images_per_group.min(g.n - first);
                let source = &input[first * image..(first + count) * image];
                let x = if frame.is_empty() {
                    source.as_ptr()
                } else {
                    for (image, dst) in source.chunks_exact(image).zip(padded.chunks_exact_mut(frame.len())) {
                        frame.fill(image, dst);
                    }
                    padded.as_ptr()
                };
                let group_grad = &grad[first * out_pixels * g.cout..(first + count) * out_pixels * g.cout];
                let dy = if grads.is_empty() {
                    group_grad.as_ptr()
                } else {
                    for (src, dst) in group_grad.chunks_exact(g.cout).zip(grads.chunks_exact_mut(padded_cout)) {
                        dst[..g.cout].copy_from_slice(src);
                        dst[g.cout..].fill(0.0);
                    }
                    grads.as_ptr()
                };
                let part;
                let runs = if count == images_per_group {
                    &full_runs
                } else {
                    part = runs_of(count);
                    &part
                };
                for block in 0..blocks {
                    for (i, tile) in acc.chunks_exact_mut(blocks * tile_len).enumerate() {
                        let r0 = (cut * tiles_per_cut + i) * tile_rows;
                        let mut rows = [row_offsets[r0]; MAX_TILE];
                        for (slot, offset) in rows.iter_mut().zip(&row_offsets[r0..]) {
                            *slot = *offset;
                        }
                        let tile = &mut tile[block * tile_len..][..tile_len];
                        // SAFETY: rows and runs lie inside the frames of the group, the gradient is padded to whole
                        // column blocks, and the tile has its full size.
                        unsafe {
                            simd::weight_tile(level, x, &rows, dy.add(block * width), runs, strides, tile.as_mut_ptr());
                        }
                    }
                }
            }
        });
    });

    // Sum the pieces in order, then from [row tile][block][row][column] to [cout, cin, k, k].
    let (total, rest) = partial.split_at_mut(acc_len);
    for piece in rest.chunks_exact(acc_len.max(1)) {
        total.iter_mut().zip(piece).for_each(|(a, b)| *a += b);
    }
    let mut out = vec![0.0; g.cout * weight_rows];
    out.par_chunks_mut(weight_rows.max(1)).enumerate().for_each(|(j, out)| {
        let (block, column) = (j / width, j % width);
        for r in 0..weight_rows {
            let (tap, c) = (r / g.cin, r % g.cin);
            out[c * k * k + tap] =
                total[((r / tile_rows) * blocks + block) * tile_len + (r % tile_rows) * width + column];
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn values(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Calls `f(output index, input index, weight index)` for every product of the convolution.
    fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
        let (ho, wo, k) = (g.ho(), g.wo(), g.kernel);
        for n in 0..g.n {
            for (oy, ox) in (0..ho * wo).map(|p| (p / wo, p % wo)) {
                for (ky, kx) in (0..k * k).map(|t| (t / k, t % k)) {
                    let (y, x) = (oy * g.stride + ky, ox * g.stride + kx);
                    if y < g.padding || x < g.padding || y - g.padding >= g.h || x - g.padding >= g.w {
                        continue;
                    }
                    let (y, x) = (y - g.padding, x - g.padding);
                    for co in 0..g.cout {
                        for ci in 0..g.cin {
                            f(
                                ((n * ho + oy) * wo + ox) * g.cout + co,
                                ((n * g.h + y) * g.w + x) * g.cin + ci,
                                ((co * g.cin + ci) * k + ky) * k + kx,
                            );
                        }
                    }
                }
            }
        }
    }

    fn assert_close(got: &[f32], want: &[f64], what: &str, g: &Geometry) {
        assert_eq!(got.len(), want.len());
        for (i, (a, b)) in got.iter().zip(want).enumerate() {
            assert!((*a as f64 - b).abs() <= 1e-4 * (1.0 + b.abs()), "{what}[{i}] = {a}, want {b}, {g:?}");
        }
    }

    fn check(g: &Geometry, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = values(&mut rng, g.n * g.h * g.w * g.cin);
        let weights = values(&mut rng, g.cout * g.cin * g.kernel * g.kernel);
        let out_len = g.n * g.ho() * g.wo() * g.cout;
        let grad = values(&mut rng, out_len);
        let (mut y, mut dx, mut dw) = (vec![0.0; out_len], vec![0.0; input.len()], vec![0.0; weights.len()]);
        products(g, |o, i, w| {
            y[o] += input[i] as f64 * weights[w] as f64;
            dx[i] += grad[o] as f64 * weights[w] as f64;
            dw[w] += grad[o] as f64 * input[i] as f64;
        });
        for level in Level::available() {
            assert_close(&forward(level, g, &input, &weights), &y, "y", g);
            assert_close(&input_gradient(level, g, &grad, &weights), &dx, "dx", g);
            assert_close(&weight_gradient(level, g, &input, &grad), &dw, "dw", g);
            assert_close(&direct_forward(level, g, &input, &weights), &y, "direct y", g);
            assert_close(&direct_input_gradient(level, g, &grad, &weights), &dx, "direct dx", g);
            assert_close(&direct_weight_gradient(level, g, &input, &grad), &dw, "direct dw", g);
        }
    }

    #[test]
    fn encoder_shapes() {
        let base = Geometry { n: 3, h: 14, w: 14, cin: 64, cout: 64, kernel: 3, stride: 1, padding: 1 };
        check(&base, 0);
        check(&Geometry { cin: 1, h: 28, w: 28, ..base }, 1);
        check(&Geometry { stride: 2, cout: 128, h: 8, w: 8, ..base }, 2);
        check(&Geometry { stride: 2, kernel: 1, padding: 0, cout: 128, h: 8, w: 8, ..base }, 3);
        check(&Geometry { n: 40, h: 3, w: 3, ..base }, 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn equals_the_definition(
            n in 1usize..5, h in 1usize..9, w in 1usize..9, cin in 1usize..36, cout in 1usize..36,
            three in any::<bool>(), stride in 1usize..3, seed in any::<u64>(),
        ) {
            let kernel = if three { 3 } else { 1 };
            check(&Geometry { n, h, w, cin, cout, kernel, stride, padding: kernel / 2 }, seed);
        }
    }

    /// Without a pixel or a channel nothing is summed: the results are zeros, not what the memory held.
    #[test]
    fn empty_sums_are_zero() {
        let base = Geometry { n: 2, h: 3, w: 3, cin: 2, cout: 3, kernel: 1, stride: 1, padding: 1 };
        for g in [Geometry { h: 0, w: 0, ..base }, Geometry { cin: 0, ..base }] {
            let weights = vec![1.0; g.cout * g.cin];
            let y = forward(Level::detect(), &g, &[], &weights);
            assert_eq!(y, vec![0.0; g.n * g.ho() * g.wo() * g.cout], "{g:?}");
        }
        let g = Geometry { cout: 0, padding: 0, ..base };
        assert_eq!(input_gradient(Level::detect(), &g, &[], &[]), vec![0.0; 2 * 9 * 2]);
    }

    #[test]
    #[should_panic(expected = "the gradient does not fit")]
    fn a_gradient_of_another_size_is_refused() {
        let g = Geometry { n: 2, h: 3, w: 3, cin: 2, cout: 3, kernel: 1, stride: 1, padding: 0 };
        input_gradient(Level::detect(), &g, &[0.0; 5], &[0.0; 6]);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let g = Geometry { n: 37, h: 7, w: 7, cin: 24, cout: 40, kernel: 3, stride: 1, padding: 1 };
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let input = values(&mut rng, g.n * g.h * g.w * g.cin);
        let grad = values(&mut rng, g.n * g.ho() * g.wo() * g.cout);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| weight_gradient(Level::detect(), &g, &input, &grad))
        };
        assert_eq!(run(1), run(3));
    }
}
