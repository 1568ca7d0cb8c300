//! Distances in host memory, with the way back to the embeddings: what [`crate::Pairwise`] is made of on a CPU.
//!
//! As tensor operations the distances of a batch and their gradient are two dozen passes over a matrix of all pairs.
//! Here they are three matrix products and two passes.

use crate::Distance;
use burn::tensor::{DType, Tensor};
use nearfar_core::similarity::{is_host, row_products, weighted_rows, weighted_rows_transposed};
use rayon::prelude::*;

/// Added to squared norms and squared distances before the root, as in [`Distance::matrix`].
const EPSILON: f32 = 1e-12;

/// What a distance is made of, where it is made of dot products.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Dot,
    Square,
    Root,
}

/// Rows as they are compared, and what they were divided by.
#[derive(Debug)]
struct Rows {
    values: Vec<f32>,
    norms: Option<Vec<f32>>,
}

impl Rows {
    fn new(mut values: Vec<f32>, d: usize, normalized: bool) -> Self {
        let norms = normalized.then(|| {
            values
                .chunks_exact_mut(d)
                .map(|row| {
                    let norm = (row.iter().map(|v| v * v).sum::<f32>() + EPSILON).sqrt();
                    row.iter_mut().for_each(|v| *v /= norm);
                    norm
                })
                .collect()
        });
        Self { values, norms }
    }

    fn squares(&self, d: usize) -> Vec<f32> {
        self.values.chunks_exact(d).map(|row| row.iter().map(|v| v * v).sum()).collect()
    }

    /// The gradient with respect to the rows before they were normalised: `(g - z (z . g)) / norm`.
    fn back(&self, mut gradient: Vec<f32>, d: usize) -> Vec<f32> {
        let Some(norms) = &self.norms else { return gradient };
        for ((g, z), norm) in gradient.chunks_exact_mut(d).zip(self.values.chunks_exact(d)).zip(norms) {
            let along: f32 = g.iter().zip(z).map(|(g, z)| g * z).sum();
            g.iter_mut().zip(z).for_each(|(g, z)| *g = (*g - z * along) / norm);
        }
        gradient
    }
}

/// Embeddings, and references where those are others, in host memory.
#[derive(Debug)]
pub(crate) struct HostRows {
    kind: Kind,
    d: usize,
    a: Rows,
    b: Option<Rows>,
}

impl HostRows {
    /// Distances `[n, m]` of `a [n, d]` to `b [m, d]` or to themselves, and what their gradient needs; `None` where the
    /// tensors are not in host memory or the distance is not made of dot products.
    pub(crate) fn distances(distance: Distance, a: &Tensor<2>, b: Option<&Tensor<2>>) -> Option<(Vec<f32>, Self)> {
        let (kind, normalized) = match distance {
            Distance::Euclidean { normalized, squared } => {
                (if squared { Kind::Square } else { Kind::Root }, normalized)
            }
            Distance::Cosine => (Kind::Dot, true),
            Distance::Dot { normalized } => (Kind::Dot, normalized),
            Distance::Lp { .. } | Distance::Snr => return None,
        };
        let [_, d] = a.dims();
        if d == 0 || !is_host(&a.device()) || a.dtype() != DType::F32 || b.is_some_and(|b| b.dtype() != DType::F32) {
            return None;
        }
        let read = |x: &Tensor<2>| x.clone().detach().try_into_vec_as::<f32>().ok();
        let rows = Self {
            kind,
            d,
            a: Rows::new(read(a)?, d, normalized),
            b: match b {
                Some(b) => Some(Rows::new(read(b)?, d, normalized)),
                None => None,
            },
        };
        let others = rows.b.as_ref().unwrap_or(&rows.a);
        let mut values = row_products(&rows.a.values, &others.values, d); // [n, m]
        if kind != Kind::Dot {
            let (rows_squared, columns_squared) = (rows.a.squares(d), others.squares(d));
            values.par_chunks_mut(columns_squared.len().max(1)).zip(&rows_squared).for_each(|(row, a)| {
                for (v, b) in row.iter_mut().zip(&columns_squared) {
                    let square = (a + b - 2.0 * *v).max(0.0);
                    // `max` drops NaN, which must reach the loss.
                    let square = if v.is_nan() { f32::NAN } else { square };
                    *v = if kind == Kind::Root { (square + EPSILON).sqrt() } else { square };
                }
            });
        }
        Some((values, rows))
    }

    /// Gradients with respect to the embeddings `[n, d]` and to separate references `[m, d]`, from those with respect
    /// to the distances `[n, m]`.
    pub(crate) fn back(&self, distances: &[f32], mut gradient: Vec<f32>) -> (Vec<f32>, Option<Vec<f32>>) {
        let d = self.d;
        let others = self.b.as_ref().unwrap_or(&self.a);
        // First with respect to the squares (or the products): d sqrt(s) / ds = 1 / (2 sqrt(s)). Equal rows have no
        // direction to move in.
        if self.kind == Kind::Root {
            let nothing = EPSILON.sqrt();
            gradient.par_iter_mut().zip(distances).for_each(|(g, distance)| {
                *g = if *distance <= nothing { 0.0 } else { *g * 0.5 / distance };
            });
        }
        let mut a = weighted_rows(&gradient, &others.values, d);
        let mut b = weighted_rows_transposed(&gradient, &self.a.values, d);
        if self.kind != Kind::Dot {
            // s = |a|^2 + |b|^2 - 2 a.b
            let m = others.values.len() / d;
            let mut columns = vec![0.0f32; m];
            for (row, (a, own)) in
                gradient.chunks_exact(m).zip(a.chunks_exact_mut(d).zip(self.a.values.chunks_exact(d)))
            {
                let sum: f32 = row.iter().sum();
                columns.iter_mut().zip(row).for_each(|(c, g)| *c += g);
                a.iter_mut().zip(own).for_each(|(g, v)| *g = 2.0 * (sum * v - *g));
            }
            for ((b, own), sum) in b.chunks_exact_mut(d).zip(others.values.chunks_exact(d)).zip(columns) {
                b.iter_mut().zip(own).for_each(|(g, v)| *g = 2.0 * (sum * v - *g));
            }
        }
        match &self.b {
            Some(rows) => (self.a.back(a, d), Some(rows.back(b, d))),
            None => {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                (self.a.back(a, d), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Distance, Pairwise};
    use burn::tensor::{Device, Tensor, TensorData};
    use nearfar_core::{matrix::Matrix, similarity::with_gradient};

    /// The distances as tensors, with Burn's own gradient, against those of [`Pairwise`].
    #[test]
    fn distances_and_gradients_are_those_of_the_tensor_operations() {
        let device = Device::flex().autodiff();
        let wave = |rows: usize, f: f32| {
            let values: Vec<f32> = (0..rows * 5).map(|i| 1.5 * (i as f32 * f).sin()).collect();
            Tensor::<2>::from_data(TensorData::new(values, [rows, 5]), &device).require_grad()
        };
        let weights: Vec<f32> = (0..7 * 9).map(|i| (i as f32 * 0.9).cos()).collect();
        for distance in [
            Distance::Euclidean { normalized: true, squared: false },
            Distance::Euclidean { normalized: false, squared: false },
            Distance::Euclidean { normalized: false, squared: true },
            Distance::Cosine,
            Distance::Dot { normalized: false },
        ] {
            for columns in [None, Some(9)] {
                let run = |host: bool| {
                    let (a, b) = (wave(7, 0.7), columns.map(|m| wave(m, 1.3)));
                    let m = columns.unwrap_or(7);
                    let mut weights = weights[..7 * m].to_vec();
                    if columns.is_none() {
                        (0..7).for_each(|i| weights[i * 8] = 0.0); // the root of zero has no slope
                    }
                    let labels = vec![0; m];
                    let loss = if host {
                        let references = b.clone().map(|b| (b, labels.as_slice()));
                        let on = Pairwise::new(distance, a.clone(), &labels[..7], references).unwrap();
                        on.objective(0.0, Matrix::new(weights, 7, m).unwrap())
                    } else {
                        with_gradient(distance.matrix(a.clone(), b.clone().unwrap_or_else(|| a.clone())), weights)
                    };
                    let grads = loss.backward();
                    let read = |x: Tensor<2>| x.grad(&grads).unwrap().try_into_vec_as::<f32>().unwrap();
                    [Some(read(a)), b.map(read)].into_iter().flatten().flatten().collect::<Vec<f32>>()
                };
                for (host, plain) in run(true).iter().zip(run(false)) {
                    assert!((host - plain).abs() < 2e-3 * (1.0 + plain.abs()), "{distance:?}: {host} {plain}");
                }
            }
        }
    }
}
