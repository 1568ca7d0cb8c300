//! LARS as in SimCLR's and BYOL's code.

use burn::{
    optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource},
    tensor::{Device, Tensor},
};

/// Layer-wise adaptive rate scaling (You et al., 2017), in the form of google-research/simclr and deepmind's BYOL:
///
/// ```text
/// g = grad + weight_decay * w
/// trust = eta * |w| / |g|          (1 where either norm is zero)
/// v = momentum * v + lr * trust * g
/// w = w - v
/// ```
///
/// With `clip`, solo-learn's LARC: the rate itself is at most `lr`, instead of a share of it.
///
/// ```text
/// rate = min(eta * |w| / (|grad| + weight_decay * |w|), lr)      in place of lr * trust
/// ```
///
/// Vectors (biases, batch-norm scale and shift) take neither decay nor trust unless `adapt_vectors` says so.
#[derive(Clone, Debug)]
pub struct Lars {
    /// 0.9 in both papers.
    pub momentum: f64,
    /// 1e-6 (SimCLR's paper) to 1e-4 (its CIFAR code).
    pub weight_decay: f64,
    /// 1e-3 in both papers, 0.02 in solo-learn.
    pub eta: f64,
    /// Whether `eta` bounds the rate (solo-learn) or scales it (the papers).
    pub clip: bool,
    /// Whether parameters of rank one are decayed and adapted too.
    pub adapt_vectors: bool,
}

impl Default for Lars {
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 1e-6, eta: 1e-3, clip: false, adapt_vectors: false }
    }
}

/// The velocity of one parameter.
#[derive(Clone, Debug)]
pub struct LarsState<const D: usize> {
    velocity: Tensor<D>,
}

// The derive of burn-optim names its own crate's paths and works only there.
impl<const D: usize> RecordState for LarsState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, "velocity", self.velocity.to_data());
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        Some(Self { velocity: Tensor::from_data(src.take_tensor(prefix, "velocity")?, device) })
    }
}

impl Optimizer for Lars {
    type State<const D: usize> = LarsState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let adapt = D > 1 || self.adapt_vectors;
        let update = if adapt {
            let norm = |t: &Tensor<D>| t.clone().powi_scalar(2).sum().sqrt(); // [1]
            let w = norm(&tensor);
            let raw = norm(&grad) + w.clone().mul_scalar(self.weight_decay);
            let update = grad + tensor.clone().mul_scalar(self.weight_decay);
            let g = if self.clip { raw } else { norm(&update) };
            let still = w.clone().equal_scalar(0.0).bool_or(g.clone().equal_scalar(0.0));
            let trust = w.mul_scalar(self.eta) / g.clamp_min(f64::from(f32::MIN_POSITIVE));
            let rate = if self.clip { trust.clamp_max(lr) } else { trust.mul_scalar(lr) };
            update * rate.mask_fill(still, lr).reshape([1; D])
        } else {
            grad.mul_scalar(lr)
        };
        let velocity = match state {
            Some(state) => state.velocity.mul_scalar(self.momentum) + update,
            None => update,
        };
        (tensor - velocity.clone(), Some(LarsState { velocity }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        LarsState { velocity: state.velocity.to_device(device) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn row(values: &[f32]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, values.len()]), &Device::flex())
    }

    #[test]
    fn first_step_has_the_published_value() {
        let lars = Lars { weight_decay: 1e-4, ..Lars::default() };
        let (w, _) = lars.step(0.1, row(&[3.0, 4.0]), row(&[0.3, 0.4]), None);
        let w = w.try_into_vec_as::<f32>().unwrap();
        assert!((w[0] - 2.9997).abs() < 1e-6 && (w[1] - 3.9996).abs() < 1e-6, "{w:?}");
    }

    #[test]
    fn a_clipped_first_step_has_the_published_value() {
        let lars = Lars { weight_decay: 1e-4, eta: 0.02, clip: true, ..Lars::default() };
        let (w, _) = lars.step(0.1, row(&[3.0, 4.0]), row(&[0.3, 0.4]), None);
        let w = w.try_into_vec_as::<f32>().unwrap();
        assert!((w[0] - 2.96997).abs() < 1e-5 && (w[1] - 3.95996).abs() < 1e-5, "{w:?}");
        // A rate above eta |w| / |g| is cut to that: 0.02 * 5 / (0.5 + 0.0005).
        let (w, _) = lars.step(1.0, row(&[3.0, 4.0]), row(&[0.3, 0.4]), None);
        let w = w.try_into_vec_as::<f32>().unwrap();
        let rate = 0.1 / 0.5005;
        assert!((f64::from(w[0]) - (3.0 - rate * 0.3003)).abs() < 1e-5, "{w:?}");
    }

    #[test]
    fn steps_follow_the_formula() {
        let lars = Lars { weight_decay: 0.01, eta: 0.02, momentum: 0.8, ..Lars::default() };
        let (mut w, mut state) = (row(&[1.0, -2.0, 0.5]), None);
        let (mut want, mut v) = ([1.0f64, -2.0, 0.5], [0.0f64; 3]);
        for step in 0..6 {
            let grad = [0.3, -0.1 * step as f64, 0.2];
            let lr = 0.5 / (1.0 + step as f64);
            (w, state) = lars.step(lr, w, row(&grad.map(|g| g as f32)), state);
            let g: [f64; 3] = std::array::from_fn(|i| grad[i] + 0.01 * want[i]);
            let norm = |x: &[f64; 3]| x.iter().map(|v| v * v).sum::<f64>().sqrt();
            let trust = 0.02 * norm(&want) / norm(&g);
            for i in 0..3 {
                v[i] = 0.8 * v[i] + lr * trust * g[i];
                want[i] -= v[i];
            }
            let got = w.clone().try_into_vec_as::<f32>().unwrap();
            assert!(got.iter().zip(want).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{got:?} {want:?}");
        }
    }

    #[test]
    fn vectors_are_plain_momentum_and_zero_norms_do_not_divide() {
        let lars = Lars::default();
        let device = Device::flex();
        let w = Tensor::<1>::from_data([1.0, 2.0], &device);
        let (w, _) = lars.step(0.1, w, Tensor::<1>::from_data([1.0, 1.0], &device), None);
        assert_eq!(w.try_into_vec_as::<f32>().unwrap(), [0.9, 1.9]);
        let (w, _) = lars.step(0.1, row(&[0.0, 0.0]), row(&[1.0, 0.0]), None);
        assert_eq!(w.try_into_vec_as::<f32>().unwrap(), [-0.1, 0.0]);
    }
}
