//! Methods without batch norm.

use super::SHAPE;
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::{Head, HeadConfig},
    init,
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};

/// A method whose encoder is a perceptron without batch norm; its loss keeps whatever else it trains.
#[derive(Debug)]
pub struct NormFree<'a, M>(pub &'a M);

impl<M: Method> Method for NormFree<'_, M> {
    type Model = (M::Model, Head);
    type Memory = M::Memory;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Self::Model, Self::Memory) {
        let (model, memory) = self.0.build(encoder, features, seed, device);
        let head = HeadConfig::new([SHAPE.size(), 16, features]).without_hidden_norm().init(device);
        ((model, init::seeded(head, seed)), memory)
    }

    fn staged(&self) -> Option<&dyn Staged<Self::Model, Self::Memory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Self::Model) -> &'a Encoder {
        self.0.encoder(&model.0)
    }
}

impl<M: Method> Staged<(M::Model, Head), M::Memory> for NormFree<'_, M> {
    fn embed(&self, model: &(M::Model, Head), views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        views.iter().map(|view| model.1.forward(view.clone().flatten(1, 3))).collect()
    }

    fn loss(
        &self,
        model: &(M::Model, Head),
        memory: &mut M::Memory,
        batch: &Embedded<'_>,
        at: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        self.0.staged().expect("the method is in stages").loss(&model.0, memory, batch, at)
    }
}
