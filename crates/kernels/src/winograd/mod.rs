//! Winograd's minimal filtering F(2x2, 3x3) for 3x3 convolutions of stride 1 and padding 1 (Lavin and Gray, "Fast
//! Algorithms for Convolutional Neural Networks", 2016): 16 products for four outputs where the definition has 36.
//!
//! ```text
//! Y = A' [ (G g G') * (B' d B) ] A        d: 4x4 input patch, g: 3x3 weights, Y: 2x2 outputs, *: element by element
//! ```
//!
//! For each of the 16 positions, the element-wise products summed over channels are one matrix product `[tiles, cin] x
//! [cin, cout]`. The input gradient is the same convolution with mirrored weights; the weight gradient is the adjoint,
//! `dg = G' [ sum over tiles of (A dY A') * (B' d B) ] G`.
//!
//! The transforms mix the pixels of a patch, so one infinite pixel would spread over its patch. Results are therefore
//! checked, and whatever is not finite is computed again by the definition: such values come out as they do there.

mod tiling;
mod transform;

use crate::{
    conv::{self, Geometry, uninit, with_scratch},
    simd::{self, Level, MAX_TILE, Run, Strides, Tap},
};
use rayon::prelude::*;
use tiling::Tiling;
use transform::{transform_gradient, transform_patch, transform_products, transform_weights, weights_adjoint};

/// Positions of a transformed patch.
const POSITIONS: usize = 16;

/// Bytes of transformed values that a thread works on at once: they stay in its second-level cache.
const BLOCK_BYTES: usize = 1 << 20;

/// Fewest tiles a block: below, the transformed weights are read too often.
const MIN_BLOCK_TILES: usize = 48;

/// Bytes of transformed values in a group of images of the weight gradient.
const GROUP_BYTES: usize = 8 << 20;

/// Whether the convolution has the form that this module computes, and enough channels to gain from it.
pub(crate) fn applies(g: &Geometry) -> bool {
    g.kernel == 3 && g.stride == 1 && g.padding == 1 && g.cin >= 16 && g.cout >= 16
}

/// Transformed weights as `[column block][position][channel][column]`, the last block filled up with zeros.
struct Packed {
    data: Vec<f32>,
    channels: usize,
    blocks: usize,
}

impl Packed {
    /// `at(channel, column, tap)` gives the index into `weights`.
    fn new(
        weights: &[f32],
        width: usize,
        channels: usize,
        columns: usize,
        at: impl Fn(usize, usize, usize) -> usize + Sync,
    ) -> Self {
        let block = POSITIONS * channels * width;
        let blocks = columns.div_ceil(width);
        let mut data = uninit(blocks * block);
        data.par_chunks_mut(block).enumerate().for_each(|(b, out)| {
            let mut taps = [0.0f32; 9 * 32];
            for c in 0..channels {
                for j in 0..width.min(columns - b * width) {
                    for t in 0..9 {
                        taps[t * width + j] = weights[at(c, b * width + j, t)];
                    }
                }
                transform_weights(&taps, width, &mut out[c * width..], channels * width);
            }
        });
        Self { data, channels, blocks }
    }

    /// The `[channel][column]` panel of a block at a position.
    fn panel(&self, block: usize, position: usize, width: usize) -> &[f32] {
        &self.data[(block * POSITIONS + position) * self.channels * width..][..self.channels * width]
    }
}

/// Convolution: `input [n, h, w, cin]`, `weights [cout, cin, 3, 3]` to `[n, h, w, cout]`.
pub(crate) fn forward(level: Level, g: &Geometry, input: &[f32], weights: &[f32]) -> Vec<f32> {
    let packed = Packed::new(weights, level.columns(), g.cin, g.cout, |c, j, t| (j * g.cin + c) * 9 + t);
    let exact = |image: &[f32], out: &mut [f32]| {
        out.copy_from_slice(&conv::direct_forward(level, &Geometry { n: 1, ..*g }, image, weights));
    };
    convolve(level, g, input, &packed, g.cout, exact)
}

/// Gradient with respect to the input: `grad [n, h, w, cout]` to `[n, h, w, cin]`.
pub(crate) fn input_gradient(level: Level, g: &Geometry, grad: &[f32], weights: &[f32]) -> Vec<f32> {
    let packed = Packed::new(weights, level.columns(), g.cout, g.cin, |c, j, t| (c * g.cin + j) * 9 + 8 - t);
    let exact = |grad: &[f32], out: &mut [f32]| {
        out.copy_from_slice(&conv::direct_input_gradient(level, &Geometry { n: 1, ..*g }, grad, weights));
    };
    convolve(level, g, grad, &packed, g.cin, exact)
}

/// Convolves every image of `input [n, h, w, packed.channels]` to `[n, h, w, columns]`. Images whose result is not
/// finite go through `exact`.
fn convolve(
    level: Level,
    g: &Geometry,
    input: &[f32],
    packed: &Packed,
    columns: usize,
    exact: impl Fn(&[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let channels = packed.channels;
    let tiling = Tiling::new(g.h, g.w);
    let (rows, width, lanes) = (level.rows(), level.columns(), level.lanes());
    let (depth, padded) = (channels.next_multiple_of(lanes), packed.blocks * width);
    let (image_in, image_out) = (g.h * g.w * channels, g.h * g.w * columns);

    // Small images go together, so that a block has tiles enough, but every thread gets some.
    let most = (BLOCK_BYTES / (4 * POSITIONS * (depth + padded))).max(MIN_BLOCK_TILES);
    let share = g.n.div_ceil(2 * rayon::current_num_threads());
    let images = most.div_ceil(tiling.count).min(share).max(1);
    let blocks = (images * tiling.count).div_ceil(most);
    let block = (images * tiling.count).div_ceil(blocks).next_multiple_of(rows);
    let (v_len, m_len) = (block * depth, block * padded); // of one position

    let mut out = uninit(g.n * image_out);
    out.par_chunks_mut(images * image_out).zip(input.par_chunks(images * image_in)).for_each(|(out, input)| {
        with_scratch(POSITIONS * (v_len + m_len) + channels, |scratch| {
            let (v, rest) = scratch.split_at_mut(POSITIONS * v_len);
            let (m, zeros) = rest.split_at_mut(POSITIONS * m_len);
            zeros.fill(0.0);
            let count = out.len() / image_out;
            let mut finite = vec![true; count];
            for first in (0..count * tiling.count).step_by(block) {
                let tiles = block.min(count * tiling.count - first);
                for t in 0..tiles {
                    let (image, tile) = ((first + t) / tiling.count, (first + t) % tiling.count);
                    let patch = tiling.patch(&input[image * image_in..][..image_in], channels, tile, zeros);
                    // SAFETY: the patch points at `channels` values each; row `t < block` of a position has `depth`.
                    unsafe { transform_patch(level, &patch, channels, v.as_mut_ptr().add(t * depth), v_len) };
                }
                products(level, v, m, packed, (tiles, depth, block));
                for t in 0..tiles {
                    let (image, tile) = ((first + t) / tiling.count, (first + t) % tiling.count);
                    // All pointers come from one borrow: another slice of `out` would end those before it.
                    let values = out[image * image_out..][..image_out].as_mut_ptr();
                    let pixels = tiling.outputs(tile).map(|pixel| match pixel {
                        Some(pixel) => values.wrapping_add(pixel * columns),
                        None => std::ptr::null_mut(),
                    });
                    // SAFETY: row `t` of each position has `padded >= columns` values, a whole number of vectors, and
                    // the pixels of a tile lie inside the image, `columns` values each, and are distinct.
                    unsafe {
                        let m = m.as_ptr().add(t * padded);
                        transform_products(level, m, m_len, columns, &pixels, &mut finite[image]);
                    }
                }
            }
            for (image, _) in finite.iter().enumerate().filter(|(_, finite)| !**finite) {
                exact(&input[image * image_in..][..image_in], &mut out[image * image_out..][..image_out]);
            }
        });
    });
    out
}

/// For every position `m [tiles, padded] = v [tiles, depth] x panel [channels, columns]`; both have `block` rows.
fn products(level: Level, v: &[f32], m: &mut [f32], packed: &Packed, (tiles, depth, block): (usize, usize, usize)) {
    let (rows, width) = (level.rows(), level.columns());
    let padded = packed.blocks * width;
    let tap = [Tap { input: 0, weights: 0 }];
    for position in 0..POSITIONS {
        let (v, m) = (&v[position * block * depth..], &mut m[position * block * padded..][..block * padded]);
        for column_block in 0..packed.blocks {
            let panel = packed.panel(column_block, position, width);
            for first in (0..tiles).step_by(rows) {
                let offsets: [usize; MAX_TILE] = std::array::from_fn(|p| (first + p.min(rows - 1)) * depth);
                // SAFETY: `block` is a multiple of `rows`, so all rows of the tile lie inside both buffers, the panel
                // has `channels <= depth` rows of `width` columns, and the tile's columns end at `padded`.
                unsafe {
                    let m = m.as_mut_ptr().add(first * padded + column_block * width);
                    simd::conv_tile(level, v.as_ptr(), &offsets, &tap, packed.channels, panel.as_ptr(), m, padded);
                }
            }
        }
    }
}

/// A pointer that threads may share because each writes its own part.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: the users below write disjoint ranges behind it.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Gradient with respect to the weights: `input [n, h, w, cin]`, `grad [n, h, w, cout]` to `[cout, cin, 3, 3]`.
pub(crate) fn weight_gradient(level: Level, g: &Geometry, input: &[f32], grad: &[f32]) -> Vec<f32> {
    let tiling = Tiling::new(g.h, g.w);
    let (tile_rows, width, lanes) = (level.rows(), level.columns(), level.lanes());
    let (depth, blocks) = (g.cin.next_multiple_of(lanes), g.cout.div_ceil(width));
    let (padded, row_tiles) = (blocks * width, g.cin.div_ceil(tile_rows));
    let (image_in, image_out) = (g.h * g.w * g.cin, g.h * g.w * g.cout);
    let most = (GROUP_BYTES / (4 * POSITIONS * (depth + padded))).max(MIN_BLOCK_TILES);
    let images = (most / tiling.count).clamp(1, g.n.max(1));
    let group = images * tiling.count;
    let (v_len, m_len) = (group * depth, group * padded); // of one position

    let mut v = uninit(POSITIONS * v_len);
    let mut m = vec![0.0; POSITIONS * m_len]; // columns beyond cout stay zero
    let zeros = vec![0.0; g.cin.max(g.cout)];
    // Sums as [position][row tile][column block][row][column].
    let tile_len = tile_rows * width;
    let mut sums = vec![0.0f32; POSITIONS * row_tiles * blocks * tile_len];
    for (input, grad) in input.chunks(images * image_in).zip(grad.chunks(images * image_out)) {
        let count = input.len() / image_in;
        let (v_out, m_out) = (Shared(v.as_mut_ptr()), Shared(m.as_mut_ptr()));
        (0..count).into_par_iter().for_each(|image| {
            let x = &input[image * image_in..][..image_in];
            let dy = &grad[image * image_out..][..image_out];
            for tile in 0..tiling.count {
                let row = image * tiling.count + tile;
                let patch = tiling.patch(x, g.cin, tile, &zeros);
                let pixels = tiling.outputs(tile).map(|pixel| match pixel {
                    Some(pixel) => dy[pixel * g.cout..][..g.cout].as_ptr(),
                    None => zeros.as_ptr(),
                });
                // SAFETY: each tile of the group has a row of its own at every position, long enough for whole vectors.
                unsafe {
                    transform_patch(level, &patch, g.cin, v_out.at(row * depth), v_len);
                    transform_gradient(level, &pixels, g.cout, m_out.at(row * padded), m_len);
                }
            }
        });
        let runs = [Run { input: 0, grad: 0, len: count * tiling.count }];
        let strides = Strides { input: depth, grad: padded };
        sums.par_chunks_mut(blocks * tile_len).enumerate().for_each(|(i, sums)| {
            let (position, first) = (i / row_tiles, i % row_tiles * tile_rows);
            let rows: [usize; MAX_TILE] = std::array::from_fn(|r| (first + r).min(g.cin - 1));
            let (v, m) = (&v[position * v_len..][..v_len], &m[position * m_len..][..m_len]);
            for (block, tile) in sums.chunks_exact_mut(tile_len).enumerate() {
                // SAFETY: rows are channels of the patches, the columns of the block end at `padded`, and the runs
                // cover the tiles that were just transformed.
                unsafe {
                    let m = m.as_ptr().add(block * width);
                    simd::weight_tile(level, v.as_ptr(), &rows, m, &runs, strides, tile.as_mut_ptr());
                }
            }
        });
    }
    let mut out = uninit(g.cout * g.cin * 9);
    out.par_chunks_mut(g.cin * 9).enumerate().for_each(|(j, out)| {
        for (c, out) in out.chunks_exact_mut(9).enumerate() {
            let place = (c / tile_rows * blocks + j / width) * tile_len + c % tile_rows * width + j % width;
            let u = std::array::from_fn(|i| sums[i * row_tiles * blocks * tile_len + place]);
            out.copy_from_slice(&weights_adjoint(u));
        }
    });
    if out.iter().all(|v| v.is_finite()) { out } else { conv::direct_weight_gradient(level, g, input, grad) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_come_out_as_by_the_definition() {
        let g = Geometry { n: 3, h: 6, w: 5, cin: 18, cout: 20, kernel: 3, stride: 1, padding: 1 };
        let wave = |n: usize, f: f32| (0..n).map(|i| (i as f32 * f).sin()).collect::<Vec<f32>>();
        let weights = wave(g.cout * g.cin * 9, 0.37);
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2e38] {
            let mut input = wave(g.n * 30 * g.cin, 0.71);
            input[30 * g.cin + 12 * g.cin + 3] = special; // the second image
            let mut grad = wave(g.n * 30 * g.cout, 0.53);
            grad[30 * g.cout + 7 * g.cout + 5] = special;
            for level in Level::available() {
                let same = |a: &[f32], b: &[f32]| {
                    a.iter().zip(b).all(|(a, b)| {
                        if b.is_finite() {
                            (a - b).abs() <= 1e-4 * (1.0 + b.abs())
                        } else {
                            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
                        }
                    })
                };
                let direct = conv::direct_forward(level, &g, &input, &weights);
                assert!(same(&forward(level, &g, &input, &weights), &direct), "forward {special} {level:?}");
                let direct = conv::direct_input_gradient(level, &g, &grad, &weights);
                assert!(same(&input_gradient(level, &g, &grad, &weights), &direct), "input {special} {level:?}");
                let direct = conv::direct_weight_gradient(level, &g, &input, &grad);
                assert!(same(&weight_gradient(level, &g, &input, &grad), &direct), "weights {special} {level:?}");
            }
        }
    }
}
