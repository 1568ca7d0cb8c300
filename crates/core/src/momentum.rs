//! The momentum encoder: a copy whose parameters are an exponential moving average of the trained network's
//! (He et al., 2020; Grill et al., 2020).
//!
//! Policy, stated because libraries differ: parameters are averaged; batch-norm buffers are not. The copy stays in
//! training behaviour, normalises with the statistics of its own batches and keeps its own running statistics.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Tensor, container::TensorContainer},
};
use std::f64::consts::PI;

/// A copy of `online` that no gradient reaches and that shares no buffer with it.
pub fn momentum_copy<M: Module>(online: &M) -> M {
    // `clone` would share the running statistics; `valid` makes new ones, `train` puts them back on the autodiff device.
    online.valid().train().no_grad()
}

/// `target = momentum * target + (1 - momentum) * online` for every trained parameter.
///
/// `target` must come from [`momentum_copy`]: parameters are matched by their ids.
pub fn update<M: Module>(target: M, online: &M, momentum: f64) -> M {
    let mut parameters = Collect::default();
    online.visit(&mut parameters);
    target.map(&mut Average { online: parameters.0, momentum })
}

/// BYOL's schedule: `1 - (1 - start) (cos(pi step / steps) + 1) / 2`, from `start` to 1.
pub fn cosine_momentum(start: f64, step: usize, steps: usize) -> f64 {
    let share = step as f64 / steps.max(1) as f64;
    1.0 - (1.0 - start) * ((PI * share.min(1.0)).cos() + 1.0) / 2.0
}

#[derive(Default)]
struct Collect(TensorContainer<ParamId>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Running statistics arrive here too; they never require a gradient. Fixed parameters equal their copies.
        if param.is_require_grad() {
            self.0.register(param.id, param.val().without_autodiff());
        }
    }
}

struct Average {
    online: TensorContainer<ParamId>,
    momentum: f64,
}

impl ModuleMapper for Average {
    fn map_float<const D: usize>(&mut self, target: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let momentum = self.momentum;
        match self.online.remove::<Tensor<D>>(&target.id) {
            Some(online) => target.map(|t| {
                let blend = t.without_autodiff().mul_scalar(momentum) + online.mul_scalar(1.0 - momentum);
                Tensor::from_inner(blend)
            }),
            None => target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::Shape,
        encoder::{Architecture, EncoderConfig},
    };
    use burn::tensor::{Device, TensorData};

    #[test]
    fn byol_schedule_has_the_published_values() {
        for (step, expected) in
            [(0, 0.996), (1, 0.99600099), (25, 0.99658579), (50, 0.998), (75, 0.99941421), (99, 0.99999901), (100, 1.0)]
        {
            let tau = cosine_momentum(0.996, step, 100);
            assert!((tau - expected).abs() < 5e-9, "{step}: {tau}");
        }
    }

    fn weights<M: Module>(module: &M) -> Vec<Vec<f32>> {
        struct All(Vec<Vec<f32>>, bool);
        impl ModuleVisitor for All {
            fn visit_float<const D: usize>(&mut self, p: &Param<Tensor<D>>) {
                self.1 |= p.val().is_tracked();
                self.0.push(p.val().try_into_vec_as::<f32>().unwrap());
            }
        }
        let mut all = All(Vec::new(), false);
        module.visit(&mut all);
        all.0
    }

    #[test]
    fn k_updates_equal_the_closed_form_and_buffers_stay_apart() {
        let device = Device::flex().autodiff();
        let config = EncoderConfig { architecture: Architecture::Conv4, width: 3 };
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let first = config.init(shape, 0, &device).unwrap();
        let second = config.init(shape, 1, &device).unwrap();
        // The online network jumps once to other weights, keeping its parameter ids.
        let mut target = momentum_copy(&first);
        let online = copy_values(first.clone(), &second);
        let before = weights(&online);
        for _ in 0..5 {
            target = update(target, &online, 0.9);
        }
        let m = 0.9f32.powi(5);
        for ((t, a), b) in weights(&target).iter().zip(weights(&first)).zip(weights(&online)) {
            for ((t, a), b) in t.iter().zip(a).zip(b) {
                let want = m * a + (1.0 - m) * b;
                assert!((t - want).abs() < 1e-5, "{t} {want}");
            }
        }
        let x = Tensor::<4>::from_data(TensorData::new((0..128).map(|i| i as f32).collect(), [2, 1, 8, 8]), &device);
        let z = target.forward(x);
        assert!(!z.is_tracked());
        assert_eq!(before, weights(&online), "a forward pass of the target moved the online network's buffers");
    }

    /// `to` with the values of `from`, by order.
    fn copy_values<M: Module>(to: M, from: &M) -> M {
        struct Feed(std::vec::IntoIter<Vec<f32>>);
        impl ModuleMapper for Feed {
            fn map_float<const D: usize>(&mut self, p: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let values = self.0.next().unwrap();
                p.map(|t| Tensor::from_data(TensorData::new(values, t.dims()), &t.device()).require_grad())
            }
        }
        to.map(&mut Feed(weights(from).into_iter()))
    }
}
