//! Forward pass and input gradient by the definition: sums over kernel taps, gathered for every output pixel.

use super::{Geometry, frame::Frame, uninit, with_scratch};
use crate::simd::{self, Level, MAX_TILE, Tap};
use rayon::prelude::*;

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
        with_scratch(frame.scratch(count), |scratch| {
            let source = frame.around(input, scratch).as_ptr();
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

/// [`forward`](super::forward) by the definition.
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

/// [`input_gradient`](super::input_gradient) by the definition.
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
