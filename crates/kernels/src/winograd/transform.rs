//! The transforms of F(2x2, 3x3): patches, weights, products, gradients, for all channels of a pixel at once.

// The loops walk over rows and columns of small matrices, as the formulas do.
#![allow(clippy::needless_range_loop)]

use super::POSITIONS;
use crate::simd::{Level, Simd, at_level, vectorized};

vectorized! {
    /// `G g G'` for `width` columns at once: `g` holds nine rows of `width` weights, position `i` goes to
    /// `out[i * step..]`.
    pub(super) fn transform_weights(g: &[f32], width: usize, out: &mut [f32], step: usize) {
        let row = |t: usize| &g[t * width..][..width];
        // Down the columns first: [g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2].
        let mut down = [[0.0f32; 32]; 12];
        for x in 0..3 {
            let (a, b, c) = (row(x), row(3 + x), row(6 + x));
            for j in 0..width {
                down[x][j] = a[j];
                down[3 + x][j] = 0.5 * (a[j] + b[j] + c[j]);
                down[6 + x][j] = 0.5 * (a[j] - b[j] + c[j]);
                down[9 + x][j] = c[j];
            }
        }
        for y in 0..4 {
            let (a, b, c) = (&down[3 * y], &down[3 * y + 1], &down[3 * y + 2]);
            let place = |x: usize| (4 * y + x) * step;
            out[place(0)..][..width].copy_from_slice(&a[..width]);
            for (j, v) in out[place(1)..][..width].iter_mut().enumerate() {
                *v = 0.5 * (a[j] + b[j] + c[j]);
            }
            for (j, v) in out[place(2)..][..width].iter_mut().enumerate() {
                *v = 0.5 * (a[j] - b[j] + c[j]);
            }
            out[place(3)..][..width].copy_from_slice(&c[..width]);
        }
    }
}

/// `G' u G`, the adjoint of [`transform_weights`].
pub(super) fn weights_adjoint(u: [f32; POSITIONS]) -> [f32; 9] {
    let fold = |a: f32, b: f32, c: f32, d: f32| [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d];
    let columns: [[f32; 3]; 4] = std::array::from_fn(|x| fold(u[x], u[4 + x], u[8 + x], u[12 + x]));
    let rows: [[f32; 3]; 3] = std::array::from_fn(|y| fold(columns[0][y], columns[1][y], columns[2][y], columns[3][y]));
    std::array::from_fn(|i| rows[i / 3][i % 3])
}

/// Loads the vector at channel `c` of `channels`; lanes beyond the last channel are zero.
///
/// # Safety
/// `p` must be readable for `channels` values and the CPU must have the instructions of `S`.
#[inline(always)]
unsafe fn load_part<S: Simd>(p: *const f32, c: usize, channels: usize) -> S {
    // SAFETY: a whole vector lies before `channels`; otherwise only the values before it are read.
    unsafe {
        if c + S::LANES <= channels {
            return S::load(p.add(c));
        }
        let mut lanes = [0.0f32; 16];
        std::ptr::copy_nonoverlapping(p.add(c), lanes.as_mut_ptr(), channels - c);
        S::load(lanes.as_ptr())
    }
}

/// Stores the vector at channel `c` of `channels`; lanes beyond the last channel are dropped.
///
/// # Safety
/// `p` must be writable for `channels` values and the CPU must have the instructions of `S`.
#[inline(always)]
unsafe fn store_part<S: Simd>(v: S, p: *mut f32, c: usize, channels: usize) {
    // SAFETY: as in `load_part`.
    unsafe {
        if c + S::LANES <= channels {
            return v.store(p.add(c));
        }
        let mut lanes = [0.0f32; 16];
        v.store(lanes.as_mut_ptr());
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p.add(c), channels - c);
    }
}

// The transforms are functions, not closures: only those are sure to be compiled with the caller's instructions.

/// A row of `B'` times `[a, b, c, d]`, four times.
///
/// # Safety
/// The CPU must have the instructions of `S`.
#[inline(always)]
unsafe fn patch_row<S: Simd>(a: S, b: S, c: S, d: S) -> [S; 4] {
    // SAFETY: the caller's condition.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}

/// `A'` times `[a, b, c, d]`.
///
/// # Safety
/// The CPU must have the instructions of `S`.
#[inline(always)]
unsafe fn output_row<S: Simd>(a: S, b: S, c: S, d: S) -> [S; 2] {
    // SAFETY: the caller's condition.
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
}

/// `A` times `[a, b]`.
///
/// # Safety
/// The CPU must have the instructions of `S`.
#[inline(always)]
unsafe fn gradient_row<S: Simd>(a: S, b: S) -> [S; 4] {
    // SAFETY: the caller's condition.
    unsafe { [a, a.add(b), a.sub(b), S::splat(0.0).sub(b)] }
}

/// `B' d B` for all channels of a patch; position `i` goes to `out + i * step`, which has room for whole vectors.
///
/// # Safety
/// `level` must come from [`Level::available`], the patch be readable for `channels` values at each pixel, and `out`
/// writable for `channels` values, rounded up to whole vectors, at each position.
pub(super) unsafe fn transform_patch(
    level: Level,
    patch: &[*const f32; POSITIONS],
    channels: usize,
    out: *mut f32,
    step: usize,
) {
    #[inline(always)]
    unsafe fn body<S: Simd>(patch: &[*const f32; POSITIONS], channels: usize, out: *mut f32, step: usize) {
        // SAFETY: the conditions of `transform_patch`.
        unsafe {
            for c in (0..channels).step_by(S::LANES) {
                let mut columns = [[S::splat(0.0); 4]; 4];
                for x in 0..4 {
                    columns[x] = patch_row(
                        load_part::<S>(patch[x], c, channels),
                        load_part::<S>(patch[4 + x], c, channels),
                        load_part::<S>(patch[8 + x], c, channels),
                        load_part::<S>(patch[12 + x], c, channels),
                    );
                }
                for y in 0..4 {
                    let row = patch_row(columns[0][y], columns[1][y], columns[2][y], columns[3][y]);
                    for x in 0..4 {
                        row[x].store(out.add((4 * y + x) * step + c));
                    }
                }
            }
        }
    }
    // SAFETY: forwarded.
    unsafe { at_level!(level, body, (patch: &[*const f32; POSITIONS], channels: usize, out: *mut f32, step: usize)) }
}

/// `A' m A` for all channels: position `i` at `m + i * step` to the pixels of a 2x2 tile, where those are given.
/// `finite` becomes false if a result is infinite or no number.
///
/// # Safety
/// As [`transform_patch`], with `out` writable for `channels` values where it is not null.
pub(super) unsafe fn transform_products(
    level: Level,
    m: *const f32,
    step: usize,
    channels: usize,
    out: &[*mut f32; 4],
    finite: &mut bool,
) {
    #[inline(always)]
    unsafe fn body<S: Simd>(m: *const f32, step: usize, channels: usize, out: &[*mut f32; 4], finite: &mut bool) {
        // SAFETY: the conditions of `transform_products`.
        unsafe {
            // v - v is zero for a number and NaN otherwise, and NaN stays in a sum.
            let mut check = S::splat(0.0);
            for c in (0..channels).step_by(S::LANES) {
                let mut columns = [[S::splat(0.0); 2]; 4];
                for x in 0..4 {
                    let m = m.add(x * step + c);
                    columns[x] = output_row(
                        S::load(m),
                        S::load(m.add(4 * step)),
                        S::load(m.add(8 * step)),
                        S::load(m.add(12 * step)),
                    );
                }
                for y in 0..2 {
                    let row = output_row(columns[0][y], columns[1][y], columns[2][y], columns[3][y]);
                    for x in 0..2 {
                        if !out[2 * y + x].is_null() {
                            check = check.add(row[x].sub(row[x]));
                            store_part(row[x], out[2 * y + x], c, channels);
                        }
                    }
                }
            }
            let mut lanes = [0.0f32; 16];
            check.store(lanes.as_mut_ptr());
            *finite &= lanes.iter().all(|v| *v == 0.0);
        }
    }
    // SAFETY: forwarded.
    unsafe {
        at_level!(level, body, (m: *const f32, step: usize, channels: usize, out: &[*mut f32; 4], finite: &mut bool))
    }
}

/// `A y A'` for all channels of a 2x2 tile of gradients; position `i` goes to `out + i * step`.
///
/// # Safety
/// As [`transform_patch`].
pub(super) unsafe fn transform_gradient(
    level: Level,
    tile: &[*const f32; 4],
    channels: usize,
    out: *mut f32,
    step: usize,
) {
    #[inline(always)]
    unsafe fn body<S: Simd>(tile: &[*const f32; 4], channels: usize, out: *mut f32, step: usize) {
        // SAFETY: the conditions of `transform_gradient`.
        unsafe {
            for c in (0..channels).step_by(S::LANES) {
                let top = [load_part::<S>(tile[0], c, channels), load_part::<S>(tile[1], c, channels)];
                let bottom = [load_part::<S>(tile[2], c, channels), load_part::<S>(tile[3], c, channels)];
                let columns = [gradient_row(top[0], bottom[0]), gradient_row(top[1], bottom[1])];
                for y in 0..4 {
                    let row = gradient_row(columns[0][y], columns[1][y]);
                    for x in 0..4 {
                        row[x].store(out.add((4 * y + x) * step + c));
                    }
                }
            }
        }
    }
    // SAFETY: forwarded.
    unsafe { at_level!(level, body, (tile: &[*const f32; 4], channels: usize, out: *mut f32, step: usize)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adjoint_of_the_weight_transform() {
        // <G g G', u> = <g, G' u G> for all g and u.
        let g: [f32; 9] = std::array::from_fn(|i| (i as f32 * 1.7).sin());
        let u: [f32; 16] = std::array::from_fn(|i| (i as f32 * 0.9).cos());
        let mut transformed = [0.0; 16];
        transform_weights(&g, 1, &mut transformed, 1);
        let left: f32 = transformed.iter().zip(u).map(|(a, b)| a * b).sum();
        let right: f32 = weights_adjoint(u).iter().zip(g).map(|(a, b)| a * b).sum();
        assert!((left - right).abs() < 1e-5, "{left} {right}");
    }
}
