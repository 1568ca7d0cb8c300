//! Two methods that train one encoder at the same time.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Device, Tensor, container::TensorContainer},
};
use nearfar_core::{
    augment::SmallCrops,
    encoder::Encoder,
    train::{Batch, BatchError, Method, Needs, Objective, Progress},
};

/// Sets the random numbers of the second method's heads apart from those of the first one's.
const SECOND_SEED: u64 = 0x517c_c1b7_2722_0a95;

/// Both objectives on one encoder: `loss = first + weight * second`.
///
/// Each method passes the encoder with the views that it asks for, so that batch norm sees what it would see if the
/// method ran alone. Batches are drawn as the second one asks: it is the one that needs classes.
///
/// The model is both methods' models. Their encoders have the same parameters by id; the first model's are the ones that
/// the optimiser steps and that count. The second model takes them over before every use (`on_shared`), so its own
/// copies are never read. Batch norm's running statistics are one object in both, as in every clone of a module.
#[derive(Clone, Debug)]
pub struct Joint<A, B> {
    /// Its networks, optimiser settings and embeddings count for what is reported of training.
    pub first: A,
    /// The one whose objective is weighted.
    pub second: B,
    /// Weight of the second objective, above 0.
    pub weight: f64,
}

impl<A: Method, B: Method> Method for Joint<A, B> {
    type Model = (A::Model, B::Model);
    type Memory = (A::Memory, B::Memory);

    fn name(&self) -> &'static str {
        "joint training"
    }

    fn needs(&self) -> Needs {
        let (first, second) = (self.first.needs(), self.second.needs());
        Needs { views: first.views.max(second.views), labels: first.labels || second.labels, sampling: second.sampling }
    }

    /// The first one's: the second one takes the first of the shared views.
    fn small_crops(&self) -> Option<SmallCrops> {
        self.first.small_crops()
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Self::Model, Self::Memory) {
        // A clone keeps the ids of parameters.
        let (first, first_memory) = self.first.build(encoder.clone(), features, seed, device);
        let (second, second_memory) = self.second.build(encoder, features, seed ^ SECOND_SEED, device);
        ((first, second), (first_memory, second_memory))
    }

    fn objective(
        &self,
        model: &Self::Model,
        memory: &mut Self::Memory,
        batch: &Batch,
        at: Progress,
    ) -> Result<Objective, BatchError> {
        let second = on_shared(&model.1, self.first.encoder(&model.0));
        let one = self.first.objective(&model.0, &mut memory.0, &part(batch, self.first.needs()), at)?;
        let two = self.second.objective(&second, &mut memory.1, &part(batch, self.second.needs()), at)?;
        Ok(Objective { loss: one.loss + two.loss.mul_scalar(self.weight), embedding: one.embedding })
    }

    fn after_step(&self, model: &Self::Model, memory: Self::Memory, at: Progress) -> Self::Memory {
        let second = on_shared(&model.1, self.first.encoder(&model.0));
        (self.first.after_step(&model.0, memory.0, at), self.second.after_step(&second, memory.1, at))
    }

    fn encoder<'a>(&self, model: &'a Self::Model) -> &'a Encoder {
        self.first.encoder(&model.0)
    }

    fn components(&self, model: &Self::Model) -> Option<Tensor<2>> {
        self.second.components(&model.1)
    }

    fn constant_rate(&self) -> &'static [&'static str] {
        self.first.constant_rate()
    }

    fn remedy(&self) -> &'static str {
        self.first.remedy()
    }

    fn compares_batch(&self) -> bool {
        self.first.compares_batch() || self.second.compares_batch()
    }
}

/// What of a batch a method would see if it ran alone.
fn part(batch: &Batch, needs: Needs) -> Batch {
    Batch {
        views: batch.views.iter().take(needs.views).cloned().collect(),
        labels: if needs.labels { batch.labels.clone() } else { Vec::new() },
        indices: batch.indices.clone(),
    }
}

/// `model` with the trained parameters of `encoder` in place of those of the same id. They are the same leaves of the
/// graph: both objectives' gradients add up in them.
fn on_shared<M: Module>(model: &M, encoder: &Encoder) -> M {
    let mut leaves = Leaves::default();
    encoder.visit(&mut leaves);
    model.clone().map(&mut leaves)
}

#[derive(Default)]
struct Leaves(TensorContainer<ParamId>);

impl ModuleVisitor for Leaves {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Running statistics arrive here too; they never require a gradient, and clones share them anyway.
        if param.is_require_grad() {
            self.0.register(param.id, param.val());
        }
    }
}

impl ModuleMapper for Leaves {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0.remove::<Tensor<D>>(&param.id) {
            Some(leaf) => param.map(|_| leaf),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::method::{Deep, MethodSettings};
    use burn::{optim::GradientsParams, tensor::TensorData};
    use contrastive::{Byol, SimClr};
    use metric::methods::{DeepMahalanobis, Mining, Siamese, SupConMethod, TripletMethod};
    use nearfar_core::{
        backend::Backend,
        data::Shape,
        encoder::{Architecture, EncoderConfig},
        optim::OptimizerConfig,
        train::{NoMemory, Sampling},
    };

    const FEATURES: usize = 4;
    const AT: Progress = Progress { step: 3, steps: 10, seed: 1 };

    fn device() -> Device {
        Backend::Flex.open().unwrap().1.autodiff()
    }

    fn encoder(device: &Device) -> Encoder {
        let shape = Shape { channels: 1, height: 8, width: 8 };
        EncoderConfig { architecture: Architecture::Conv4, width: FEATURES }.init(shape, 5, device).unwrap()
    }

    /// Twelve images of three classes in two views. Brightness goes across the classes, so that every triplet loss has
    /// something to do.
    fn batch(device: &Device) -> Batch {
        let view = |phase: f32| {
            let values = (0..12 * 64).map(|i| (i as f32 * 0.37 + phase).sin() + (i / 256) as f32).collect();
            Tensor::from_data(TensorData::new(values, [12, 1, 8, 8]), device)
        };
        Batch {
            views: vec![view(0.0), view(0.4)],
            labels: (0..12).map(|i| i % 3).collect(),
            indices: (0..12).collect(),
        }
    }

    /// The gradients of all parameters of `module`, one below the other.
    fn gradients<M: Module>(loss: Tensor<1>, module: &M) -> Vec<f32> {
        struct Read(GradientsParams, Vec<f32>);
        impl ModuleVisitor for Read {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.0.get::<D>(param.id) {
                    self.1.extend(gradient.try_into_vec_as::<f32>().unwrap());
                }
            }
        }
        let mut read = Read(GradientsParams::from_grads(loss.backward(), module), Vec::new());
        module.visit(&mut read);
        read.1
    }

    fn triplet() -> TripletMethod {
        TripletMethod { mining: Mining::BatchHard, ..TripletMethod::default() }
    }

    fn largest(values: &[f32]) -> f32 {
        values.iter().fold(0.0, |most, v| v.abs().max(most))
    }

    /// On the initial weights, and after a step, when the second model's own copies are old.
    #[test]
    fn the_gradient_is_the_sum_of_both() {
        let device = device();
        let batch = batch(&device);
        let joint = Joint { first: SimClr::default(), second: triplet(), weight: 0.3 };
        let (mut model, mut memory) = joint.build(encoder(&device), FEATURES, 9, &device);
        let mut optimizer = OptimizerConfig::default().init();
        for _ in 0..2 {
            let one = joint.first.objective(&model.0, &mut NoMemory::new(), &batch, AT).unwrap();
            let one_loss = one.loss.clone().into_scalar::<f32>();
            let one = gradients(one.loss, joint.encoder(&model));

            // The second method alone, around the encoder as it is now.
            let (alone, _) = joint.second.build(joint.encoder(&model).clone(), FEATURES, 9, &device);
            let seen = part(&batch, joint.second.needs());
            let two = joint.second.objective(&alone, &mut NoMemory::new(), &seen, AT).unwrap();
            let two_loss = two.loss.clone().into_scalar::<f32>();
            let two = gradients(two.loss, joint.second.encoder(&alone));
            assert!(largest(&one) > 1e-4 && largest(&two) > 1e-4, "{} {}", largest(&one), largest(&two));

            let both = joint.objective(&model, &mut memory, &batch, AT).unwrap();
            let loss = both.loss.clone().into_scalar::<f32>();
            assert!((loss - one_loss - 0.3 * two_loss).abs() < 1e-5 * loss.abs(), "{loss} {one_loss} {two_loss}");
            let sum = gradients(both.loss, joint.encoder(&model));
            assert_eq!((sum.len(), one.len()), (one.len(), two.len()));
            let scale = largest(&sum);
            for ((sum, a), b) in sum.iter().zip(&one).zip(&two) {
                assert!((sum - (a + 0.3 * b)).abs() < 1e-4 * scale, "{sum} {a} {b}");
            }

            let both = joint.objective(&model, &mut memory, &batch, AT).unwrap();
            let steps = GradientsParams::from_grads(both.loss.backward(), &model);
            model = optimizer.step(0.05, model, steps);
        }
    }

    /// A step moves each parameter of the encoder once, in the first model; the second method sees it there.
    #[test]
    fn steps_reach_both_models() {
        let device = device();
        let batch = batch(&device);
        let mahalanobis = DeepMahalanobis { mining: Mining::BatchHard, ..DeepMahalanobis::default() };
        let joint = Joint { first: Byol::default(), second: mahalanobis, weight: 1.0 };
        let (mut model, mut memory) = joint.build(encoder(&device), FEATURES, 9, &device);
        let before = joint.encoder(&model).clone();
        let mut optimizer = OptimizerConfig::default().init();
        for _ in 0..3 {
            let both = joint.objective(&model, &mut memory, &batch, AT).unwrap();
            let steps = GradientsParams::from_grads(both.loss.backward(), &model);
            model = optimizer.step(0.05, model, steps);
            memory = joint.after_step(&model, memory, AT);
        }
        let features = |encoder: &Encoder| {
            let features = encoder.forward(batch.views[0].clone());
            features.try_into_vec_as::<f32>().unwrap()
        };
        let (old, new) = (features(&before), features(joint.encoder(&model)));
        assert!(old.iter().zip(&new).any(|(a, b)| (a - b).abs() > 1e-3), "nothing was learnt");
        let second = on_shared(&model.1, joint.encoder(&model));
        assert_eq!(features(joint.second.encoder(&second)), new);
        assert_ne!(features(joint.second.encoder(&model.1)), new, "the second model's own copies were stepped too");
        // The second method's own parameters are trained, and handed out.
        let components = joint.components(&model).unwrap().try_into_vec_as::<f32>().unwrap();
        let identity = |i: usize| if i.is_multiple_of(FEATURES + 1) { 1.0 } else { 0.0 };
        assert!(components.iter().enumerate().any(|(i, c)| (c - identity(i)).abs() > 1e-4), "{components:?}");
    }

    #[test]
    fn batches_satisfy_both() {
        let joint = Joint { first: SimClr::default(), second: triplet(), weight: 1.0 };
        assert_eq!(joint.needs(), Needs { views: 2, labels: true, sampling: Sampling::PerClass { images: 4 } });
        let second = SupConMethod { views: 3, ..SupConMethod::default() };
        let joint = Joint { first: SimClr::default(), second, weight: 1.0 };
        assert_eq!(joint.needs(), Needs { views: 3, labels: true, sampling: Sampling::Shuffled });

        let batch = batch(&device());
        let seen = part(&batch, SimClr::default().needs());
        assert_eq!((seen.views.len(), seen.labels.len(), seen.len()), (2, 0, 12));
        let seen = part(&batch, Siamese::default().needs());
        assert_eq!((seen.views.len(), seen.len()), (1, 12));
        assert_eq!(seen.labels, batch.labels);
    }

    /// The type that hides which methods there are changes nothing: the same loss, bit for bit.
    #[test]
    fn any_method_is_the_method() {
        let device = device();
        let batch = batch(&device);
        let settings = MethodSettings { classes: 3, ..MethodSettings::default() };
        for deep in [Deep::SimClr, Deep::Byol, Deep::TiCo, Deep::Triplet, Deep::find("arcface").unwrap()] {
            let (any, _) = settings.any(deep).unwrap();
            assert_eq!(any.name(), deep.name());
            let value = |seed| {
                let (model, mut memory) = any.build(encoder(&device), FEATURES, seed, &device);
                let objective = any.objective(&model, &mut memory, &part(&batch, any.needs()), AT).unwrap();
                let _ = any.after_step(&model, memory, AT);
                objective.loss.into_scalar::<f32>()
            };
            assert_eq!(value(4).to_bits(), value(4).to_bits());
        }
        let (any, _) = settings.any(Deep::SimClr).unwrap();
        let (model, mut memory) = any.build(encoder(&device), FEATURES, 4, &device);
        let (own, mut nothing) = settings.simclr.settings.build(encoder(&device), FEATURES, 4, &device);
        let hidden = any.objective(&model, &mut memory, &batch, AT).unwrap().loss.into_scalar::<f32>();
        let open =
            settings.simclr.settings.objective(&own, &mut nothing, &batch, AT).unwrap().loss.into_scalar::<f32>();
        assert_eq!(hidden.to_bits(), open.to_bits());
    }
}
