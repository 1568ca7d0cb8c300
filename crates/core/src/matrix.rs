//! A dense row-major matrix of `f32` in host memory: what encoders hand to evaluation and to linear learners.

use thiserror::Error;

/// A buffer whose length does not fit the stated shape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a {rows} x {cols} matrix needs {} values, got {got}", rows * cols)]
pub struct MatrixShapeError {
    /// Rows asked for.
    pub rows: usize,
    /// Columns asked for.
    pub cols: usize,
    /// Values given.
    pub got: usize,
}

/// Row-major `f32` matrix, one row an item.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    data: Vec<f32>,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// Wraps `data`, row after row.
    ///
    /// # Errors
    /// When `data` does not hold `rows * cols` values.
    pub fn new(data: Vec<f32>, rows: usize, cols: usize) -> Result<Self, MatrixShapeError> {
        if data.len() != rows * cols {
            return Err(MatrixShapeError { rows, cols, got: data.len() });
        }
        Ok(Self { data, rows, cols })
    }

    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { data: vec![0.0; rows * cols], rows, cols }
    }

    /// A matrix whose entry `(i, j)` is `f(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, f: impl Fn(usize, usize) -> f32) -> Self {
        let data = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j))).map(|(i, j)| f(i, j)).collect();
        Self { data, rows, cols }
    }

    /// Number of rows (items).
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns (features).
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`.
    ///
    /// # Panics
    /// When `i` is not a row.
    #[inline]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Row `i`, to be written.
    ///
    /// # Panics
    /// When `i` is not a row.
    #[inline]
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// All rows in order; empty rows are not visited.
    pub fn iter_rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.data.chunks_exact(self.cols.max(1))
    }

    /// The values, row after row.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// The values, row after row, without a copy.
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }

    /// The rows `indices`, in that order; an index may repeat.
    ///
    /// # Panics
    /// When an index is not a row.
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut data = Vec::with_capacity(indices.len() * self.cols);
        for &i in indices {
            data.extend_from_slice(self.row(i));
        }
        Self { data, rows: indices.len(), cols: self.cols }
    }

    /// Every row divided by its Euclidean norm; a zero row stays zero.
    pub fn normalized_rows(&self) -> Self {
        let mut out = self.clone();
        for row in out.data.chunks_exact_mut(self.cols.max(1)) {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|v| *v /= norm);
            }
        }
        out
    }

    /// Whether every value is finite.
    pub fn is_finite(&self) -> bool {
        self.data.iter().all(|v| v.is_finite())
    }
}
