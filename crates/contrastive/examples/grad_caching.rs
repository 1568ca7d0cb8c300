//! Batches larger than memory: SimCLR on batches of 512 digits, at once and with the activations of 64 at a time. The
//! negatives stay those of the whole batch; accumulating gradients would lose them and is refused.
//!
//! ```text
//! cargo run --example grad_caching
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::tensor::Device;
use contrastive::SimClr;
use nearfar_core::{
    augment::{Augmenter, ColorJitter, Normalization, Recipe},
    data::catalog,
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{Method, Passes, TrainConfig, TrainData, embed::embed, train},
};
use nearfar_eval::{Distance, retrieval};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let jitter = Some(ColorJitter { brightness: 0.4, contrast: 0.4, ..ColorJitter::default() });
    let recipe = Recipe { pad_crop: Some(1), jitter, ..Recipe::none() };
    let augmenter = Augmenter::new(&[recipe.clone(), recipe], Normalization::of(&digits.inputs), 0)?;
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 32 };
    let method = SimClr { hidden: 64, output: 32, ..SimClr::default() };
    let optimizer = OptimizerConfig { learning_rate: 3e-3, ..OptimizerConfig::default() };

    println!("{:<16} {:>10} {:>10} {:>10} {:>9}", "", "first loss", "last loss", "recall@1", "seconds");
    for (name, passes) in [("512 at once", Passes::Whole), ("64 at a time", Passes::Chunks(64))] {
        let run = TrainConfig {
            batch: 512,
            passes,
            steps: 30,
            steps_per_epoch: 3,
            seed: 0,
            optimizer: optimizer.clone(),
            checkpoints: None,
        };
        let data = TrainData { dataset: &digits, augmenter: &augmenter };
        let encoder = config.init(digits.shape(), 0, &device)?;
        let trained = train(&method, encoder, config.features(), data, &run, &device, &mut ())?;
        let features = embed(method.encoder(&trained.model), &digits, &augmenter, &device);
        let recall = retrieval(&features, digits.labels()?, None, Distance::Cosine, &[1])?.recall_at[0].1;
        let (first, last) = (trained.losses[0], trained.losses[trained.losses.len() - 1]);
        let seconds = trained.time.as_secs_f64();
        println!("{name:<16} {first:>10.3} {last:>10.3} {recall:>10.3} {seconds:>9.1}");
    }
    let refused = Passes::Parts(8).check(&method, 512).err().ok_or("accumulation should be refused")?;
    println!("8 parts of 64: {refused}");
    Ok(())
}
