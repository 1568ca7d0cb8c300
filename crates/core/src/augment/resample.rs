//! Antialiased bilinear resampling of a window of bytes, as two separable passes over precomputed filter taps.

use super::normalization::Affine;

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Which inputs each output of one axis sums, with which weights.
///
/// The filter is a triangle of half-width `max(1, input / output)` inputs around the output's centre, cut at the border
/// and normalised: `interpolate(mode="bilinear", antialias=True)`. Every output reads the same number of neighbouring
/// inputs, some perhaps with weight zero, so that the passes need no branches.
#[derive(Debug, Default)]
struct Taps {
    count: usize,
    first: Vec<usize>,
    weights: Vec<f32>,
}

impl Taps {
    /// Plans `input` values to `output` values, both positive; `reversed` mirrors the output.
    fn plan(&mut self, input: usize, output: usize, reversed: bool) {
        let scale = input as f64 / output as f64;
        let support = scale.max(1.0);
        let inverse = 1.0 / support;
        // An open interval of length 2 * support holds at most this many integers.
        let count = ((2.0 * support).ceil() as usize).min(input);
        self.count = count;
        self.first.clear();
        self.first.resize(output, 0);
        self.weights.clear();
        self.weights.resize(output * count, 0.0);
        for i in 0..output {
            let slot = if reversed { output - 1 - i } else { i };
            let center = scale * (i as f64 + 0.5);
            // The cast saturates at 0. Moved left at the right border, the extra taps lie outside the triangle.
            let first = ((center - support + 0.5) as usize).min(input - count);
            let triangle = |k: usize| (1.0 - ((first + k) as f64 + 0.5 - center).abs() * inverse).max(0.0);
            let norm = 1.0 / (0..count).map(triangle).sum::<f64>();
            self.first[slot] = first;
            for (k, weight) in self.weights[slot * count..(slot + 1) * count].iter_mut().enumerate() {
                *weight = (triangle(k) * norm) as f32;
            }
        }
    }

    /// Filters one row.
    fn apply(&self, input: &[f32], output: &mut [f32]) {
        if self.count == 2 {
            return self.apply_pairs(input, output);
        }
        for ((out, &first), weights) in output.iter_mut().zip(&self.first).zip(self.weights.chunks_exact(self.count)) {
            *out = input[first..first + self.count].iter().zip(weights).map(|(value, weight)| value * weight).sum();
        }
    }

    /// The same with two taps: every enlargement, and therefore every random resized crop.
    fn apply_pairs(&self, input: &[f32], output: &mut [f32]) {
        let (pairs, _) = self.weights.as_chunks::<2>();
        for ((out, &first), [near, far]) in output.iter_mut().zip(&self.first).zip(pairs) {
            let values = &input[first..first + 2];
            *out = values[0] * near + values[1] * far;
        }
    }
}

/// Taps and buffers for one window size, reused for every channel and, without new memory, for every image.
#[derive(Debug, Default)]
pub(super) struct Resampler {
    columns: Taps,
    rows: Taps,
    /// One window row as floats.
    row: Vec<f32>,
    /// The window after the horizontal pass: window rows of output width.
    narrow: Vec<f32>,
}

impl Resampler {
    /// Plans windows of the size of `window` to `height` x `width` outputs, mirrored left to right if `flip`.
    pub(super) fn plan(&mut self, window: Window, height: usize, width: usize, flip: bool) {
        self.columns.plan(window.width, width, flip);
        self.rows.plan(window.height, height, false);
        self.row.resize(window.width, 0.0);
        self.narrow.resize(window.height * width, 0.0);
    }

    /// Resamples `window` of a plane whose rows are `stride` long, applies `affine` and writes `out`, the planned size.
    pub(super) fn run(&mut self, plane: &[u8], stride: usize, window: Window, affine: Affine, out: &mut [f32]) {
        let width = self.columns.first.len();
        for (y, narrow) in self.narrow.chunks_exact_mut(width).enumerate() {
            let start = (window.top + y) * stride + window.left;
            for (value, &byte) in self.row.iter_mut().zip(&plane[start..start + window.width]) {
                *value = f32::from(byte);
            }
            self.columns.apply(&self.row, narrow);
        }
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            self.blend_rows(y, affine, out);
        }
    }

    /// Output row `y`: a weighted sum of whole rows, with the affine map folded into the weights.
    fn blend_rows(&self, y: usize, affine: Affine, out: &mut [f32]) {
        let (width, count, first) = (out.len(), self.rows.count, self.rows.first[y]);
        let row = |k: usize| &self.narrow[(first + k) * width..(first + k + 1) * width];
        match &self.rows.weights[y * count..(y + 1) * count] {
            &[near, far] => {
                let (near, far) = (near * affine.scale, far * affine.scale);
                for ((out, above), below) in out.iter_mut().zip(row(0)).zip(row(1)) {
                    *out = above * near + below * far + affine.shift;
                }
            }
            weights => {
                out.fill(affine.shift);
                for (k, weight) in weights.iter().enumerate() {
                    let weight = weight * affine.scale;
                    for (out, value) in out.iter_mut().zip(row(k)) {
                        *out += value * weight;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEEP: Affine = Affine { scale: 1.0, shift: 0.0 };

    fn resample(plane: &[u8], stride: usize, window: Window, (height, width): (usize, usize), flip: bool) -> Vec<f32> {
        let mut resampler = Resampler::default();
        let mut out = vec![f32::NAN; height * width];
        resampler.plan(window, height, width, flip);
        resampler.run(plane, stride, window, KEEP, &mut out);
        out
    }

    /// The definition, without separation: every pixel of the window under a product of two triangles.
    fn naive(plane: &[u8], stride: usize, window: Window, (height, width): (usize, usize)) -> Vec<f32> {
        let triangle = |i: usize, j: usize, input: usize, output: usize| {
            let scale = input as f64 / output as f64;
            (1.0 - ((j as f64 + 0.5) - (i as f64 + 0.5) * scale).abs() / scale.max(1.0)).max(0.0)
        };
        let mut out = Vec::with_capacity(height * width);
        for y in 0..height {
            for x in 0..width {
                let (mut total, mut norm) = (0.0, 0.0);
                for v in 0..window.height {
                    for u in 0..window.width {
                        let weight = triangle(y, v, window.height, height) * triangle(x, u, window.width, width);
                        total += weight * f64::from(plane[(window.top + v) * stride + window.left + u]);
                        norm += weight;
                    }
                }
                out.push((total / norm) as f32);
            }
        }
        out
    }

    fn close(left: &[f32], right: &[f32]) {
        assert_eq!(left.len(), right.len());
        for (i, (a, b)) in left.iter().zip(right).enumerate() {
            assert!((a - b).abs() <= 1e-3, "value {i}: {a} against {b}");
        }
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * i * 31 + i * 17 + 5) as u8).collect()
    }

    proptest! {
        #[test]
        fn passes_equal_the_definition(
            (height, width) in (1usize..12, 1usize..12),
            (top, left) in (0usize..4, 0usize..4),
            output in (1usize..12, 1usize..12),
        ) {
            let stride = left + width + 1;
            let plane = pattern(stride * (top + height));
            let window = Window { top, left, height, width };
            close(&resample(&plane, stride, window, output, false), &naive(&plane, stride, window, output));
        }

        #[test]
        fn a_flip_mirrors_every_row(size in (1usize..9, 1usize..9), output in (1usize..9, 1usize..9)) {
            let plane = pattern(size.0 * size.1);
            let window = Window { top: 0, left: 0, height: size.0, width: size.1 };
            let mut mirrored = resample(&plane, size.1, window, output, false);
            mirrored.chunks_exact_mut(output.1).for_each(<[f32]>::reverse);
            prop_assert_eq!(resample(&plane, size.1, window, output, true), mirrored);
        }
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let plane = pattern(35);
        let window = Window { top: 0, left: 0, height: 5, width: 7 };
        let bytes: Vec<f32> = plane.iter().map(|&byte| f32::from(byte)).collect();
        assert_eq!(resample(&plane, 7, window, (5, 7), false), bytes);
    }

    #[test]
    fn values_by_hand() {
        // Enlarging 0, 100 to four: centres at 0.25, 0.75, 1.25, 1.75 inputs.
        let window = Window { top: 0, left: 0, height: 1, width: 2 };
        assert_eq!(resample(&[0, 100], 2, window, (1, 4), false), [0.0, 25.0, 75.0, 100.0]);
        // Halving 0, 40, 80, 200: weights 3, 3, 1 of 7 around centre 1 and 1, 3, 3 of 7 around centre 3.
        let window = Window { top: 0, left: 0, height: 1, width: 4 };
        let halved = resample(&[0, 40, 80, 200], 4, window, (1, 2), false);
        close(&halved, &[200.0 / 7.0, 880.0 / 7.0]);
    }

    /// Pillow's `resize(BILINEAR)` of the same values as floats, which torchvision's antialiased resize reproduces.
    #[test]
    fn values_of_pillow() {
        let plane = pattern(35);
        let window = Window { top: 1, left: 2, height: 2, width: 3 };
        let enlarged = [109.0, 167.75, 165.5, 103.0, 65.0, 99.375, 115.875, 109.0, 21.0, 31.0, 66.25, 115.0];
        close(&resample(&plane, 7, window, (3, 4), false), &enlarged);
        let whole = Window { top: 0, left: 0, height: 5, width: 7 };
        let shrunk = [84.7013, 107.5562, 124.2078, 142.7532, 106.3904, 102.1558];
        close(&resample(&plane, 7, whole, (2, 3), false), &shrunk);
    }

    #[test]
    fn the_affine_map_comes_last() {
        let mut resampler = Resampler::default();
        for (size, output) in [((1, 2), (1, 4)), ((9, 9), (2, 4))] {
            let plane = pattern(size.0 * size.1);
            let window = Window { top: 0, left: 0, height: size.0, width: size.1 };
            let expected: Vec<f32> =
                resample(&plane, size.1, window, output, false).iter().map(|value| 0.5 * value - 3.0).collect();
            let mut out = vec![0.0; output.0 * output.1];
            resampler.plan(window, output.0, output.1, false);
            resampler.run(&plane, size.1, window, Affine { scale: 0.5, shift: -3.0 }, &mut out);
            close(&out, &expected);
        }
    }
}
