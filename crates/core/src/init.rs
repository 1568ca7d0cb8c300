//! Initial weights drawn on the host, so that every backend starts from the same numbers.
//!
//! Burn draws a parameter on its device at first use; devices differ and the order of first use is the order of the
//! forward pass. Here all weights of a module are drawn in the order of its fields from one seeded ChaCha8 stream.

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Tensor, TensorData},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws every weight of `module` (parameters of two or more dimensions) from `U(-1/sqrt(fan_in), 1/sqrt(fan_in))`,
/// PyTorch's default for linear and convolution layers, and sets every bias to zero. The scale and shift of batch norm
/// stay one and zero.
///
/// Linear weights are `[in, out]`, convolution weights `[out, in, k, k]`.
pub fn seeded<M: Module>(module: M, seed: u64) -> M {
    module.map(&mut Draw { rng: ChaCha8Rng::seed_from_u64(seed), path: Vec::new() })
}

struct Draw {
    rng: ChaCha8Rng,
    path: Vec<String>,
}

impl ModuleMapper for Draw {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape: [usize; D] = param.val().dims();
        if D < 2 {
            let bias = self.path.last().is_some_and(|name| name == "bias");
            return if bias { param.map(|t| trained(t.zeros_like())) } else { param };
        }
        let fan_in: usize = if D == 2 { shape[0] } else { shape[1..].iter().product() };
        let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.rng.random_range(-bound..=bound)).collect();
        param.map(|t| trained(Tensor::from_data(TensorData::new(values, shape), &t.device())))
    }
}

/// A leaf of the graph where the device keeps one.
fn trained<const D: usize>(t: Tensor<D>) -> Tensor<D> {
    if t.device().is_autodiff() { t.require_grad() } else { t }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{
        nn::{Linear, LinearConfig},
        tensor::Device,
    };

    #[test]
    fn the_same_seed_gives_the_same_weights_whatever_burn_drew() {
        let device = Device::flex().autodiff();
        let make = |seed| seeded(LinearConfig::new(9, 5).init(&device), seed);
        let values = |l: &Linear| l.weight.val().try_into_vec_as::<f32>().unwrap();
        assert_eq!(values(&make(3)), values(&make(3)));
        assert_ne!(values(&make(3)), values(&make(4)));
        let drawn = make(3);
        assert!(values(&drawn).iter().all(|v| v.abs() <= 1.0 / 3.0));
        assert!(drawn.bias.as_ref().unwrap().val().try_into_vec_as::<f32>().unwrap().iter().all(|v| *v == 0.0));
        assert!(drawn.weight.is_require_grad() && drawn.weight.val().is_tracked());
    }
}
