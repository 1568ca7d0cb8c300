//! Weight gradient by the definition: sums over images and output pixels.

use super::{Geometry, frame::Frame, with_scratch};
use crate::simd::{self, Level, MAX_TILE, Run, Strides};
use rayon::prelude::*;

/// Pixels that a weight tile should sum over before its sums go back to memory.
const PIXELS_PER_GROUP: usize = 256;

/// [`weight_gradient`](super::weight_gradient) by the definition.
pub(crate) fn direct_weight_gradient(level: Level, g: &Geometry, input: &[f32], grad: &[f32]) -> Vec<f32> {
    let (ho, wo, k) = (g.ho(), g.wo(), g.kernel);
    let frame = Frame { h: g.h, w: g.w, c: g.cin, before: g.padding, after_h: g.padding, after_w: g.padding };
    let (tile_rows, width, row) = (level.rows(), level.columns(), frame.padded_w());
    let (image, out_pixels) = (g.h * g.w * g.cin, ho * wo);
    let weight_rows = k * k * g.cin;
    if image == 0 {
        return vec![0.0; g.cout * weight_rows]; // nothing but padding, or no channel: every sum is empty
    }
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
    let pad_scratch = frame.scratch(images_per_group);

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
                let x = frame.around(source, padded).as_ptr();
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
