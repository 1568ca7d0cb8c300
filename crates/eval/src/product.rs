//! Dense matrix products with a safe face, and row products that do not depend on how the rows are cut into blocks.

use std::borrow::Cow;

use gemm::{Parallelism, gemm};

/// Longest run of columns that one call sums in one chain: `gemm` never cuts a run of up to 512, whatever the shape.
const CHAIN: usize = 512;

/// Up to this many outputs, `gemm` may switch to kernels that add in another order.
const SMALL_OUTPUT: usize = 256;

/// Side that brings the smallest outputs above [`SMALL_OUTPUT`].
const MIN_SIDE: usize = 17;

/// Rows in one diagonal block of [`squared_norms`].
const NORM_BLOCK: usize = 24;

/// The element types that `gemm` multiplies here.
pub(crate) trait Real: Copy + Send + Sync + 'static {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

/// A matrix `[rows, cols]` inside a row-major buffer: whole, a run of its columns, or the transpose of either.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> View<'a, T> {
    /// The whole buffer as `[rows, cols]`.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a view must cover its buffer");
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// Columns `start..start + count` of a view that is not transposed.
    pub(crate) fn columns(self, start: usize, count: usize) -> Self {
        assert!(self.col_stride == 1 && start + count <= self.cols, "columns outside the view");
        Self { data: &self.data[start..], cols: count, ..self }
    }

    /// Rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// One past the last element that an index inside the view touches.
    fn extent(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }
}

/// `out = scale * a b`, or `out += scale * a b` when `accumulate`; `out` is row-major `[a.rows, b.cols]`.
///
/// Runs on the calling thread only.
pub(crate) fn multiply<T: Real>(a: View<'_, T>, b: View<'_, T>, scale: T, accumulate: bool, out: &mut [T]) {
    assert_eq!(a.cols, b.rows, "inner sides differ");
    assert_eq!(out.len(), a.rows * b.cols, "the output does not fit");
    assert!(a.extent() <= a.data.len() && b.extent() <= b.data.len(), "a view leaves its buffer");
    // SAFETY: for every index inside the shapes, `extent` (checked above) keeps the reads of `a` and `b` inside their
    // slices, and `out` holds exactly the `a.rows * b.cols` elements written with strides (b.cols, 1). `out` is
    // borrowed exclusively, so it overlaps neither input. `T` is `f32` or `f64`, which `gemm` supports.
    unsafe {
        gemm(
            a.rows,
            b.cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            b.cols as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::ONE,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `out[i, j] = scale * (a_i . b_j)` for the rows of two row-major buffers of `cols` columns.
///
/// Each output has the same bits however the rows are cut into calls: columns are summed in order, in chains of at most
/// [`CHAIN`], and outputs too small for that are computed inside a padded one. `scale` must be a power of two or its
/// negative, so that scaling is exact.
pub(crate) fn row_products<T: Real>(a: &[T], b: &[T], cols: usize, scale: T, out: &mut [T]) {
    let (a_rows, b_rows) = (a.len() / cols, b.len() / cols);
    if a_rows >= 2 && b_rows >= 2 && a_rows * b_rows > SMALL_OUTPUT {
        return chained_products(View::new(a, a_rows, cols), View::new(b, b_rows, cols), scale, out);
    }
    let (mut a_padded, mut b_padded) = (a_rows.max(2), b_rows.max(2));
    if a_padded * b_padded <= SMALL_OUTPUT {
        (a_padded, b_padded) = (a_padded.max(MIN_SIDE), b_padded.max(MIN_SIDE));
    }
    let (left, right) = (zero_padded(a, a_padded * cols), zero_padded(b, b_padded * cols));
    let mut products = vec![T::ZERO; a_padded * b_padded];
    chained_products(View::new(&left, a_padded, cols), View::new(&right, b_padded, cols), scale, &mut products);
    for (row, padded_row) in out.chunks_exact_mut(b_rows.max(1)).zip(products.chunks_exact(b_padded)) {
        row.copy_from_slice(&padded_row[..b_rows]);
    }
}

/// The data, followed by zeros up to `len`.
fn zero_padded<T: Real>(data: &[T], len: usize) -> Cow<'_, [T]> {
    if data.len() == len {
        return Cow::Borrowed(data);
    }
    let mut padded = Vec::with_capacity(len);
    padded.extend_from_slice(data);
    padded.resize(len, T::ZERO);
    Cow::Owned(padded)
}

fn chained_products<T: Real>(a: View<'_, T>, b: View<'_, T>, scale: T, out: &mut [T]) {
    let cols = a.cols;
    for start in (0..cols).step_by(CHAIN) {
        let count = CHAIN.min(cols - start);
        multiply(a.columns(start, count), b.columns(start, count).transposed(), scale, start > 0, out);
    }
}

/// Squared norm of each row, with the very bits that [`row_products`] gives for a row with itself: the squared
/// distance of a row to its copy is then exactly zero.
pub(crate) fn squared_norms(data: &[f32], cols: usize) -> Vec<f32> {
    let mut products = vec![0.0f32; NORM_BLOCK * NORM_BLOCK];
    let mut norms = Vec::with_capacity(data.len() / cols);
    for block in data.chunks(NORM_BLOCK * cols) {
        let rows = block.len() / cols;
        let products = &mut products[..rows * rows];
        row_products(block, block, cols, 1.0, products);
        norms.extend((0..rows).map(|i| products[i * rows + i]));
    }
    norms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fixed values without structure.
    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn multiply_matches_loops_for_every_layout() {
        let (m, k, n) = (5, 7, 6);
        let a: Vec<f64> = noise(m * k, 1).into_iter().map(f64::from).collect();
        let b: Vec<f64> = noise(k * n, 2).into_iter().map(f64::from).collect();
        let naive = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum::<f64>();
        let mut out = vec![1.0; m * n];
        multiply(View::new(&a, m, k), View::new(&b, k, n), 2.0, true, &mut out);
        for i in 0..m {
            for j in 0..n {
                assert!((out[i * n + j] - 1.0 - 2.0 * naive(i, j)).abs() < 1e-12);
            }
        }
        let mut transposed = vec![f64::NAN; n * m];
        multiply(View::new(&b, k, n).transposed(), View::new(&a, m, k).transposed(), 1.0, false, &mut transposed);
        for i in 0..m {
            for j in 0..n {
                assert!((transposed[j * m + i] - naive(i, j)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn squared_norms_are_the_products_of_rows_with_themselves() {
        let (rows, cols) = (53, 600);
        let data = noise(rows * cols, 3);
        let norms = squared_norms(&data, cols);
        let mut products = vec![0.0; rows * rows];
        row_products(&data, &data, cols, 1.0, &mut products);
        for i in 0..rows {
            assert_eq!(norms[i].to_bits(), products[i * rows + i].to_bits(), "row {i}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Cutting rows into blocks changes no bit, for short rows, long rows and every tail.
        #[test]
        fn row_products_do_not_depend_on_blocks(
            a_rows in 1usize..70, b_rows in 1usize..70, a_block in 1usize..40, b_block in 1usize..40,
            cols in prop_oneof![1usize..70, Just(511), Just(512), Just(513), Just(515), Just(1100)], seed in 0u32..1000,
        ) {
            let (a, b) = (noise(a_rows * cols, seed), noise(b_rows * cols, seed + 1));
            let mut whole = vec![0.0f32; a_rows * b_rows];
            row_products(&a, &b, cols, -2.0, &mut whole);
            for (i, a_part) in a.chunks(a_block * cols).enumerate() {
                for (j, b_part) in b.chunks(b_block * cols).enumerate() {
                    let (rows, width) = (a_part.len() / cols, b_part.len() / cols);
                    let mut part = vec![0.0f32; rows * width];
                    row_products(a_part, b_part, cols, -2.0, &mut part);
                    for (at, value) in part.iter().enumerate() {
                        let (row, col) = (i * a_block + at / width, j * b_block + at % width);
                        prop_assert_eq!(value.to_bits(), whole[row * b_rows + col].to_bits());
                    }
                }
            }
        }
    }
}
