//! A method of one's own in the training loop: views aligned, images spread over the sphere (Wang and Isola, 2020). The
//! loss is there; this is what a method has to say about the rest.
//!
//! ```text
//! cargo run --example own_method
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::tensor::Device;
use contrastive::losses::align_uniform;
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::catalog,
    encoder::{Architecture, Encoder, EncoderConfig},
    head::{Head, HeadConfig},
    init,
    optim::OptimizerConfig,
    train::{
        Batch, BatchError, Method, Needs, NoMemory, Objective, Passes, Progress, Sampling, TrainConfig, TrainData,
        embed::embed, forward_views, train,
    },
};
use nearfar_eval::{Distance, retrieval};
use std::{error::Error, path::Path};

/// Its settings: the weight of uniformity and its sharpness.
#[derive(Debug)]
struct AlignUniform(f64, f64);

impl Method for AlignUniform {
    type Model = (Encoder, Head); // all that the optimiser updates
    type Memory = NoMemory; // all that is kept between steps: a queue, a momentum encoder

    fn name(&self) -> &'static str {
        "align_uniform"
    }

    fn needs(&self) -> Needs {
        Needs { views: 2, labels: false, sampling: Sampling::Shuffled }
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Self::Model, NoMemory) {
        ((encoder, init::seeded(HeadConfig::new([features, 64, 32]).init(device), seed)), NoMemory::new())
    }

    fn objective(
        &self,
        (encoder, head): &Self::Model,
        _: &mut NoMemory,
        batch: &Batch,
        _: Progress,
    ) -> Result<Objective, BatchError> {
        let z = head.forward(forward_views(&batch.views, |x| encoder.forward(x))); // [2n, 32]
        let (a, b) = (z.clone().narrow(0, 0, batch.len()), z.clone().narrow(0, batch.len(), batch.len()));
        Ok(Objective { loss: align_uniform(a, b, self.0, self.1), embedding: z })
    }

    fn encoder<'a>(&self, model: &'a Self::Model) -> &'a Encoder {
        &model.0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let recipe = Recipe { pad_crop: Some(1), ..Recipe::none() };
    let augmenter = Augmenter::new(&[recipe.clone(), recipe], Normalization::of(&digits.inputs), 0)?;
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 32 };
    let encoder = config.init(digits.shape(), 0, &device)?;
    let (passes, optimizer) = (Passes::Whole, OptimizerConfig { learning_rate: 3e-3, ..OptimizerConfig::default() });
    let run =
        TrainConfig { batch: 128, passes, steps: 112, steps_per_epoch: 14, seed: 0, optimizer, checkpoints: None };
    let data = TrainData { dataset: &digits, augmenter: &augmenter };
    let method = AlignUniform(1.0, 2.0);
    let trained = train(&method, encoder, config.features(), data, &run, &device, &mut ())?;
    let features = embed(method.encoder(&trained.model), &digits, &augmenter, &device);
    let recall = retrieval(&features, digits.labels()?, None, Distance::Cosine, &[1])?.recall_at[0].1;
    println!("losses of {} by epoch: {:.2?}; recall@1: {recall:.3}", method.name(), trained.losses);
    Ok(())
}
