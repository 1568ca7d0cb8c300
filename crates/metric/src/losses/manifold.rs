use super::math::larger;
use crate::{Distance, MetricError, Pairwise};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use faer::{Mat, Side, linalg::solvers::DenseSolveCore};
use nearfar_core::matrix::Matrix;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// Sharpness of the graph: two nodes are joined with `exp(2 max(cosine, 0))`.
const SHARPNESS: f64 = 2.0;

/// The manifold similarity loss (Aziere and Todorovic, "Ensemble deep manifold similarity learning using hard proxies",
/// 2019): embeddings and trained proxies are the nodes of a graph, on which a random walk says who is near whom.
///
/// ```text
/// F = (1 - alpha) (I - alpha D^-1/2 S D^-1/2)^-1        S_ij = exp(2 [cos(x_i, x_j)]+), S_ii = 0, D = its row sums
/// loss = mean over items i of log(1 + sum over proxies j of exp(F_ij - F_im + margin))
///      + context * the same with the cosines of the rows F_i and F_j
/// ```
///
/// `m` is the proxy that the item was given, and only proxies count whose exponent is not negative. Without labels
/// items are given random proxies ([`Manifold::assign`]), as in the paper's ensembles; class indices can be given too.
/// One step inverts a matrix of items and proxies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manifold {
    /// Proxies, at least 2. Default 50, as in pytorch-metric-learning.
    pub proxies: usize,
    /// Weight of the second part, at least 0. Default 1, as in pytorch-metric-learning.
    pub context: f64,
    /// How far the walk goes, in (0, 1). Default 0.8, as in pytorch-metric-learning.
    pub alpha: f64,
    /// By how much the own proxy must be nearer, finite. Default 5e-4, as in pytorch-metric-learning.
    pub margin: f64,
}

impl Default for Manifold {
    fn default() -> Self {
        Self { proxies: 50, context: 1.0, alpha: 0.8, margin: 5e-4 }
    }
}

impl Manifold {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.proxies >= 2, "proxies", "at least 2", self.proxies as f64)?;
        MetricError::not_negative("context", self.context)?;
        MetricError::check(self.alpha > 0.0 && self.alpha < 1.0, "alpha", "in (0, 1)", self.alpha)?;
        MetricError::finite("margin", self.margin)
    }

    /// A proxy for each of `items`, every proxy at least once, in random order.
    ///
    /// # Errors
    /// When there are fewer items than proxies.
    pub fn assign(&self, items: usize, seed: u64) -> Result<Vec<usize>, MetricError> {
        if items < self.proxies {
            return Err(MetricError::Settings("every proxy needs an item: take a larger batch or fewer proxies"));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut assigned: Vec<usize> = (0..self.proxies).collect();
        assigned.extend((self.proxies..items).map(|_| rng.random_range(0..self.proxies)));
        assigned.shuffle(&mut rng);
        Ok(assigned)
    }

    /// The loss with new proxies, standard normal as in pytorch-metric-learning.
    ///
    /// # Errors
    /// When a setting is out of range or there is no dimension.
    pub fn init(self, dimension: usize, seed: u64, device: &Device) -> Result<ManifoldHead, MetricError> {
        self.validate()?;
        MetricError::check(dimension >= 1, "dimension", "at least 1", dimension as f64)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values: Vec<f32> = (0..self.proxies * dimension).map(|_| StandardNormal.sample(&mut rng)).collect();
        let shape = [self.proxies, dimension];
        self.with_proxies(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The loss with given proxies `[proxies, d]`.
    ///
    /// # Errors
    /// When a setting is out of range or the rows are not as many as the settings say.
    pub fn with_proxies(self, proxies: Tensor<2>) -> Result<ManifoldHead, MetricError> {
        self.validate()?;
        let [rows, _] = proxies.dims();
        MetricError::check(rows == self.proxies, "proxies", "the number of rows given", rows as f64)?;
        Ok(ManifoldHead { proxies: Param::from_tensor(proxies), settings: self })
    }

    /// Value and derivative by the cosines of all nodes, items first; `assigned` is the proxy of each item.
    fn value(&self, cosines: &Matrix, assigned: &[usize]) -> (f64, Matrix) {
        let (nodes, items) = (cosines.rows(), assigned.len());
        let all = |f: &dyn Fn(usize, usize) -> f64| -> Mat<f64> { Mat::from_fn(nodes, nodes, f) };
        let cosine = |i: usize, j: usize| f64::from(cosines.row(i)[j]);

        // The graph, and the walk on it.
        let graph = all(&|i, j| if i == j { 0.0 } else { (SHARPNESS * larger(cosine(i, j), 0.0)).exp() });
        let scale: Vec<f64> = (0..nodes).map(|i| (0..nodes).map(|j| graph[(i, j)]).sum::<f64>().powf(-0.5)).collect();
        let step = all(&|i, j| scale[i] * graph[(i, j)] * scale[j]);
        let system = all(&|i, j| f64::from(u8::from(i == j)) - self.alpha * step[(i, j)]);
        let Ok(factor) = system.llt(Side::Lower) else {
            // Positive definite as long as the cosines are numbers.
            return (f64::NAN, Matrix::zeros(nodes, nodes));
        };
        let inverse = factor.inverse();
        let reach = all(&|i, j| (1.0 - self.alpha) * inverse[(i, j)]);

        // Both parts, and their derivatives by the reach of items and proxies.
        let (intrinsic, by_entry) = self.competition(assigned, &|i, p| reach[(i, items + p)]);
        let norm = |i: usize| (0..nodes).map(|k| reach[(i, k)] * reach[(i, k)]).sum::<f64>().sqrt();
        let norms: Vec<f64> = (0..nodes).map(norm).collect();
        let rows_of =
            |count: usize, from: usize| Mat::from_fn(count, nodes, |i, k| reach[(from + i, k)] / norms[from + i]);
        let (own, others): (Mat<f64>, Mat<f64>) = (rows_of(items, 0), rows_of(self.proxies, items));
        let alike = &own * others.transpose(); // [items, proxies]
        let (contextual, by_cosine) = self.competition(assigned, &|i, p| alike[(i, p)]);
        let pull = &by_cosine * &others; // [items, nodes]
        let push = by_cosine.transpose() * &own; // [proxies, nodes]
        let along = |i: usize| (0..self.proxies).map(|p| by_cosine[(i, p)] * alike[(i, p)]).sum::<f64>();
        let along_items: Vec<f64> = (0..items).map(along).collect();
        let along = |p: usize| (0..items).map(|i| by_cosine[(i, p)] * alike[(i, p)]).sum::<f64>();
        let along_proxies: Vec<f64> = (0..self.proxies).map(along).collect();
        let by_reach = all(&|i, k| {
            let turned = match i.checked_sub(items) {
                None => pull[(i, k)] - along_items[i] * own[(i, k)],
                Some(p) => push[(p, k)] - along_proxies[p] * others[(p, k)],
            };
            let entry = if i < items && k >= items { by_entry[(i, k - items)] } else { 0.0 };
            entry + self.context * turned / norms[i]
        });

        // Back through the inverse, the scaling and the graph.
        let by_step = &inverse * &by_reach * &inverse;
        let by_step = all(&|i, j| self.alpha * (1.0 - self.alpha) * by_step[(i, j)]);
        let by_scale =
            |i: usize| (0..nodes).map(|j| (by_step[(i, j)] + by_step[(j, i)]) * graph[(i, j)] * scale[j]).sum::<f64>();
        let by_degree: Vec<f64> = (0..nodes).map(|i| -0.5 * by_scale(i) * scale[i].powi(3)).collect();
        let gradient = Matrix::from_fn(nodes, nodes, |i, j| {
            let by_graph = scale[i] * scale[j] * by_step[(i, j)] + by_degree[i];
            let slope = if cosine(i, j) > 0.0 { SHARPNESS * graph[(i, j)] } else { 0.0 };
            (by_graph * slope) as f32
        });
        (intrinsic + self.context * contextual, gradient)
    }

    /// The mean over items of `log(1 + sum exp)` of what other proxies are too near, and its derivative by every score
    /// `[items, proxies]`.
    fn competition(&self, assigned: &[usize], score: &dyn Fn(usize, usize) -> f64) -> (f64, Mat<f64>) {
        let items = assigned.len();
        let share = 1.0 / items.max(1) as f64;
        let mut slopes: Mat<f64> = Mat::zeros(items, self.proxies);
        let mut value = 0.0;
        for (i, &own) in assigned.iter().enumerate() {
            let excess = |p: usize| score(i, p) - score(i, own) + self.margin;
            let too_near: Vec<(usize, f64)> = (0..self.proxies)
                .filter(|&p| p != own && (excess(p) >= 0.0 || excess(p).is_nan()))
                .map(|p| (p, excess(p).exp()))
                .collect();
            let sum = 1.0 + too_near.iter().map(|(_, weight)| weight).sum::<f64>();
            value += share * sum.ln();
            for (p, weight) in too_near {
                let slope = share * weight / sum;
                slopes[(i, p)] += slope;
                slopes[(i, own)] -= slope;
            }
        }
        (value, slopes)
    }
}

/// A [`Manifold`] loss with its trained proxies `[proxies, d]`.
#[derive(Module, Debug)]
pub struct ManifoldHead {
    proxies: Param<Tensor<2>>,
    #[module(skip)]
    settings: Manifold,
}

impl ManifoldHead {
    /// The settings.
    pub fn settings(&self) -> &Manifold {
        &self.settings
    }

    /// The proxies `[proxies, d]`.
    pub fn proxies(&self) -> Tensor<2> {
        self.proxies.val()
    }

    /// The loss `[1]` of embeddings `[n, d]`, each with the proxy that it was given.
    ///
    /// # Errors
    /// When proxies do not number the rows or do not exist, dimensions differ, or the device fails.
    pub fn forward(&self, embeddings: Tensor<2>, assigned: &[usize]) -> Result<Tensor<1>, MetricError> {
        let ([rows, cols], [classes, weights]) = (embeddings.dims(), self.proxies().dims());
        if rows != assigned.len() {
            return Err(MetricError::Labels { what: "embeddings", rows, labels: assigned.len() });
        }
        if cols != weights {
            return Err(MetricError::ClassDimensions { embeddings: cols, weights });
        }
        if let Some(&label) = assigned.iter().find(|label| **label >= classes) {
            return Err(MetricError::ClassLabel { label, classes });
        }
        let nodes = Tensor::cat(vec![embeddings, self.proxies()], 0); // [n + proxies, d]
        let on = Pairwise::new(Distance::Cosine, nodes, &vec![0; rows + classes], None)?;
        let (value, gradient) = self.settings.value(on.values(), assigned);
        Ok(on.objective(value as f32, gradient))
    }
}
